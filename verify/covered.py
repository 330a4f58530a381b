"""Measures which tests run the code that pages show, so that no caption guesses.

``python -m verify.covered`` runs tests under coverage, with the name of the running
test as context, and writes ``receipts/covered.json``: for each file that a page shows,
its digest and, for ranges of its lines, the tests that executed them. ``--changed``
measures the files that changed since, with the test files that ran them then.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEPT = Path("receipts", "covered.json")
SCHEMA = 1
SHOWN = re.compile(r"(?:\{snippet\}\s+|file=\\?\"<root>/)(?P<path>[\w./-]+\.py)#")
PAGES = ("docs/**/*.md", "docs/**/*.mdx", "docs/**/*.ipynb", "notebooks/*.ipynb")
TESTS = ("tests/snippets", "tests/verify/test_receipts.py")


def digest(path: Path) -> str:
    """Return the digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shown_files(root: Path) -> list[str]:
    """Return the Python files that any page shows a part of."""
    found: set[str] = set()
    for pattern in PAGES:
        for page in root.glob(pattern):
            text = page.read_text(encoding="utf-8")
            found |= {match["path"] for match in SHOWN.finditer(text)}
    return sorted(path for path in found if (root / path).is_file())


def body_lines(text: str) -> set[int]:
    """Return the lines inside functions: what stands outside runs on import alone."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= set(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
    return found


def test_id(context: str) -> str | None:
    """Return ``tests/a/test_b.py::test_c`` for a context, None if it is no test's."""
    module, _, name = context.rpartition(".")
    while module and not module.rpartition(".")[2].startswith("test_"):
        module, _, outer = module.rpartition(".")
        name = f"{outer}::{name}"
    return f"{module.replace('.', '/')}.py::{name}" if module else None


def ranges(lines: Mapping[int, frozenset[str]]) -> list[dict[str, Any]]:
    """Join neighboring lines that the same tests ran."""
    rows: list[dict[str, Any]] = []
    ordered = sorted((line, tests) for line, tests in lines.items() if tests)
    keyed = enumerate(ordered)
    for _, group in groupby(keyed, lambda one: (one[1][0] - one[0], one[1][1])):
        found = [row for _, row in group]
        tests = sorted(found[0][1])
        rows.append({"first": found[0][0], "last": found[-1][0], "tests": tests})
    return rows


def covering(
    kept: Mapping[str, Any], root: Path, path: str, first: int, last: int
) -> list[str]:
    """Return the tests that ran lines of a range; none if the file has changed since.

    Parameters
    ----------
    kept
        The content of ``receipts/covered.json``.
    root
        The checkout.
    path
        The shown file, as the page names it.
    first, last
        Lines, from 1, both included.

    Returns
    -------
    list of str
        Test ids whose function still stands in its file, sorted.
    """
    entry = kept.get("files", {}).get(path)
    if entry is None or entry["digest"] != digest(root / path):
        return []
    rows = [
        row for row in entry["lines"] if row["first"] <= last and row["last"] >= first
    ]
    tests = sorted({test for row in rows for test in row["tests"]})
    return [test for test in tests if _stands(root, test)]


def _stands(root: Path, test: str) -> bool:
    path, *names = test.split("::")
    file = root / path
    named = rf"^\s*def {re.escape(names[-1])}\("
    return file.is_file() and bool(
        re.search(named, file.read_text("utf-8"), re.MULTILINE)
    )


def stale(kept: Mapping[str, Any], root: Path) -> list[str]:
    """Return the shown files that the record lacks or has of an earlier state."""
    known = kept.get("files", {})
    return [
        path
        for path in shown_files(root)
        if path not in known or known[path]["digest"] != digest(root / path)
    ]


def load(root: Path) -> dict[str, Any]:
    """Return the record; an empty one where none is kept."""
    path = root / KEPT
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def ran_before(kept: Mapping[str, Any], root: Path, paths: Iterable[str]) -> list[str]:
    """Return the test files that ran these files then; all, where one is not known."""
    known = kept.get("files", {})
    found: set[str] = set()
    for path in paths:
        rows = known.get(path, {}).get("lines", [])
        tests = {test.partition("::")[0] for row in rows for test in row["tests"]}
        if not (there := {test for test in tests if (root / test).is_file()}):
            return list(TESTS)
        found |= there
    return sorted(found)


def measure(
    root: Path, arguments: list[str], files: list[str]
) -> tuple[int, dict[str, Any]]:
    """Run pytest under coverage; return its exit code and the record of the files."""
    import coverage
    import pytest

    include = [str(root / path) for path in files]
    run = coverage.Coverage(data_file=None, config_file=False, include=include)
    run.set_option("run:dynamic_context", "test_function")
    run.start()
    code = pytest.main(["-q", *arguments])
    run.stop()
    found = {path: _entry(run.get_data(), root, path) for path in files}
    return int(code), {"schema": SCHEMA, "files": found}


def _entry(data: Any, root: Path, path: str) -> dict[str, Any]:
    inside = body_lines((root / path).read_text(encoding="utf-8"))
    contexts: dict[int, Iterable[str]] = data.contexts_by_lineno(str(root / path))
    lines = {
        line: frozenset(filter(None, map(test_id, contexts[line])))
        for line in contexts.keys() & inside
    }
    return {"digest": digest(root / path), "lines": ranges(lines)}


def main(words: list[str]) -> int:
    """Measure and write the record; keep the old one if a test failed."""
    files, kept = shown_files(ROOT), load(ROOT)
    if words == ["--changed"]:
        changed = stale(kept, ROOT)
        if not changed:
            print(f"covered: {KEPT} is of the files as they are")
            return 0
        code, record = measure(ROOT, ran_before(kept, ROOT, changed), changed)
        known = {path: kept["files"][path] for path in files if path not in changed}
        record["files"] = dict(sorted((known | record["files"]).items()))
    else:
        code, record = measure(ROOT, words or list(TESTS), files)
    if code:
        print(f"covered: tests failed (exit {code}); {KEPT} is as it was")
        return code
    beside = (ROOT / KEPT).with_suffix(".json.tmp")
    beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, ROOT / KEPT)
    print(f"covered: wrote {KEPT} for {len(record['files'])} files")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
