"""Lays the files that pages offer beside them: notebooks, modules, wheels and locks."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path

from sphinx.application import Sphinx

from verify.sphinx_ext.evidence import Evidence
from verify.sphinx_ext.snippet import SHOWN
from verify.standalone import build, origin, wheels
from verify.versions import HASHED, LOCKS

REQUIREMENTS = {"torch.txt": "torch.txt", "notebooks.txt": "notebooks.txt"}
REQUIREMENTS |= {"notebooks-hashed.txt": HASHED, "cuda.txt": "cuda.txt"}
SKIPPED = {"__pycache__", ".ipynb_checkpoints", ".DS_Store"}
MIDNIGHT = (1980, 1, 1, 0, 0, 0)


def write_downloads(app: Sphinx, exception: Exception | None) -> None:
    """Write ``downloads/`` into the finished site (``build-finished``)."""
    if exception is not None or app.builder.format != "html":
        return
    root = Evidence.of(app).root
    target = Path(app.outdir) / "downloads"
    shutil.rmtree(target, ignore_errors=True)  # nothing of an earlier build may stay
    sources = sorted((root / "notebooks").glob("*.ipynb"))
    for source in sources:
        place(target / "notebooks" / source.name, source.read_bytes())
    for name in shown_files(app):
        place(target / name, (root / name).read_bytes())
    place(target / "snippets.zip", zipped(root, module_files(root)))
    known = Evidence.of(app).catalog if sources else ()
    alone = [entry for entry in known if entry.runs_alone]
    for entry in alone:
        made = build.build(entry, origin.provenance(entry))
        path = target / "standalone" / f"{entry.name}.ipynb"
        place(path, build.text(made).encode())
    if not alone:
        return
    wheels.write(root, target / "wheels")
    for name, lock in REQUIREMENTS.items():
        place(target / "requirements" / name, (root / LOCKS / lock).read_bytes())


def shown_files(app: Sphinx) -> list[str]:
    """Return every file that a page shows code of: its caption links to it."""
    pages = app.env.metadata.values()
    return sorted({name for page in pages for name in page.get(SHOWN, [])})


def module_files(root: Path) -> list[Path]:
    """Return every file under ``snippets/`` that a reader needs, sorted by path."""
    return [
        path
        for path in sorted((root / "snippets").rglob("*"))
        if path.is_file() and not SKIPPED & set(path.parts) and path.suffix != ".pyc"
    ]


def zipped(root: Path, files: list[Path]) -> bytes:
    """Return the files as a zip whose bytes depend on nothing but their content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            info = zipfile.ZipInfo(path.relative_to(root).as_posix(), MIDNIGHT)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


def place(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, if its content changed."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    os.replace(beside, path)
