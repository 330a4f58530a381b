"""Says which file a profile runs: the source, or its standalone copy, made anew."""

from __future__ import annotations

from pathlib import Path

from verify import digest, machine, receipts
from verify.catalog import Entry
from verify.standalone import build


def source(entry: Entry, profile: str) -> Path:
    """Return the notebook that a profile runs; a standalone copy is built anew."""
    if not entry.profiles[profile].alone:
        return entry.path
    path = entry.root / "_build" / "standalone" / f"{entry.name}.ipynb"
    made = build.text(build.build(entry, provenance(entry)))
    if not path.is_file() or path.read_text(encoding="utf-8") != made:
        receipts.write_text(path, made)
    return path


def provenance(entry: Entry) -> build.Provenance:
    """Say which commit and which published run a download belongs to."""
    commit, dirty = machine.commit(entry.root)
    site = build.site(entry.root)
    receipt = receipts.receipt_path(entry.root, entry.name, receipts.PUBLISHED)
    return build.Provenance(
        commit=f"{commit}+" if commit and dirty else commit,
        receipt=digest.file_digest(receipt) if receipt.is_file() else None,
        page=f"{site}/notebooks/{entry.name}.html" if site else "",
    )
