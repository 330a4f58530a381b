"""Runs notebooks beside each other and turns every ending into a receipt."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from verify import digest, ending, executed, machine, receipts
from verify.catalog import Catalog, CatalogError, Entry
from verify.receipts import Receipt

HERE = Path(__file__).resolve().parents[1]
TICK = 0.05
SAMPLE_EVERY = 0.2
GRACE = 5.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How one command runs its notebooks; ``sockets`` is a folder with a short path."""

    profile: str
    jobs: int
    say: Say
    beat: float
    sockets: Path


class Interrupted(Exception):
    """A signal asked the run to end."""


@dataclass
class Running:
    """One notebook in flight: its worker, and what was seen of it so far."""

    entry: Entry
    profile: str
    receipt: Receipt
    work: Path
    folder: Path
    process: subprocess.Popen
    began: float
    tree: dict[int, psutil.Process] = field(default_factory=dict)
    peak: int = 0
    sampled: float = 0.0
    told: float = 0.0
    overdue: bool = False

    @property
    def seconds(self) -> float:
        """Wall time since the worker was started."""
        return time.monotonic() - self.began


def run(
    catalog: Catalog,
    names: Sequence[str] = (),
    profile: str = "cpu",
    *,
    force: bool = False,
    jobs: int | None = None,
    say: Say = print,
    beat: float = 30.0,
) -> dict[str, Receipt]:
    """Execute notebooks, or reuse results that still hold, and return their receipts.

    Parameters
    ----------
    catalog : Catalog
        From ``verify.catalog.load``.
    names : sequence of str
        Notebooks to run; none means every notebook that has the profile.
    profile : str
        The profile to run under.
    force : bool
        Run even where a stored result still holds.
    jobs : int, optional
        How many notebooks at once; when not given, one for every usable core, and
        one alone where the profile needs an accelerator.
    say : callable
        Receives each line of progress.
    beat : float
        Seconds between two signs of life of a running notebook.

    Raises
    ------
    CatalogError
        When a name or profile does not exist, or the machine lacks what it needs.
    Interrupted
        On Ctrl-C or SIGTERM, after every kernel was ended. Finished work stays.
    """
    entries = _select(catalog, names, profile)
    results: dict[str, Receipt] = {}
    waiting: list[Entry] = []
    for entry in entries:
        kept = None if force else reuse(entry, profile)
        if kept is None:
            waiting.append(entry)
        else:
            results[entry.name] = kept
            say(_line(kept, "unchanged, "))
    waiting.sort(key=lambda entry: _expected_seconds(entry, profile), reverse=True)
    with (
        _locked(catalog.root, waiting),
        tempfile.TemporaryDirectory(prefix="verify-") as sockets,
        _signals_raise(),
    ):
        at_once = jobs or _at_once(entries, profile)
        options = Options(profile, at_once, say, beat, Path(sockets))
        _execute_all(waiting, options, results)
    return {entry.name: results[entry.name] for entry in entries}


def reuse(entry: Entry, profile: str) -> Receipt | None:
    """Return the stored receipt where its run need not be repeated, else None.

    A run whose key still holds is judged by the catalog as it is now. One that passed
    and no longer would, fails at once; one that failed is run again unless it now
    passes. Where prose has moved on, the executed copy takes it over.
    """
    place = (entry.root, entry.name, profile)
    try:
        receipt = receipts.read(receipts.receipt_path(*place))
    except receipts.ReceiptError:
        return None
    passed = receipt.status == "passed"
    copy = (receipts.executed_path if passed else receipts.failed_path)(*place)
    now = digest.key(entry.path, entry, profile)
    if receipt.key != now.digest or receipts.mismatch(receipt, copy):
        return None
    fresh = ending.rejudge(entry, receipt, copy)
    if fresh.status == "passed":
        return _with_present_prose(entry, fresh)
    return fresh if passed else None


def _with_present_prose(entry: Entry, receipt: Receipt) -> Receipt:
    place = (entry.root, entry.name, receipt.profile)
    copy = receipts.executed_path(*place)
    before = digest.read_notebook(copy)
    after = executed.refresh(digest.read_notebook(entry.path), before)
    if after == before:
        return receipt
    text = json.dumps(after, indent=1, ensure_ascii=False, sort_keys=True)
    receipts.write_text(copy, text + "\n")
    receipt = replace(receipt, executed_digest=digest.file_digest(copy))
    receipts.write(receipts.receipt_path(*place), receipt)
    return receipt


def published_parameters(notebook: dict) -> dict[str, Any]:
    """Read the values that the cell tagged ``parameters`` assigns.

    A value that is no literal is given as its source text.
    """
    found: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if "parameters" not in digest.tags_of(cell):
            continue
        for node in ast.parse(digest.source_of(cell)).body:
            single = isinstance(node, ast.Assign) and len(node.targets) == 1
            target = node.targets[0] if single else getattr(node, "target", None)
            if isinstance(target, ast.Name) and node.value is not None:
                found[target.id] = _literal(node.value)
    return found


def _select(catalog: Catalog, names: Sequence[str], profile: str) -> list[Entry]:
    named = [catalog.entry(name) for name in dict.fromkeys(names)]
    entries = named or [entry for entry in catalog if profile in entry.profiles]
    if not entries:
        raise CatalogError(f"no notebook of the catalog has a profile {profile!r}")
    for entry in entries:
        if profile not in entry.profiles:
            known = ", ".join(entry.profiles)
            raise CatalogError(f"{entry.name}: no profile {profile!r}; it has: {known}")
        try:
            published_parameters(digest.read_notebook(entry.path))
        except SyntaxError as error:
            where = f"{entry.relative_path}: the cell tagged 'parameters'"
            raise CatalogError(f"{where} is not plain Python: {error}") from error
        lacking = machine.unmet(entry.profiles[profile])
        if lacking:
            raise CatalogError(f"{entry.name}: profile {profile!r} {lacking}")
    return entries


def _execute_all(
    waiting: list[Entry], options: Options, results: dict[str, Receipt]
) -> None:
    """Keep up to ``jobs`` notebooks in flight; put each receipt into ``results``."""
    running: list[Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < options.jobs:
                started = _start(waiting.pop(0), options)
                if isinstance(started, Running):
                    running.append(started)
                else:
                    results[started.notebook] = started
            time.sleep(TICK)
            for one in list(running):
                _watch(one, options)
                if one.process.poll() is not None:
                    running.remove(one)
                    receipt = _finish(one)
                    results[receipt.notebook] = receipt
                    options.say(_line(receipt))
    finally:
        for one in running:
            _end_tree(one)


def _start(entry: Entry, options: Options) -> Running | Receipt:
    """Drop what an earlier run left, and start a worker in a fresh folder."""
    root, name, profile = entry.root, entry.name, options.profile
    for old in (
        receipts.receipt_path(root, name, profile),
        receipts.executed_path(root, name, profile),
        receipts.failed_path(root, name, profile),
    ):
        old.unlink(missing_ok=True)
    receipt, problem = _blank(entry, profile)
    if problem:
        receipt = ending.failed(receipt, "setup", problem)
        receipts.write(receipts.receipt_path(root, name, profile), receipt)
        options.say(_line(receipt))
        return receipt
    work = root / "_build" / "work" / name
    folder = root / "_build" / "jobs" / f"{name}.{profile}"
    for fresh in (work, folder):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    job = {
        "notebook": str(entry.path),
        "root": str(root),
        "work": str(work),
        "parameters": dict(entry.profiles[profile].parameters),
        "cell_time_limit": entry.cell_time_limit,
    }
    receipts.write_text(folder / "job.json", json.dumps(job))
    offline = not entry.profiles[profile].needs
    process = _spawn(folder, options.sockets, offline)
    options.say(f"{name} [{profile}] started, limit {entry.time_limit:g} s")
    return Running(entry, profile, receipt, work, folder, process, time.monotonic())


def _blank(entry: Entry, profile: str) -> tuple[Receipt, str | None]:
    """Make the receipt of a run that has yet to happen, and say what forbids it."""
    notebook = digest.read_notebook(entry.path)
    published = published_parameters(notebook)
    injected = dict(entry.profiles[profile].parameters)
    versions, missing = machine.packages(entry)
    commit, dirty = machine.commit(entry.root)
    key = digest.key(entry.path, entry, profile)
    unknown = [name for name in injected if name not in published]
    problem = None
    if missing:
        problem = f"not installed, though the catalog lists it: {', '.join(missing)}"
    elif unknown:
        problem = f"no cell tagged 'parameters' assigns: {', '.join(unknown)}"
    receipt = Receipt(
        notebook=entry.name,
        profile=profile,
        status="failed",
        reason=None,
        failure=None,
        started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=0.0,
        slowest_cells=[],
        peak_rss_gib=None,
        commit=commit,
        dirty=dirty,
        key=key.digest,
        key_parts=key.parts,
        device=machine.device(entry.profiles[profile]),
        python=".".join(map(str, sys.version_info[:3])),
        packages=versions,
        parameters={"published": published, "injected": injected},
        outcomes=(),
        executed_digest=None,
    )
    return receipt, problem


def _spawn(folder: Path, sockets: Path, offline: bool) -> subprocess.Popen:
    """Start a worker in a session of its own, so that Ctrl-C reaches only this process.

    The worker reads its stdin to the end: should this process die, it leaves too.
    """
    own = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "PATH": os.pathsep.join([own, os.environ.get("PATH", "")]),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(sockets),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    environment.pop("MPLBACKEND", None)
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "verify.worker", str(folder / "job.json")],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _watch(one: Running, options: Options) -> None:
    """Sample memory, enforce the notebook's limit, and give a sign of life."""
    if one.seconds - one.sampled >= SAMPLE_EVERY or not one.tree:
        one.sampled = one.seconds
        _sample(one)
    if one.seconds > one.entry.time_limit and not one.overdue:
        one.overdue = True
        one.process.terminate()
    if one.seconds > one.entry.time_limit + GRACE:
        one.process.kill()
    if one.seconds - one.told >= options.beat:
        one.told = one.seconds
        now = ending.current_cell(one.folder)
        of = len(digest.read_notebook(one.entry.path)["cells"])
        at = f"cell {now['cell']} of {of}" if now else "the kernel starts"
        who = f"{one.entry.name} [{one.profile}]"
        options.say(f"{who} still running: {one.seconds:.0f} s, {at}")


def _sample(one: Running) -> None:
    """Add up the resident memory of the kernel and everything below it.

    A page that processes share counts once: a kernel that starts a program is two
    processes with the same pages for a moment. A single process's own high mark, which
    no sampling can miss, counts too.
    """
    pids, total = [], 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(one.process.pid).children(recursive=True):
            one.tree.setdefault(process.pid, process)
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
                one.peak = max(one.peak, machine.peak_memory(process.pid))
                pids.append(process.pid)
    if total > one.peak:  # only then is the slower look worth it
        one.peak = max(one.peak, sum(map(machine.memory, pids)))


def _finish(one: Running) -> Receipt:
    """End what is left of a run and have it judged."""
    seconds = one.seconds
    _end_tree(one)
    return ending.finish(
        ending.Ended(
            entry=one.entry,
            receipt=one.receipt,
            folder=one.folder,
            work=one.work,
            seconds=seconds,
            peak=one.peak,
            code=one.process.returncode,
            overdue=one.overdue,
        )
    )


def _end_tree(one: Running) -> None:
    """End the worker, its kernel and whatever the notebook started and left behind."""
    if one.process.poll() is None:
        _sample(one)
    for process in one.tree.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    one.process.kill()
    one.process.wait()
    one.process.stdin.close()


def _line(receipt: Receipt, prefix: str = "") -> str:
    """Tell in a few lines how a notebook ended."""
    head = f"{receipt.notebook} [{receipt.profile}] {prefix}{receipt.status}"
    if receipt.status == "passed":
        peak = receipt.peak_rss_gib or 0.0
        return f"{head} in {receipt.seconds:.1f} s, peak memory {peak:.2f} GiB"
    tail = (receipt.failure or {}).get("tail", [])
    return "\n".join(
        [
            f"{head} after {receipt.seconds:.1f} s",
            f"  notebooks/{receipt.notebook}.ipynb: {receipt.reason}",
            *[f"    | {line}" for line in tail],
        ]
    )


def _expected_seconds(entry: Entry, profile: str) -> float:
    """Take the last run's duration, so that the longest, or unknown, starts first."""
    path = receipts.receipt_path(entry.root, entry.name, profile)
    try:
        return receipts.read(path).seconds
    except receipts.ReceiptError:
        return math.inf


def _literal(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return ast.unparse(node)
    return value


def _at_once(entries: Sequence[Entry], profile: str) -> int:
    """Give every kernel a core of its own, and every accelerator one kernel."""
    if any(entry.profiles[profile].needs for entry in entries):
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _locked(root: Path, entries: Sequence[Entry]) -> Iterator[None]:
    """Keep a second command from running the same notebook in the same folders."""
    import fcntl

    with contextlib.ExitStack() as stack:
        for entry in entries:
            path = root / "_build" / "jobs" / f"{entry.name}.lock"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CatalogError(
                    f"{entry.name} is being run by another command; wait for it"
                ) from error
        yield


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an exception, so that kernels end on its way."""

    def stop(number: int, _: Any) -> None:
        raise Interrupted(signal.Signals(number).name)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
