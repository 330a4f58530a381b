"""Explains where a notebook stands: what changed under it since its last run."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from verify import imports, receipts
from verify.catalog import Entry
from verify.source import INJECTED, code_cells, read_notebook, source_of, tags_of

CONTEXT = 1
MOST = 40  # lines of a difference, then it is cut


def explain(entry: Entry, profile: str) -> Iterator[str]:
    """Say, line by line, what stands for a notebook and what changed since its run.

    Parameters
    ----------
    entry : Entry
        The notebook.
    profile : str
        The profile to look at.
    """
    verdict = receipts.verdict(entry, profile)
    receipt = verdict.receipt
    yield f"{entry.name} [{profile}]: {verdict.status}"
    if verdict.reason:
        yield f"  {verdict.reason}"
    if receipt is None:
        return
    commit = f" at commit {receipt.commit}" if receipt.commit else ""
    yield f"  last run {receipt.started}{commit}: {receipt.status}"
    before, after = receipt.key_parts, verdict.key.parts
    if verdict.key.digest == receipt.key:
        yield f"  nothing under it changed: key {receipt.key[:16]}"
        return
    if before["code"] != after["code"]:
        yield from _cells(entry, profile)
    yield from _mapping("injected parameter", before, after, "parameters")
    yield from _modules(entry, before, after)
    yield from _mapping("fixture", before, after, "fixtures", shown=False)
    yield from _mapping("sandbox file", before, after, "sandbox", shown=False)
    yield from _mapping("locked version of", before, after, "versions")


def _cells(entry: Entry, profile: str) -> Iterator[str]:
    """Show how the code differs from the copy that ran, where that copy is here."""
    new = [source for source, _ in code_cells(read_notebook(entry.path))]
    copy = receipts.executed_path(entry.root, entry.name, profile)
    if not copy.is_file():
        copy = receipts.failed_path(entry.root, entry.name, profile)
    if not copy.is_file():
        yield "  code cells changed; what ran before is not on this machine"
        return
    old = [
        source_of(cell)
        for cell in read_notebook(copy)["cells"]
        if cell["cell_type"] == "code" and INJECTED not in tags_of(cell)
    ]
    yield "  code cells changed:"
    lines = difflib.unified_diff(
        _lines(old), _lines(new), "ran", "now", n=CONTEXT, lineterm=""
    )
    shown = [line for line in lines if not line.startswith("@@")]
    yield from (f"    {line}" for line in shown[:MOST])
    if len(shown) > MOST:
        yield f"    … and {len(shown) - MOST} more lines"
    if not shown:
        yield "    only the tags that change a run"


def _lines(cells: list[str]) -> list[str]:
    """Return the cells' lines, blank cells left out."""
    return [line for cell in cells if cell.strip() for line in cell.splitlines()]


def _modules(
    entry: Entry, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    """Name each module that changed, and the way the notebook reaches it."""
    old, new = before["snippets"], after["snippets"]
    sources = [source for source, _ in code_cells(read_notebook(entry.path))]
    reach = imports.reach(entry.root, sources)
    for module in sorted({*old, *new}):
        if old.get(module) == new.get(module):
            continue
        if module not in new:
            yield f"  module {module} is no longer reached"
            continue
        what = "changed" if module in old else "is reached now"
        yield f"  module {module} {what}: {' > '.join(reach.chain(module))}"


def _mapping(
    what: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    part: str,
    shown: bool = True,
) -> Iterator[str]:
    """Name each item of a part that changed, with both values where they say much."""
    old, new = before.get(part, {}), after.get(part, {})
    for name in sorted({*old, *new}):
        was, now = old.get(name, "none"), new.get(name, "none")
        if was != now:
            yield f"  {what} {name} changed" + (f": {was} to {now}" if shown else "")
