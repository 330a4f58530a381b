"""Gives each file that captions lead to a page of its own: behind an air gap there is
no repository to link to, and a caption must lead to the very lines it speaks of."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from verify.sphinx_ext.evidence import Evidence, relative_url
from verify.sphinx_ext.excerpt import Excerpt, lexer_of
from verify.sphinx_ext.render import html

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

FOLDER = "source"
LED_TO = "handbook-led-to"  # per page, the lines that its captions lead to


@dataclass
class Listed:
    """A file that captions lead to, the spans they name, and the pages they are on."""

    spans: set[tuple[int, int]] = field(default_factory=set)
    pages: set[str] = field(default_factory=set)


def address(env: BuildEnvironment, place: Excerpt) -> str:
    """Return where lines of a file are listed, as seen from the page being read.

    The page and the lines are noted, so that the file gets its listing.
    """
    noted = env.metadata[env.docname].setdefault(LED_TO, [])
    noted.append((place.path, place.first, place.last))
    target = anchor(place.first, place.last)
    return relative_url(env.docname, f"{FOLDER}/{place.path}.html#{target}")


def anchor(first: int, last: int) -> str:
    """Return the name of a span of lines in a listing: ``L7`` or ``L7-L10``."""
    return f"L{first}" if first == last else f"L{first}-L{last}"


def listed_files(metadata: dict[str, dict[str, Any]]) -> dict[str, Listed]:
    """Gather what the captions of all pages lead to, sorted by file."""
    found: dict[str, Listed] = defaultdict(Listed)
    for page, said in metadata.items():
        for path, first, last in said.get(LED_TO, []):
            found[path].spans.add((first, last))
            found[path].pages.add(page)
    return dict(sorted(found.items()))


def collect(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the page of each listed file (``html-collect-pages``).

    Such a page has the theme of all others, and stands in neither contents nor search.
    """
    shutil.rmtree(Path(app.outdir) / FOLDER, ignore_errors=True)  # nothing old may stay
    root = Evidence.of(app).root
    for path, listed in listed_files(app.env.metadata).items():
        page = f"{FOLDER}/{path}"
        text = (root / path).read_text(encoding="utf-8")
        pages = [
            (relative_url(page, f"{name}.html"), app.env.titles[name].astext())
            for name in sorted(listed.pages)
        ]
        body = html(
            "listing.html",
            path=path,
            count=len(text.splitlines()),
            download=relative_url(page, f"downloads/{path}"),
            pages=pages,
            code=code_of(path, text, listed.spans),
            language=lexer_of(path),
        )
        yield page, {"title": path, "body": body}, "page.html"


def code_of(path: str, text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Return highlighted code with an anchor at each line and at each span."""
    lexer = get_lexer_by_name(lexer_of(path), stripnl=False)
    shown = highlight(text, lexer, HtmlFormatter(nowrap=True))
    lines = shown.removesuffix("\n").split("\n")
    marks = [
        f'<span class="hb-span" id="{anchor(first, last)}" '
        f'style="--first: {first}; --count: {last - first + 1}"></span>'
        for first, last in sorted(spans)
        if first != last
    ]
    numbered = [
        f'<span class="hb-line" id="L{number}">{line}</span>\n'
        for number, line in enumerate(lines, 1)
    ]
    return "".join(marks + numbered)
