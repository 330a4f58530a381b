"""Turns whatever a worker left behind into a receipt; silence is never a pass."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verify import digest, executed, history, leaks, machine, outcomes, receipts
from verify.catalog import Entry
from verify.leaks import Secret
from verify.receipts import Receipt
from verify.source import read_notebook, source_of
from verify.standalone import origin, sandbox

SLOWEST = 5
TAIL = 12
CODE = 30
GIB = 2**30
STATUS = {
    "cell-timeout": "timeout",
    "notebook-timeout": "timeout",
    "kernel-died": "crashed",
    "worker-died": "crashed",
    "out-of-memory": "crashed",
}  # of a failure's kind; every other kind is "failed"
OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError", "not enough memory")


@dataclass(frozen=True)
class Ended:
    """A run that is over: what was asked, and what its parent saw.

    Attributes
    ----------
    receipt : Receipt
        The receipt as far as it was known at the start.
    folder, work : Path
        Where the worker left its files, and where the kernel ran.
    seconds, peak, vram : float, int, int or None
        Wall time, and the highest resident memory and GPU memory in bytes.
    code : int
        The worker's exit code, negative for a signal.
    stopped : str or None
        The kind of failure for which its parent ended it: ``notebook-timeout`` or
        ``out-of-memory``.
    oom_kills : int
        How often the system ended a process for memory meanwhile.
    secrets : tuple of Secret or None
        What nothing that the run left may show; None where no sandbox ran beside it.
    """

    entry: Entry
    receipt: Receipt
    folder: Path
    work: Path
    seconds: float
    peak: int
    code: int
    stopped: str | None = None
    vram: int | None = None
    oom_kills: int = 0
    secrets: tuple[Secret, ...] | None = None


def finish(run: Ended) -> Receipt:
    """Judge an ended run, move its notebook into place and write its receipt."""
    peak = max([run.peak, *(event.get("peak", 0) for event in _events(run.folder))])
    receipt = replace(
        run.receipt,
        seconds=round(run.seconds, 1),
        slowest_cells=_slowest(run.folder),
        peak_rss_gib=round(peak / GIB, 3) if peak else None,
        peak_vram_gib=None if run.vram is None else round(run.vram / GIB, 3),
    )
    left = run.folder / "executed.ipynb"
    if shown := _shown_secrets(run, left):
        receipt = failed(receipt, "secret", f"{shown}; nothing may print it")
        _move(left, receipt, run.entry)
        history.remember(run.entry.root, receipt)
        return receipt
    result = _result(run)
    kind = result.pop("kind")
    if "alone" in result:
        found = result.pop("packages")
        receipt = replace(receipt, alone=result.pop("alone"), packages=found)
    now = digest.key(run.entry.path, run.entry, receipt.profile)
    if kind != "done":
        reason = _blame(run, kind, result)
        receipt = failed(receipt, kind, reason, {**result, **_code(run, result)})
    elif now.digest != receipt.key:
        what = ", ".join(digest.changed(receipt.key_parts, now.parts))
        receipt = failed(receipt, "changed", f"{what} changed during the run")
    elif problem := sandbox.problem(receipt):
        receipt = failed(receipt, "alone", problem)
    else:
        receipt = judged(run.entry, receipt, left)
    _move(left, receipt, run.entry)
    history.remember(run.entry.root, receipt)
    return receipt


def _shown_secrets(run: Ended, notebook: Path) -> str | None:
    """Say where a run shows a secret of the sandbox, or None; take it out there."""
    if run.secrets is None:
        return None
    shown = leaks.in_files(run.folder, run.secrets)
    if notebook.is_file():
        shown = leaks.in_notebook(read_notebook(notebook), run.secrets) or shown
    if shown:
        leaks.redact_files(run.folder, run.secrets)
    return "; ".join(shown) or None


def rejudge(entry: Entry, receipt: Receipt, copy: Path) -> Receipt:
    """Apply the catalog's present expectations to a run that ended earlier."""
    fresh = judged(entry, receipt, copy)
    if fresh != receipt:
        _move(copy, fresh, entry)
    return fresh


def judged(entry: Entry, receipt: Receipt, copy: Path) -> Receipt:
    """Decide whether a notebook that ran to its end did what the catalog expects."""
    receipt = replace(receipt, executed_digest=digest.file_digest(copy))
    notebook = read_notebook(copy)
    try:
        recorded = outcomes.collect(notebook)
    except outcomes.OutcomeError as error:
        receipt = replace(receipt, executed_digest=None)
        return failed(receipt, "outcome", str(error))
    results = outcomes.judge(recorded, entry.expect)
    said = tuple(outcomes.stderr(notebook, entry.allow_stderr))
    receipt = replace(receipt, outcomes=results, stderr=said)
    reason = receipts.shortfall(entry, receipt)
    if reason:
        return failed(receipt, _kind_of_shortfall(receipt), reason)
    return replace(receipt, status="passed", reason=None, failure=None)


def _kind_of_shortfall(receipt: Receipt) -> str:
    if outcomes.problems(receipt.outcomes):
        return "outcome"
    return "stderr" if outcomes.stderr_problems(receipt.stderr) else "limit"


def failed(receipt: Receipt, kind: str, reason: str, details: Any = None) -> Receipt:
    """Return the receipt of a run that did not pass, with its reason."""
    return replace(
        receipt,
        status=STATUS.get(kind, "failed"),
        reason=reason,
        failure={"kind": kind, **(details or {})},
    )


def current_cell(folder: Path) -> dict[str, Any]:
    """Return place and first line of the cell that was started last, if any was."""
    starts = [event for event in _events(folder) if event.pop("event") == "start"]
    return starts[-1] if starts else {}


def _move(copy: Path, receipt: Receipt, entry: Entry) -> None:
    """Put a notebook where its status belongs, then write the receipt."""
    place = (entry.root, receipt.notebook, receipt.profile)
    passed = receipt.status == "passed"
    target = (receipts.executed_path if passed else receipts.failed_path)(*place)
    if copy.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(copy, target)
    receipts.write(receipts.receipt_path(*place), receipt)


def _result(run: Ended) -> dict[str, Any]:
    """Read what the worker left; a worker that left nothing did not pass."""
    path = run.folder / "result.json"
    left = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if run.stopped:
        return {**current_cell(run.folder), **left, "kind": run.stopped}
    if run.code == 0 and left:
        if left["kind"] == "kernel-died":
            left["tail"] = (left["tail"] + _log(run))[-TAIL:]
            if run.oom_kills:
                left = {**left, "kind": "out-of-memory"}
        return left
    return {**current_cell(run.folder), "kind": "worker-died", "tail": _log(run)}


def _blame(run: Ended, kind: str, result: dict[str, Any]) -> str:
    """Put a failure into one sentence that names the cell."""
    at, peak = "before the first cell", f"{run.peak / GIB:.2f} GiB"
    if "cell" in result:
        at = f"cell {result['cell']} (code cell {result['code_cell']})"
        at += f" `{result['source']}`"
    if kind == "error":
        return f"{at}: {_hinted(result.pop('error'))}"
    if kind == "cell-timeout":
        limit = run.entry.cell_time_limit
        return f"{at}: the cell ran into its time limit of {limit:g} s"
    if kind == "notebook-timeout":
        limit = run.entry.time_limit
        return f"{at}: the notebook ran into its time limit of {limit:g} s"
    if kind == "kernel-died":
        how = _ending(result.pop("code"))
        return f"{at}: the kernel died, {how}; its peak memory was {peak}"
    if kind == "out-of-memory":
        result.pop("code", None)
        if run.stopped is None:
            return f"{at}: the system ended the kernel for want of memory, at {peak}"
        limit = run.entry.peak_rss_gib
        return f"{at}: memory went to {peak}, above {_limit_words(limit)}; it was ended"
    return f"{at}: the process that runs the kernel ended, {_ending(run.code)}"


def _code(run: Ended, result: dict[str, Any]) -> dict[str, list[str]]:
    """Return the source of the cell to blame, as far as one wants to read it."""
    source = origin.source(run.entry, run.receipt.profile)
    cells = read_notebook(source)["cells"]
    place = result.get("cell", 0)
    if not 0 < place <= len(cells):
        return {}
    return {"code": source_of(cells[place - 1]).splitlines()[:CODE]}


def _limit_words(limit: float | None) -> str:
    if limit is not None:
        return f"the limit of {limit} GiB"
    return f"the {machine.memory_limit() / GIB:.1f} GiB of this machine"


def _hinted(error: str) -> str:
    """Add to an error what a maintainer does about it."""
    if error.startswith("ModuleNotFoundError: No module named"):
        return (
            f"{error}; is it in the notebooks group of pyproject.toml, and locked by "
            "python3 noxfile.py -s lock?"
        )
    if any(word in error for word in OUT_OF_MEMORY):
        return f"memory is exhausted: {error}"
    return error


def _ending(code: int | None) -> str:
    if code is None:
        return "nobody saw how"
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def _log(run: Ended) -> list[str]:
    """Return the last lines that worker and kernel wrote outside of any cell."""
    text = (run.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
    return executed.scrub(text.splitlines()[-TAIL:], run.entry.root, run.work)


def _events(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _slowest(folder: Path) -> list[dict[str, Any]]:
    ends = [event for event in _events(folder) if event["event"] == "end"]
    ends.sort(key=lambda event: event["seconds"], reverse=True)
    keys = ("cell", "seconds", "source")
    return [{key: event[key] for key in keys} for event in ends[:SLOWEST]]
