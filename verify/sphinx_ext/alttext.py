"""Gives notebook images their text, and makes an image without one fail the build."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from verify.sphinx_ext import outputs

log = logging.getLogger(__name__)
CELL = 10_000  # MyST-NB numbers the lines of cell 3 from 30,000


def require_alt(app: Sphinx, doctree: nodes.document) -> None:
    """Warn about every image of a page that has no text (``doctree-read``)."""
    alts: dict[str, str] = app.env.temp_data.get(outputs.ALTS, {})
    for image in doctree.findall(nodes.image):
        name = PurePosixPath(image["uri"]).stem
        if not image.get("alt") and name in alts:
            image["alt"] = alts[name]
        if not (image.get("alt") or "").strip():
            _complain(image, app.env.docname, image["uri"])
    for raw in doctree.findall(nodes.raw):
        for source in images_without_alt(raw.astext()):
            _complain(raw, app.env.docname, source)


def _complain(node: nodes.Element, docname: str, source: str) -> None:
    shown = source if len(source) < 80 else source[:60] + "…"
    line = _line(node)
    cell = f" of cell {line // CELL}" if line and line >= CELL else ""
    log.warning(
        "image %s%s has no alt text; say in one sentence what it shows",
        shown,
        cell,
        location=(docname, line),
        type="handbook",
    )


def _line(node: nodes.Element | None) -> int | None:
    """Return the line of a node, or of what it stands in: an image has line 0."""
    while node is not None and not node.line:
        node = node.parent
    return node.line if node is not None else None


def images_without_alt(html: str) -> list[str]:
    """Return the source of each ``<img>`` that has no alt attribute, or an empty one.

    An image with ``role="presentation"`` is decoration and needs no text.
    """
    finder = _ImageFinder()
    finder.feed(html)
    return finder.found


class _ImageFinder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        decorative = given.get("role") == "presentation"
        if tag == "img" and not decorative and not (given.get("alt") or "").strip():
            self.found.append(given.get("src") or "<img>")
