"""Keeps what a run proved, and says whether it still holds for what is in the tree."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from verify import digest, machine, outcomes
from verify.catalog import CATALOG, Entry
from verify.outcomes import Outcome
from verify.source import published_parameters, read_notebook
from verify.versions import LOCKS

SCHEMA = 2
SCHEMA_FILE = Path(__file__).with_name("receipt.schema.json")
PUBLISHED = "cpu"
STATUSES = (
    "passed",
    "failed",
    "timeout",
    "crashed",
    "skipped",
    "stale",
    "never run",
)


class ReceiptError(ValueError):
    """A receipt file cannot be read as one."""


@dataclass(frozen=True)
class Receipt:
    """The evidence of one run; ``receipt.schema.json`` describes the file.

    Attributes
    ----------
    notebook, profile : str
        What ran.
    status : str
        ``passed``, ``failed``, ``timeout``, ``crashed`` or ``skipped``.
    reason : str or None
        Why it did not pass, in one sentence.
    failure : mapping or None
        ``kind`` (see the schema); where a cell is to blame also ``cell`` (counted
        from 1 over all cells of the source file), ``code_cell`` (over code cells),
        ``source`` (its first line) and ``tail`` (last lines of output and error).
    skip : mapping or None
        ``probe``, ``observed``, ``reason``, ``owner``, ``expires``.
    started : str
        UTC, ISO 8601.
    seconds : float
        The whole run, kernel start included.
    slowest_cells : list of mappings
        ``cell``, ``seconds``, ``source``; slowest first.
    peak_rss_gib, peak_vram_gib : float or None
        Highest resident memory of the kernel and its children together, and highest
        memory of its GPU above what was in use before.
    commit, dirty : str or None, bool
        The commit that was checked out, and whether files differed from it.
    key, key_parts : str, mapping
        See ``verify.digest``.
    device : mapping
        ``kind``, ``name`` and what the device can do.
    python, packages : str, mapping
        Versions that were installed, of every package under the notebook.
    parameters : mapping
        ``published`` values of the parameters cell and ``injected`` ones.
    outcomes : tuple of Outcome
        Recorded values with the expectation that judged them.
    stderr : list of mappings
        What was written to stderr: ``cell``, ``text``, and ``allowed``: the catalog's
        reason, or None.
    executed_digest : str or None
        The sha256 of the executed notebook; None when it did not run to its end.
    alone : mapping or None
        What a run of the standalone copy showed; see ``verify.standalone.sandbox``.
    sandbox : mapping or None
        ``versions`` of the MLflow sandbox that ran beside it, and which of its parts
        are ``doubles``. The file has no such key where none ran.
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
    peak_vram_gib: float | None = None
    skip: Mapping[str, str] | None = None
    stderr: tuple[Mapping[str, Any], ...] = ()
    alone: Mapping[str, Any] | None = None
    sandbox: Mapping[str, Any] | None = None
    schema: int = SCHEMA


@dataclass(frozen=True)
class Verdict:
    """What may be said now about one notebook under one profile.

    Attributes
    ----------
    status : str
        ``passed``: the receipt holds for the present tree. ``failed``, ``timeout``,
        ``crashed``: the last run did not. ``skipped``: its probe said so, and the skip
        has not expired. ``stale``: something under it changed since. ``never run``:
        there is no receipt, or no executed copy that belongs to it.
    reason : str or None
        One sentence, None when passed.
    receipt : Receipt or None
        The receipt that was judged.
    key : Key
        The present key.
    since : str or None
        For a stale run, the commit that made it stale; None when no commit did yet.
    """

    status: str
    reason: str | None
    receipt: Receipt | None
    key: digest.Key
    since: str | None = None


def receipt_path(root: Path, name: str, profile: str) -> Path:
    """Where a run on this machine leaves its receipt."""
    return root / "_build" / "receipts" / f"{name}.{profile}.json"


def committed_path(root: Path, name: str, profile: str) -> Path:
    """Where the receipt of a run that CI cannot repeat is kept in the repository."""
    return root / "receipts" / name / f"{profile}.json"


def executed_path(root: Path, name: str, profile: str = PUBLISHED) -> Path:
    """Where a passed run leaves the notebook with its outputs."""
    folder = "notebooks" if profile == PUBLISHED else profile
    return root / "_build" / "executed" / folder / f"{name}.ipynb"


def failed_path(root: Path, name: str, profile: str = PUBLISHED) -> Path:
    """Where a failed run leaves what it had, for the maintainer to open."""
    suffix = "" if profile == PUBLISHED else f".{profile}"
    return root / "_build" / "failed" / f"{name}{suffix}.ipynb"


def read(path: Path) -> Receipt:
    """Read one receipt; raise ReceiptError saying what is wrong with the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ReceiptError(f"receipt {path.name} is not readable: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ReceiptError(f"receipt {path.name} is not of schema {SCHEMA}")
    seal = data.pop("seal", None)
    wanted = {field.name for field in fields(Receipt)}
    wanted -= {"sandbox"} - set(data)
    if set(data) != wanted:
        differing = ", ".join(sorted(set(data) ^ wanted))
        raise ReceiptError(f"receipt {path.name} lacks or adds: {differing}")
    if seal != digest.text_digest(data):
        raise ReceiptError(f"receipt {path.name} was edited after its run")
    data["outcomes"] = tuple(Outcome(**outcome) for outcome in data["outcomes"])
    data["stderr"] = tuple(data["stderr"])
    return Receipt(**data)


def write(path: Path, receipt: Receipt) -> None:
    """Write one receipt, sealed, beside its place, then move it there."""
    data = json.loads(json.dumps(asdict(receipt), allow_nan=False))
    if receipt.sandbox is None:
        del data["sandbox"]
    sealed = {"schema": receipt.schema, **data, "seal": digest.text_digest(data)}
    write_text(path, json.dumps(sealed, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text beside its place, then move it there: no half file is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def verdict(entry: Entry, profile: str = PUBLISHED) -> Verdict:
    """Judge the stored receipt of a notebook against the tree as it is now.

    A run of this machine goes before a receipt kept in the repository, unless it was
    skipped. For a run of this machine the executed copy must be there, be the one that
    was recorded, and carry the receipt's outcomes. The catalog's expectations are
    applied afresh.
    """
    now = digest.key(entry.path, entry, profile)
    skip = entry.profiles[profile].skip
    if skip and (expired := skip.expired()):
        return Verdict("failed", expired, None, now)
    found = [
        (path, here)
        for path, here in (
            (receipt_path(entry.root, entry.name, profile), True),
            (committed_path(entry.root, entry.name, profile), False),
        )
        if path.is_file()
    ]
    nothing = f"no run is on record; {remedy(profile)}"
    verdict = Verdict("never run", nothing, None, now)
    for path, here in found:
        verdict = _of_file(entry, profile, path, here, now)
        if verdict.status != "skipped":
            break
    return verdict


def _of_file(
    entry: Entry, profile: str, path: Path, here: bool, now: digest.Key
) -> Verdict:
    try:
        receipt = read(path)
    except ReceiptError as error:
        return Verdict("never run", f"{error}; {remedy(profile)}", None, now)
    if (receipt.notebook, receipt.profile) != (entry.name, profile):
        reason = f"receipt {path.name} is of {receipt.notebook}.{receipt.profile}"
        return Verdict("never run", f"{reason}; {remedy(profile)}", None, now)
    status, reason = _judge(entry, receipt, now, here)
    if status != "stale":
        return Verdict(status, reason, receipt, now)
    commit, words = since(entry, receipt, now)
    kind = "executed copy" if here else "kept run"
    where = f"the {kind if receipt.status == 'passed' else receipt.status + ' run'}"
    reason = f"{where} is stale {words}: {reason} changed; {remedy(profile)}"
    return Verdict(status, reason, receipt, now, commit)


def _judge(
    entry: Entry, receipt: Receipt, now: digest.Key, here: bool
) -> tuple[str, str | None]:
    if receipt.status == "skipped":
        return _judge_skip(entry, receipt)
    if receipt.key != now.digest:
        return "stale", ", ".join(digest.changed(receipt.key_parts, now.parts))
    if here and not of_this_python(receipt):
        return "stale", f"Python (then {receipt.python})"
    if receipt.status != "passed":
        return receipt.status, receipt.reason
    if here:
        copy = executed_path(entry.root, entry.name, receipt.profile)
        reason = mismatch(receipt, copy)
        if reason:
            return "never run", f"{reason}; {remedy(receipt.profile)}"
    reason = shortfall(entry, replace(receipt, stderr=judge_stderr(entry, receipt)))
    return ("failed", reason) if reason else ("passed", None)


def _judge_skip(entry: Entry, receipt: Receipt) -> tuple[str, str]:
    skip = entry.profiles[receipt.profile].skip
    if skip is None or receipt.skip is None:
        return (
            "never run",
            f"it was skipped, and its skip is gone; {remedy(receipt.profile)}",
        )
    seen = receipt.skip["observed"]
    return "skipped", f"{skip.reason} ({seen}; {skip.owner}, until {skip.expires})"


def of_this_python(receipt: Receipt) -> bool:
    """Say whether a run was made by the Python that asks, patch releases aside."""
    return receipt.python.split(".")[:2] == [str(n) for n in sys.version_info[:2]]


def remedy(profile: str) -> str:
    """Say which command makes a fresh run under a profile."""
    if profile == PUBLISHED:
        return "run python3 noxfile.py -s book"
    if profile == "cuda":
        return "run python3 noxfile.py -s gpu on a CUDA machine"
    if profile in ("standalone", "sso"):
        return f"run python3 noxfile.py -s {profile}"
    return f"run python3 noxfile.py -s run -- --profile {profile}"


def recorded(receipt: Receipt) -> dict[str, Any]:
    """Return the outcomes that the notebook recorded, without judgement."""
    return {o.name: o.value for o in receipt.outcomes if o.value is not None}


def mismatch(receipt: Receipt, copy: Path) -> str | None:
    """Say why an executed notebook is not the one that a receipt speaks of, or None."""
    if not copy.is_file():
        return "the executed copy is missing"
    if digest.file_digest(copy) != receipt.executed_digest:
        return "the executed copy was changed after its run"
    if outcomes.collect(read_notebook(copy)) != recorded(receipt):
        return "the receipt's outcomes were changed after its run"
    return None


def judge_stderr(entry: Entry, receipt: Receipt) -> tuple[Mapping[str, Any], ...]:
    """Hold what a run wrote to stderr against what the catalog allows now."""
    return tuple(
        {**said, "allowed": outcomes.allowed(said["text"], entry.allow_stderr)}
        for said in receipt.stderr
    )


def shortfall(entry: Entry, receipt: Receipt) -> str | None:
    """Say what a finished run fell short of, or None.

    Its outcomes and its stderr are judged by the catalog as it is now, its memory and
    its time by the limits.
    """
    found = outcomes.problems(outcomes.judge(recorded(receipt), entry.expect))
    found += outcomes.stderr_problems(receipt.stderr)
    limit, peak = entry.peak_rss_gib, receipt.peak_rss_gib
    if limit is not None and peak is None:
        found.append(f"peak memory was not measured; the limit is {limit} GiB")
    elif limit is not None and peak > limit:
        found.append(f"peak memory {peak:.2f} GiB is above the limit of {limit} GiB")
    if receipt.seconds > entry.time_limit:
        took = f"{receipt.seconds:.0f} s is above the limit of {entry.time_limit:g} s"
        found.append(f"the run of {took}")
    return "; ".join(found) or None


def since(entry: Entry, receipt: Receipt, now: digest.Key) -> tuple[str | None, str]:
    """Find the first commit after a run that changed what it rests on.

    Returns
    -------
    commit : str or None
        Its short hash, None when no commit did.
    words : str
        ``since 1a2b3c4``, or why no commit can be named.
    """
    if receipt.commit is None:
        return None, "since an unknown commit"
    if (
        machine.git(entry.root, "cat-file", "-e", f"{receipt.commit}^{{commit}}")
        is None
    ):
        return (
            None,
            f"since a commit after {receipt.commit}, which is not in this clone",
        )
    paths = _paths(entry, receipt, now)
    commits = machine.git(
        entry.root,
        *("log", "--reverse", "--format=%h", f"{receipt.commit}..HEAD", "--", *paths),
    )
    first = (commits or "").split("\n")[0]
    return (first, f"since {first}") if first else (None, "since uncommitted changes")


def _paths(entry: Entry, receipt: Receipt, now: digest.Key) -> list[str]:
    """List the files that hold the differing parts of two keys."""
    before, after = receipt.key_parts, now.parts
    places = {
        "code": [entry.relative_path],
        "parameters": [CATALOG],
        "versions": [LOCKS],
    }
    paths: list[str] = []
    for part, files in places.items():
        paths += files if before.get(part) != after[part] else []
    for part in ("snippets", "fixtures", "sandbox"):
        old, new = before.get(part, {}), after.get(part, {})
        paths += [path for path in {*old, *new} if old.get(path) != new.get(path)]
    return paths


def unproven(entry: Entry, verdicts: Mapping[str, Verdict]) -> list[str]:
    """List published parameters whose value no passed run proves, a sentence each.

    A run that other changes made stale still proves its parameters. What the catalog
    declares under ``unproven`` is left out; what it declares needlessly is a fault.
    """
    if verdicts[PUBLISHED].status != "passed":
        return []  # nothing to add to what is wrong, or was skipped, already
    published = published_parameters(read_notebook(entry.path))
    held = [
        v.receipt.parameters
        for v in verdicts.values()
        if v.receipt
        and v.receipt.status == "passed"
        and v.status in ("passed", "stale")
    ]
    found = []
    for name, value in published.items():
        proven = any(ran["injected"].get(name, value) == value for ran in held)
        if not proven and name not in entry.unproven:
            found.append(
                f"the published parameter {name} = {value!r} was never proven: no "
                "passed run used it; run a profile that does, or declare it in "
                f"{CATALOG} under unproven, with the reason"
            )
        elif proven and name in entry.unproven:
            found.append(f"{name} is declared unproven, and a run has proven it")
    unknown = [name for name in entry.unproven if name not in published]
    return found + [
        f"{name} is declared unproven and is no parameter" for name in unknown
    ]
