"""Runs the bench: ``python3 noxfile.py -s bench``, prints its table and stores it.

``-- --keep`` also writes ``receipts/bench.json``, from which the page is made;
``-- --notebooks`` adds the real notebooks and the book; ``-- --quick`` tries it out;
``-- --large`` measures only what a large book takes, ``-- --sandbox`` only the sandbox.
A requirement that is missed makes it fail.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from verify import machine
from verify.bench import cases, handbook, imports, published, results, tree, where
from verify.bench.clock import BenchError, say

ROOT = Path(__file__).resolve().parents[2]
LATEST = Path("_build", "bench.json")
ENOUGH = 3
BOOK, NOTEBOOKS = "HANDBOOK_BOOK_PYTHON", "HANDBOOK_NOTEBOOKS_PYTHON"
TOOLS = "HANDBOOK_TOOLS_PYTHON"
RED, PLAIN = "\033[31m", "\033[0m"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, store; return 1 where a requirement is missed."""
    given = _parser().parse_args(argv)
    try:
        _check(given)
        data = measure(given)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    write(ROOT / LATEST, data)
    if given.keep:
        write(ROOT / results.KEPT, data)
    judged = results.rows(data)
    print("\n".join(table(judged, colored=sys.stdout.isatty())))
    for line in also(data):
        print(line)
    missed = [row for row in judged if not row.holds]
    if missed:
        names = ", ".join(row.name for row in missed)
        print(f"bench: {len(missed)} of {len(judged)} missed: {names}", file=sys.stderr)
    return 1 if missed else 0


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run every case on handbooks in a temporary folder."""
    began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    commit, dirty = where.commit(ROOT)
    python = os.environ[BOOK]
    waits = [0.3] * len(handbook.WAITS) if given.quick else handbook.WAITS
    found = {
        "schema": results.SCHEMA,
        "started": began,
        "commit": commit,
        "dirty": dirty,
        "machine": where.machine(),
        "load": {"runs": given.runs, "quick": given.quick, "waits": list(waits)},
    }
    part = given.large or given.sandbox
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        if not part:
            found["versions"] = where.versions(python)
            found |= _notebooks(folder, python, given.runs, waits)
        if given.sandbox or not part:
            found |= _sandbox(folder, given.runs)
        if given.large or not part:
            pages = tree.FEW if given.quick else tree.PAGES
            pythons = (python, os.environ[TOOLS])
            found["large"] = cases.large(folder / "large", pages, pythons, given.runs)
    if not part:
        found["imports"] = _imports(given.runs)
    if given.notebooks:
        found["figures"] = published.measure(ROOT, os.environ[NOTEBOOKS], given.runs)
    return found


def _notebooks(
    folder: Path, python: str, runs: int, waits: Sequence[float]
) -> dict[str, Any]:
    """Hold ``verify run`` against the other tools."""
    found: dict[str, Any] = {"scaling": cases.scaling(folder, runs)}
    book = handbook.generate(folder / "waiting", handbook.waiting(waits))
    found["waiting"] = cases.waiting(book, runs)
    found["overhead"] = cases.overhead(book, runs + 2)
    cases.fill(book, python)
    found["unchanged"] = cases.unchanged(book, runs + 4)
    found["answers"] = cases.answers(book, python)
    rounds = found["scaling"]["rounds"]
    found["busy"] = cases.busy(folder / "busy", rounds, runs)
    return found


def _sandbox(folder: Path, runs: int) -> dict[str, Any]:
    """Start and end the MLflow sandbox, where the machine can."""
    if lacks := machine.lacks("sandbox"):
        say(f"the MLflow sandbox is not measured: {lacks}")
        return {}
    if NOTEBOOKS not in os.environ:
        say(f"{NOTEBOOKS} is not set: the MLflow sandbox is not measured")
        return {}
    return {"sandbox": cases.sandbox(folder, ROOT, os.environ[NOTEBOOKS], runs)}


def table(judged: Sequence[results.Row], colored: bool) -> list[str]:
    """Return the judged rows as lines of text, what is missed in red."""
    head = ("what", "verify", "beside it", "", "ratio", "required", "")
    lines = [
        (r.what, r.ours, r.theirs, r.beside, r.ratio, r.required, _word(r))
        for r in judged
    ]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    made = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in [head, *lines]]
    reds = [False, *(colored and not row.holds for row in judged)]
    return [
        f"{RED}{line}{PLAIN}" if red else line
        for line, red in zip(made, reds, strict=True)
    ]


def also(data: dict[str, Any]) -> list[str]:
    """Return what was measured and has no requirement, as lines of text."""
    lines = []
    if "scaling" in data:
        speed = results.down(results.speedup(data))
        lines.append(f"two busy processes here do {speed} times the work of one")
    for name, times in data.get("imports", {}).items():
        share = results.import_share(times)
        took = f"{results.median(times['seconds']):.1f} s"
        told = "" if share is None else f", {share:.1%} of its run"
        lines.append(f"imports of {name}: {took}{told}")
    return lines + [published.row(figure) for figure in data.get("figures", [])]


def write(path: Path, data: dict[str, Any]) -> None:
    """Write beside, then move into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)
    say(f"wrote {path.relative_to(ROOT)}")


def _imports(runs: int) -> dict[str, Any]:
    python = os.environ.get(NOTEBOOKS)
    if python is None:
        say(f"{NOTEBOOKS} is not set: the imports of the notebooks are not measured")
        return {}
    return imports.measure(ROOT, python, runs)


def _check(given: argparse.Namespace) -> None:
    """Refuse what would measure nothing, or keep what proves nothing."""
    for name in (BOOK, TOOLS, *([NOTEBOOKS] if given.notebooks else ())):
        if name not in os.environ:
            raise BenchError(f"{name} is not set: run python3 noxfile.py -s bench")
    if given.keep and (given.large or given.sandbox):
        raise BenchError(
            "--keep asks for a whole bench: leave out --large and --sandbox"
        )
    if given.keep and (given.quick or given.runs < ENOUGH):
        raise BenchError(
            f"--keep asks for {ENOUGH} full runs or more, or its medians say little"
        )


def _word(row: results.Row) -> str:
    return "holds" if row.holds else "MISSED"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verify.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=ENOUGH, help="repetitions (3)")
    parser.add_argument("--quick", action="store_true", help="short loads, to try it")
    parser.add_argument("--keep", action="store_true", help="write receipts/bench.json")
    parser.add_argument(
        "--notebooks", action="store_true", help="time the real notebooks and the book"
    )
    parser.add_argument(
        "--large", action="store_true", help="measure only what a large book takes"
    )
    parser.add_argument(
        "--sandbox", action="store_true", help="measure only the MLflow sandbox"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
