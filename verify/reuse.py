"""Decides what need not be run: a result that still holds, or a skip that applies."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime

from verify import digest, ending, executed, machine, receipts, versions
from verify.catalog import Entry
from verify.receipts import Receipt
from verify.skips import SkipError
from verify.source import published_parameters, read_notebook
from verify.standalone import origin


def skipped(entry: Entry, profile: str) -> Receipt | None:
    """Return the receipt of a skip where the catalog's probe says so, else None.

    A skip that has expired, and a probe that cannot decide, are failures. What an
    earlier run left on this machine is dropped; a receipt that the repository keeps
    stays in force.
    """
    skip = entry.profiles[profile].skip
    if skip is None:
        return None
    receipt = blank(entry, profile)
    if reason := skip.expired():
        return recorded(ending.failed(receipt, "expired-skip", reason), entry)
    try:
        observed = skip.observed()
    except SkipError as error:
        return recorded(ending.failed(receipt, "probe", str(error)), entry)
    if observed is None:
        return None
    reason = f"{skip.reason} ({observed}; {skip.owner}, until {skip.expires})"
    receipt = replace(receipt, status="skipped", reason=reason)
    receipt = replace(receipt, skip=skip.told(observed))
    return _same_skip(receipt, entry) or recorded(receipt, entry)


def _same_skip(receipt: Receipt, entry: Entry) -> Receipt | None:
    """Return the skip on record where nothing about it changed but the hour."""
    path = receipts.receipt_path(entry.root, entry.name, receipt.profile)
    try:
        before = receipts.read(path)
    except receipts.ReceiptError:
        return None
    return before if before == replace(receipt, started=before.started) else None


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
    same = receipt.key == now.digest and receipts.of_this_python(receipt)
    if not same or receipts.mismatch(receipt, copy):
        return None
    fresh = ending.rejudge(entry, receipt, copy)
    if fresh.status == "passed":
        return _with_present_prose(entry, fresh)
    return fresh if passed else None


def _with_present_prose(entry: Entry, receipt: Receipt) -> Receipt:
    place = (entry.root, entry.name, receipt.profile)
    copy = receipts.executed_path(*place)
    before = read_notebook(copy)
    source = origin.source(entry, receipt.profile)
    after = executed.refresh(read_notebook(source), before)
    if after == before:
        return receipt
    text = json.dumps(after, indent=1, ensure_ascii=False, sort_keys=True)
    receipts.write_text(copy, text + "\n")
    receipt = replace(receipt, executed_digest=digest.file_digest(copy))
    receipts.write(receipts.receipt_path(*place), receipt)
    return receipt


def blank(entry: Entry, profile: str, gpu: str | None = None) -> Receipt:
    """Make the receipt of a run that has yet to happen."""
    commit, dirty = machine.commit(entry.root)
    key = digest.key(entry.path, entry, profile)
    chosen = entry.profiles[profile]
    return Receipt(
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
        device=machine.device(chosen, gpu),
        python=".".join(map(str, sys.version_info[:3])),
        packages=versions.installed(key.parts["versions"])[0],
        parameters={
            "published": published_parameters(read_notebook(entry.path)),
            "injected": dict(chosen.parameters),
        },
        outcomes=(),
        executed_digest=None,
    )


def recorded(receipt: Receipt, entry: Entry) -> Receipt:
    """Put the receipt of a run that did not take place in the place of the last one."""
    drop(entry, receipt.profile)
    path = receipts.receipt_path(entry.root, entry.name, receipt.profile)
    receipts.write(path, receipt)
    return receipt


def drop(entry: Entry, profile: str) -> None:
    """Remove what an earlier run of a notebook left."""
    place = (entry.root, entry.name, profile)
    for path in (receipts.receipt_path, receipts.executed_path, receipts.failed_path):
        path(*place).unlink(missing_ok=True)
