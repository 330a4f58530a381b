"""Shows what the checks of blocks found: counts on a page, upgrade notes under blocks.

Reads ``_build/blocks.json``, which ``python -m verify.blocks --json`` writes: the
environment that builds the site holds no schemas of Kubernetes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from verify.sphinx_ext.evidence import Evidence
from verify.sphinx_ext.render import html

log = logging.getLogger(__name__)
FOUND = Path("_build", "blocks.json")


class BlocksDirective(SphinxDirective):
    """``{blocks}``: how many blocks of each language, checked how, exempt why."""

    def run(self) -> list[nodes.Node]:
        """Return the table and the exemptions."""
        root = Evidence.of(self.env.app).root
        self.env.note_dependency(str(root / FOUND))
        data = read(root)
        rows = data["languages"].items() if data else ()
        languages = sorted(rows, key=lambda pair: (-pair[1]["blocks"], pair[0]))
        shown = html("blocks.html", data=data, languages=languages)
        return [nodes.raw("", shown, format="html")]


def insert_upgrades(app: Sphinx, doctree: nodes.document) -> None:
    """Put a note under each block that a newer Trainer refuses (``doctree-read``)."""
    blocks = [b for b in doctree.findall(nodes.literal_block) if _is_trainer(b)]
    if not blocks:
        return
    data = read(Evidence.of(app).root)
    if data is None:
        log.warning(
            "blocks with Trainer objects were not checked; run noxfile.py -s blocks",
            location=app.env.docname,
            type="handbook",
        )
        return
    # Imported here: a site without Kubernetes objects needs no YAML for it.
    from verify.blocks.kubernetes import digest

    for block in blocks:
        notes = [n for n in data["upgrades"] if n["digest"] == digest(block.rawsource)]
        place: nodes.Element = block
        if isinstance(block.parent, nodes.container):
            place = block.parent  # a block with a caption stands in one
        for note in reversed(notes):
            at = place.parent.index(place) + 1
            place.parent.insert(at, _admonition(note))


def read(root: Path) -> dict[str, Any] | None:
    """Read what the checks wrote; None before they ran."""
    file = root / FOUND
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _is_trainer(block: nodes.literal_block) -> bool:
    return "apiVersion" in block.rawsource and "trainer.kubeflow.org" in block.rawsource


def _admonition(note: dict[str, Any]) -> nodes.admonition:
    """Return the note: what fits now, and what no longer does."""
    title = f"When the platform moves to Trainer {note['new']}"
    said = (
        f"{note['name']} fits Trainer {note['old']}, which the platform ships. "
        f"Trainer {note['new']} refuses it:"
    )
    fields = nodes.bullet_list()
    for field in note["fields"]:
        fields += nodes.list_item("", nodes.paragraph("", field))
    made = nodes.admonition("", nodes.title("", title), nodes.paragraph("", said))
    made += fields
    made["classes"] += ["note", "hb-upgrade"]
    return made
