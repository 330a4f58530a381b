"""Measures each promise: tools take turns on the same notebooks, whole processes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from verify.bench import handbook, tools, tree
from verify.bench.clock import BenchError, Done, in_turns, repeated, say, timed
from verify.bench.handbook import Handbook
from verify.bench.tools import JupyterBook, JupyterCache, Shown, Verify

COLD = 8
BUSY_SECONDS = 1.0
CALIBRATION = 3_000_000
MEGABYTE = 1_000_000
BESIDE = """
import subprocess, sys
running = [subprocess.Popen({command!r}) for _ in range({count})]
sys.exit(max(process.wait() for process in running))
"""


def waiting(book: Handbook, runs: int) -> dict[str, Any]:
    """Time eight notebooks from nothing, and each of them alone."""
    names = book.names[:COLD]
    return {"count": COLD, **_cold(book, names, names, runs, "cold, waiting")}


def busy(folder: Path, rounds: int, runs: int) -> dict[str, Any]:
    """Do the same with equal notebooks that compute; one stands for all when alone."""
    book = handbook.generate(folder, handbook.busy(COLD, rounds))
    return {
        "count": COLD,
        "rounds": rounds,
        **_cold(book, book.names, book.names[:1], runs, "cold, busy"),
    }


def _cold(
    book: Handbook, names: Sequence[str], alone: Sequence[str], runs: int, what: str
) -> dict[str, Any]:
    ours = Verify(book)

    def from_nothing() -> float:
        ours.forget()
        return ours.run(names, "--jobs", "2")

    def single(name: str) -> Callable[[], float]:
        return lambda: ours.run([name], "--force", "--jobs", "1")

    jobs = {"verify": from_nothing, "nbmake": lambda: tools.nbmake(book, names)}
    times = in_turns(runs, jobs, what)
    each = in_turns(runs, {name: single(name) for name in alone}, f"{what}, alone")
    return {"times": times, "alone": each}


def unchanged(book: Handbook, runs: int) -> dict[str, list[float]]:
    """Time what every tool does when all results still hold.

    jupyter-cache is called in both of its ways; the faster one counts. The caches must
    be filled. Nothing may run, or the time means nothing.
    """
    ours, cache = Verify(book), JupyterCache(book)
    before = ours.shown(), cache.shown()
    jobs = {
        "verify": ours.run,
        "jcache project execute": cache.run,
        "jupyter-cache in Python": cache.run_by_calls,
    }
    for run in jobs.values():  # the first one reads the disk
        run()
    times = in_turns(runs, jobs, "nothing changed")
    if (ours.shown(), cache.shown()) != before:
        raise BenchError("nothing had changed, and a notebook ran again all the same")
    return times


def fill(book: Handbook, book_python: str) -> None:
    """Have every tool run all notebooks, so that its cache holds them."""
    seconds = Verify(book).run()
    say(f"filled verify in {seconds:.1f} s")
    cache = JupyterCache(book)
    cache.add()
    seconds = cache.run("--executor", "local-parallel", "--timeout", "120")
    say(f"filled jupyter-cache in {seconds:.1f} s")
    say(f"filled jupyter-book in {JupyterBook(book, book_python).run():.1f} s")


def answers(book: Handbook, book_python: str) -> dict[str, Any]:
    """Change one module; see what each tool runs, and which answers it shows then."""
    jobs = {
        "verify": (Verify(book), Verify(book).run),
        "jupyter-cache": (JupyterCache(book), JupyterCache(book).run),
        "jupyter-book": (JupyterBook(book, book_python),) * 2,
    }
    before = {name: tool.shown() for name, (tool, _) in jobs.items()}
    book.answers("alpha", 2)
    found: dict[str, Any] = {}
    for name, (tool, run) in jobs.items():
        seconds = run.run() if isinstance(run, JupyterBook) else run()
        after = tool.shown()
        ran = _ran(before[name], after)
        say(f"one module changed: {name} ran {len(ran)} in {seconds:.1f} s")
        found[name] = {
            "before": before[name].answers,
            "after": after.answers,
            "ran": ran,
            "seconds": round(seconds, 4),
        }
    dependents = [name for name in book.names if book.module_of(name) == "alpha"]
    right = book.right(alpha=2, beta=1)
    return {"tools": found, "dependents": dependents, "right": right}


def overhead(book: Handbook, runs: int) -> dict[str, list[float]]:
    """Time one notebook alone: our command, then nbclient and nothing else."""
    name = book.names[3]
    jobs = {
        "verify": lambda: Verify(book).run([name], "--force"),
        "nbclient": lambda: tools.nbclient(book, name),
    }
    return in_turns(runs, jobs, "one notebook alone")


def scaling(folder: Path, runs: int) -> dict[str, Any]:
    """Time one busy Python process, then two beside each other.

    What is called two processors may be the two threads of one core. ``rounds`` is how
    much of the same loop takes one process ``BUSY_SECONDS``.
    """
    rounds = _calibrated(folder)
    loop = handbook.LOOP.format(rounds=2 * rounds)

    def beside(count: int) -> float:
        code = BESIDE.format(command=[sys.executable, "-c", loop], count=count)
        return timed([sys.executable, "-c", code], folder).seconds

    jobs = {"one": lambda: beside(1), "two": lambda: beside(2)}
    return {"rounds": rounds, **in_turns(runs, jobs, "busy processes")}


def large(
    folder: Path, count: int, pythons: tuple[str, str], runs: int
) -> dict[str, Any]:
    """Build a large book of MDX pages from nothing, check blocks, read MDX.

    Parameters
    ----------
    folder : Path
        A new folder, for the large book.
    count : int
        How many pages it has.
    pythons : tuple of str
        The Pythons of the environments ``book`` and ``tools``.
    runs : int
        How often each is done.
    """
    folder.mkdir()
    python, tools_python = pythons
    pages = tree.generate(folder, count)
    text = tree.text(pages, folder, MEGABYTE)
    (folder / "megabyte.mdx").write_text(text, encoding="utf-8")
    build = partial(tools.book, folder, python)
    read = partial(tools.parse, folder / "megabyte.mdx", python)
    return {
        "pages": len(pages),
        "bytes": sum((folder / page.file).stat().st_size for page in pages),
        "build": repeated(runs, build, f"{len(pages)} pages built"),
        "blocks": repeated(runs, partial(tools.blocks, tools_python), "blocks checked"),
        "parser": {
            "bytes": len(text.encode()),
            **repeated(runs, read, "a megabyte of MDX read"),
        },
    }


def sandbox(folder: Path, root: Path, python: str, runs: int) -> dict[str, Any]:
    """Start the MLflow sandbox, ask how much memory it has, end it.

    Parameters
    ----------
    folder : Path
        A folder in which the sandbox gets its own.
    root : Path
        The checkout.
    python : str
        The notebooks' Python, which starts it.
    runs : int
        How often. One more comes first, which may compile modules and make the
        template of the database.

    Returns
    -------
    dict
        ``up`` and ``down`` in seconds, ``megabytes`` (PSS of its three processes), and
        ``request``: milliseconds that MLflow's plugin adds while a token is fresh.
    """
    found: dict[str, Any] = {"up": [], "down": [], "megabytes": [], "request": []}
    where = ["--folder", str(folder / "sandbox")]

    def ask(word: str) -> Done:
        command = [python, "-m", "verify.sandbox", word, *where]
        return timed(command, root, PYTHONPATH=str(root))

    try:
        for number in range(runs + 1):
            up, said, down = ask("up"), ask("status").text, ask("down")
            size = int(re.search(r"In all (\d+) MB", said)[1])
            say(
                f"the sandbox, {number} of {runs}: up {up.seconds:.1f} s, {size} MB, "
                f"down {down.seconds:.1f} s"
            )
            if number:
                found["up"].append(round(up.seconds, 4))
                found["down"].append(round(down.seconds, 4))
                found["megabytes"].append(size)
    finally:
        ask("down")
    for _ in range(runs):
        command = [python, "-m", "verify.bench.request"]
        said = timed(command, root, PYTHONPATH=str(root)).text.splitlines()[-1]
        took = json.loads(said)
        found["request"].append(round(took["plugin"] - took["without"], 4))
    return found


def _calibrated(folder: Path) -> int:
    loop = handbook.LOOP.format(rounds=CALIBRATION)
    command = [sys.executable, "-c", loop]
    seconds = median(timed(command, folder).seconds for _ in range(3))
    return round(CALIBRATION * BUSY_SECONDS / seconds)


def _ran(before: Shown, after: Shown) -> list[str]:
    """Name the notebooks whose outputs come from another run than before."""
    return [n for n in before.moments if after.moments[n] != before.moments[n]]
