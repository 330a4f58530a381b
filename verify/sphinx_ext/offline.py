"""Keeps the site complete in itself: no page asks another server for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from verify.sphinx_ext.downloads import place

EXTERNAL = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
CSS_EXTERNAL = re.compile(
    r"(?:@import\s+|url\()\s*(?:url\()?['\"]?((?:https?:)?//[^'\")\s]+)"
)
UNUSED = ("**/*.map", "_static/scripts/fontawesome.js*", "_static/sphinx-thebe.*")
ROOT_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={url}">
<title>{title}</title>
<link rel="canonical" href="{url}">
</head>
<body><main><h1>{title}</h1><p><a href="{url}">Open the handbook</a></p></main></body>
</html>
"""


def drop_thebe(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Leave out thebe, which Jupyter Book always adds (``html-page-context``)."""
    for kind in ("script_files", "css_files"):
        files = context.get(kind, [])
        context[kind] = [file for file in files if "thebe" not in _text_of(file)]


def _text_of(file: Any) -> str:
    attributes = getattr(file, "attributes", {})
    name = getattr(file, "filename", file)
    return f"{name} {attributes.get('body') or ''}".lower()


def finish_site(app: Sphinx, exception: Exception | None) -> None:
    """Delete unused files and stop if a page loads from elsewhere (``build-finished``).

    Raises
    ------
    ExtensionError
        Naming every file with an external request.
    """
    if exception is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    for pattern in UNUSED:
        for path in site.glob(pattern):
            path.unlink()
    _write_root_page(app, site)
    found = external_requests(site)
    if found:
        raise ExtensionError("the site is not self-contained:\n" + "\n".join(found))


def _write_root_page(app: Sphinx, site: Path) -> None:
    url = f"{app.config.root_doc}.html"
    if url != "index.html":
        page = ROOT_PAGE.format(url=url, title=app.config.html_title)
        place(site / "index.html", page.encode())


def external_requests(site: Path) -> list[str]:
    """Return ``file: address`` for everything a browser would load from elsewhere."""
    found = []
    for path in sorted(site.rglob("*.html")):
        finder = _RequestFinder()
        finder.feed(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)}: {url}" for url in finder.found]
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        found += [
            f"{path.relative_to(site)}: {url}" for url in CSS_EXTERNAL.findall(text)
        ]
    return found


class _RequestFinder(HTMLParser):
    """Collects the external addresses that a page loads without a click."""

    LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src"}
    RELATIONS = {"stylesheet", "preload", "icon", "preconnect", "modulepreload"}

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get(self.LOADS.get(tag, "")) or ""
        if tag == "link" and self.RELATIONS & set((given.get("rel") or "").split()):
            address = given.get("href") or ""
        if EXTERNAL.match(address):
            self.found.append(address)
