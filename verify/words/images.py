"""Finds images without a text, also in notebooks and in pages that GitHub shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from verify.blocks.found import Place, Problem
from verify.blocks.markdown import fences, prose
from verify.blocks.pages import Part

TAG = re.compile(r"<img\b[^>]*>", re.S)
GIVEN = re.compile(r"""\balt\s*=\s*("[^"]*[^"\s]|'[^']*[^'\s]|\{[^}]*[^}\s])""")
INSTEAD = "say in one sentence what it shows: ![the text](file)"


def check(parts: list[Part]) -> Iterator[Problem]:
    """Find Markdown images, ``<img>`` tags and figures that have no text."""
    for part in parts:
        for line, shown in _without_text(part):
            place = Place(part.page, line, part.cell)
            yield Problem(place, "alt", f"the image {shown} has no text", INSTEAD)


def _without_text(part: Part) -> Iterator[tuple[int, str]]:
    for line, token in prose(part.text, part.dialect):
        if token.type == "image" and not token.content.strip():
            yield line, str(token.attrs.get("src", ""))
        elif token.type in ("html_inline", "html_block"):
            for match in TAG.finditer(token.content):
                if not GIVEN.search(match[0]):
                    above = token.content.count("\n", 0, match.start())
                    yield line + above, " ".join(match[0].split())[:60]
    for fence in fences(part.text, part.dialect):
        given = dict(fence.options)
        if fence.directive in ("image", "figure") and not given.get("alt"):
            yield fence.line, fence.info
