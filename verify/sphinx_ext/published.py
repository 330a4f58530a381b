"""Lays the evidence itself beside the pages: receipts, executed copies, status.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from verify import machine, receipts
from verify.sphinx_ext.downloads import place
from verify.sphinx_ext.evidence import Evidence, EvidenceError, Proof, relative_url

SCHEMA = 1
SCHEMA_FILE = Path(__file__).with_name("status.schema.json")
STATUS = "status.json"
STATUS_SCHEMA = "status.schema.json"
RECEIPT_SCHEMA = "receipts/receipt.schema.json"
REMEMBERED = ("started", "status", "seconds")


def receipt_url(proof: Proof) -> str | None:
    """Return where the site has a proof's receipt, from its root."""
    name = f"receipts/{proof.entry.name}.{proof.profile}.json"
    return name if proof.file else None


def executed_url(proof: Proof) -> str | None:
    """Return where the site has the executed copy, where there is one to trust."""
    name = f"executed/{proof.entry.name}.{proof.profile}.ipynb"
    return name if proof.executed else None


def files_of(proof: Proof, docname: str) -> dict[str, str | None]:
    """Return the addresses of a proof's files as seen from a page."""
    found = {"receipt": receipt_url(proof), "executed": executed_url(proof)}
    return {kind: url and relative_url(docname, url) for kind, url in found.items()}


def write_evidence(app: Sphinx, exception: Exception | None) -> None:
    """Write all evidence into the finished site (``build-finished``)."""
    if exception is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    for folder in ("receipts", "executed"):
        shutil.rmtree(site / folder, ignore_errors=True)  # nothing old may stay
    (site / STATUS).unlink(missing_ok=True)
    try:
        proofs = list(Evidence.of(app).all())
    except EvidenceError:
        return  # the pages have already reported it
    for proof in proofs:
        for url, source in (
            (receipt_url(proof), proof.file),
            (executed_url(proof), proof.executed),
        ):
            if url and source:
                place(site / url, source.read_bytes())
    place(site / RECEIPT_SCHEMA, receipts.SCHEMA_FILE.read_bytes())
    place(site / STATUS_SCHEMA, SCHEMA_FILE.read_bytes())
    text = json.dumps(status(app, proofs), indent=1, ensure_ascii=False) + "\n"
    place(site / STATUS, text.encode())


def status(app: Sphinx, proofs: Iterable[Proof]) -> dict[str, Any]:
    """Return the status page as data; ``status.schema.json`` describes it.

    It says nothing that depends on when the site was built, so that the same input
    gives the same site.
    """
    shown = list(proofs)
    commit, dirty = machine.commit(Evidence.of(app).root)
    started = [proof.receipt.started for proof in shown if proof.receipt]
    states = [proof.verdict.status for proof in shown]
    return {
        "schema": SCHEMA,
        "title": app.config.html_title,
        "commit": commit,
        "dirty": dirty,
        "built_at": max(started, default=None),
        "counts": {name: states.count(name) for name in receipts.STATUSES},
        "runs": [_run(app, proof) for proof in shown],
    }


def _run(app: Sphinx, proof: Proof) -> dict[str, Any]:
    page = f"notebooks/{proof.entry.name}"
    return {
        "notebook": proof.entry.name,
        "title": proof.entry.title,
        "profile": proof.profile,
        "status": proof.verdict.status,
        "reason": proof.verdict.reason,
        "since": proof.verdict.since,
        **_measured(proof),
        "skip": _skip(proof),
        "page": f"{page}.html" if page in app.env.found_docs else None,
        "receipt": receipt_url(proof),
        "executed": executed_url(proof),
        "history": [{key: run[key] for key in REMEMBERED} for run in proof.runs],
    }


def _measured(proof: Proof) -> dict[str, Any]:
    receipt = proof.receipt
    facts = ("started", "seconds", "peak_rss_gib", "peak_vram_gib", "commit", "dirty")
    return {
        **{fact: getattr(receipt, fact, None) for fact in facts},
        "device": dict(receipt.device) if receipt else None,
        "outcomes": {"held": proof.held, "judged": proof.judged} if proof.ran else None,
    }


def _skip(proof: Proof) -> dict[str, Any] | None:
    """Return why it did not run, as the catalog says now, and what the probe saw."""
    skip = proof.declared_skip
    if skip is None:
        return None
    receipt = proof.receipt
    told = skip.told("")
    told["observed"] = receipt.skip["observed"] if receipt and receipt.skip else None
    return told
