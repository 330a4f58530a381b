"""Keeps what a run proved, and says whether it still holds for what is in the tree."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from verify import digest, outcomes
from verify.catalog import Entry
from verify.outcomes import Outcome

SCHEMA = 1
REMEDY = "run python3 noxfile.py -s book"


class ReceiptError(ValueError):
    """A receipt file cannot be read as one."""


@dataclass(frozen=True)
class Receipt:
    """The evidence of one run.

    Attributes
    ----------
    notebook, profile : str
        What ran.
    status : str
        ``passed`` or ``failed``.
    reason : str or None
        Why it failed, in one sentence.
    failure : mapping or None
        ``kind`` (error, cell-timeout, notebook-timeout, kernel-died, worker-died,
        outcome, limit, setup, changed); where a cell is to blame also ``cell`` (counted
        from 1 over all cells of the source file), ``code_cell`` (over code cells),
        ``source`` (its first line) and ``tail`` (last lines of output and error).
    started : str
        UTC, ISO 8601.
    seconds : float
        The whole run, kernel start included.
    slowest_cells : list of mappings
        ``cell``, ``seconds``, ``source``; slowest first.
    peak_rss_gib : float or None
        Highest resident memory of the kernel and its children together.
    commit, dirty : str or None, bool
        The commit that was checked out, and whether files differed from it.
    key, key_parts : str, mapping
        See ``verify.digest``.
    device : mapping
        ``kind``, ``name`` and what the device can do.
    python, packages : str, mapping
        Versions that ran.
    parameters : mapping
        ``published`` values of the parameters cell and ``injected`` ones.
    outcomes : tuple of Outcome
        Recorded values with the expectation that judged them.
    executed_digest : str or None
        The sha256 of the executed notebook; None when it did not run to its end.
    """

    notebook: str
    profile: str
    status: str
    reason: str | None
    failure: Mapping[str, Any] | None
    started: str
    seconds: float
    slowest_cells: list[Mapping[str, Any]]
    peak_rss_gib: float | None
    commit: str | None
    dirty: bool
    key: str
    key_parts: Mapping[str, Any]
    device: Mapping[str, Any]
    python: str
    packages: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, Any]]
    outcomes: tuple[Outcome, ...]
    executed_digest: str | None
    schema: int = SCHEMA


@dataclass(frozen=True)
class Verdict:
    """What may be said now about one notebook under one profile.

    Attributes
    ----------
    status : str
        ``passed``: the receipt holds for the present tree. ``failed``: the last run or
        its outcomes did not hold. ``stale``: something under it changed since.
        ``never run``: there is no receipt, or no executed copy that belongs to it.
    reason : str or None
        One sentence, None when passed.
    receipt : Receipt or None
        The receipt that was judged.
    key : Key
        The present key.
    """

    status: str
    reason: str | None
    receipt: Receipt | None
    key: digest.Key


def receipt_path(root: Path, name: str, profile: str) -> Path:
    """Where a run on this machine leaves its receipt."""
    return root / "_build" / "receipts" / f"{name}.{profile}.json"


def committed_path(root: Path, name: str, profile: str) -> Path:
    """Where the receipt of a run that CI cannot repeat is kept in the repository."""
    return root / "receipts" / name / f"{profile}.json"


def executed_path(root: Path, name: str, profile: str = "cpu") -> Path:
    """Where a passed run leaves the notebook with its outputs."""
    folder = "notebooks" if profile == "cpu" else profile
    return root / "_build" / "executed" / folder / f"{name}.ipynb"


def failed_path(root: Path, name: str, profile: str = "cpu") -> Path:
    """Where a failed run leaves what it had, for the maintainer to open."""
    suffix = "" if profile == "cpu" else f".{profile}"
    return root / "_build" / "failed" / f"{name}{suffix}.ipynb"


def read(path: Path) -> Receipt:
    """Read one receipt; raise ReceiptError saying what is wrong with the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ReceiptError(f"receipt {path.name} is not readable: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ReceiptError(f"receipt {path.name} is not of schema {SCHEMA}")
    wanted = {field.name for field in fields(Receipt)}
    if set(data) != wanted:
        differing = ", ".join(sorted(set(data) ^ wanted))
        raise ReceiptError(f"receipt {path.name} lacks or adds: {differing}")
    judged = {field.name for field in fields(Outcome)}
    if not all(isinstance(o, dict) and set(o) == judged for o in data["outcomes"]):
        raise ReceiptError(f"receipt {path.name} has an outcome of another shape")
    data["outcomes"] = tuple(Outcome(**outcome) for outcome in data["outcomes"])
    return Receipt(**data)


def write(path: Path, receipt: Receipt) -> None:
    """Write one receipt beside its place, then move it there."""
    data = {"schema": receipt.schema, **asdict(receipt)}
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text beside its place, then move it there: no half file is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def verdict(entry: Entry, profile: str = "cpu") -> Verdict:
    """Judge the stored receipt of a notebook against the tree as it is now.

    A run of this machine goes before a receipt kept in the repository. For a run of
    this machine the executed copy must be there, be the one that was recorded, and
    carry the receipt's outcomes. The catalog's expectations are applied afresh.
    """
    root, name = entry.root, entry.name
    now = digest.key(entry.path, entry, profile)
    path = receipt_path(root, name, profile)
    here = path.is_file()
    if not here:
        path = committed_path(root, name, profile)
        if not path.is_file():
            return Verdict("never run", f"no run is on record; {REMEDY}", None, now)
    try:
        receipt = read(path)
    except ReceiptError as error:
        return Verdict("never run", f"{error}; {REMEDY}", None, now)
    if (receipt.notebook, receipt.profile) != (name, profile):
        reason = f"receipt {path.name} is of {receipt.notebook}.{receipt.profile}"
        return Verdict("never run", f"{reason}; {REMEDY}", None, now)
    status, reason = _judge(entry, receipt, now, here)
    return Verdict(status, reason, receipt, now)


def _judge(
    entry: Entry, receipt: Receipt, now: digest.Key, here: bool
) -> tuple[str, str | None]:
    if receipt.key != now.digest:
        parts = digest.changed(receipt.key_parts, now.parts)
        what = ", ".join(parts) or "the profile"
        where = "executed copy" if here else f"run at commit {receipt.commit}"
        return "stale", f"{where} is stale: {what} changed since; {REMEDY}"
    if receipt.status != "passed":
        return "failed", receipt.reason
    if here:
        copy = executed_path(entry.root, entry.name, receipt.profile)
        reason = mismatch(receipt, copy)
        if reason:
            return "never run", f"{reason}; {REMEDY}"
    judged = outcomes.judge(recorded(receipt), entry.expect)
    reason = shortfall(entry, receipt, judged)
    return ("failed", reason) if reason else ("passed", None)


def recorded(receipt: Receipt) -> dict[str, Any]:
    """Return the outcomes that the notebook recorded, without judgement."""
    return {o.name: o.value for o in receipt.outcomes if o.value is not None}


def mismatch(receipt: Receipt, copy: Path) -> str | None:
    """Say why an executed notebook is not the one that a receipt speaks of, or None."""
    if not copy.is_file():
        return "the executed copy is missing"
    if digest.file_digest(copy) != receipt.executed_digest:
        return "the executed copy was changed after its run"
    if outcomes.collect(digest.read_notebook(copy)) != recorded(receipt):
        return "the receipt's outcomes were changed after its run"
    return None


def shortfall(
    entry: Entry, receipt: Receipt, judged: tuple[Outcome, ...]
) -> str | None:
    """Say what a finished run fell short of, outcomes, memory or time; or None."""
    found = outcomes.problems(judged)
    limit, peak = entry.peak_rss_gib, receipt.peak_rss_gib
    if limit is not None and peak is None:
        found.append(f"peak memory was not measured; the limit is {limit} GiB")
    elif limit is not None and peak > limit:
        found.append(f"peak memory {peak:.2f} GiB is above the limit of {limit} GiB")
    if receipt.seconds > entry.time_limit:
        took = f"{receipt.seconds:.0f} s is above the limit of {entry.time_limit:g} s"
        found.append(f"the run of {took}")
    return "; ".join(found) or None
