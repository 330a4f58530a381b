"""Keeps the site complete in itself: no page asks another server for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from verify.sphinx_ext.downloads import place
from verify.sphinx_ext.elsewhere import external_requests

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
