"""Finds what a built page would ask another server for; needs no Sphinx to do so."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

EXTERNAL = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
CSS_EXTERNAL = re.compile(
    r"(?:@import\s+|url\()\s*(?:url\()?['\"]?((?:https?:)?//[^'\")\s]+)"
)
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src"}
# Finds all that the parser would report, and some more, in a tenth of its time.
SUSPECT = re.compile(
    rf"<(?:link|{'|'.join(LOADS)})[\s/]"
    r"""(?:[^>"']|"[^"]*"|'[^']*'|["'])*""",
    re.IGNORECASE,
)


def external_requests(site: Path) -> list[str]:
    """Return ``file: address`` for everything a browser would load from elsewhere."""
    found = []
    for path in sorted(site.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(site)}: {url}" for url in requests_of(text)]
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        found += [
            f"{path.relative_to(site)}: {url}" for url in CSS_EXTERNAL.findall(text)
        ]
    return found


def requests_of(page: str) -> list[str]:
    """Return the external addresses of one page; parse it only if it may have some."""
    tags = (match[0] for match in SUSPECT.finditer(page))
    if not any("//" in tag or "&" in tag for tag in tags):
        return []
    finder = _RequestFinder()
    finder.feed(page)
    return finder.found


class _RequestFinder(HTMLParser):
    """Collects the external addresses that a page loads without a click."""

    RELATIONS = {"stylesheet", "preload", "icon", "preconnect", "modulepreload"}

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get(LOADS.get(tag, "")) or ""
        if tag == "link" and self.RELATIONS & set((given.get("rel") or "").split()):
            address = given.get("href") or ""
        if EXTERNAL.match(address):
            self.found.append(address)
