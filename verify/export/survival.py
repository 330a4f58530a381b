"""Checks that no word of a page is lost on its way into MDX."""

from __future__ import annotations

import html
import re
from itertools import islice

OPENING = re.compile(r"^\s*(?:`{3,}|~{3,}|:{3,})(?:\{[^}]*\})?(.*)$")
OPTION = re.compile(r"^\s*:(?!caption)[\w-]+:.*$")
ROLE = re.compile(r"\{(doc|ref|[\w-]+)\}`+([^`]*)`+")
TARGET = re.compile(r"(?<=\])\([^()\s]*\)|<https?://[^>]+>|^\([^()\s]+\)=\s*$")
WORD = re.compile(r"\w+")


def words(line: str) -> list[str]:
    """Return the words of one line of source that a reader sees."""
    if OPTION.match(line):
        return []
    opening = OPENING.match(line)
    if opening and "{" in line:
        named = re.match(r"\s*\S*\{(\w[\w-]*)\}", line)
        shown = {"note", "tip", "warning", "dropdown", "admonition", "tab-item"}
        shown |= {"grid-item-card", "card", "caution", "danger"}
        if not named or named[1] not in shown:
            return []
        line = opening[1]
    elif opening:
        return []
    line = ROLE.sub(lambda found: _said(found[1], found[2]), line)
    line = TARGET.sub(" ", re.sub(r"<[^<>\n]*>", " ", line))
    return WORD.findall(html.unescape(line.removeprefix(":caption:")))


def _said(name: str, text: str) -> str:
    """Return the words of a role that are text and not an address."""
    title = re.match(r"(.*?)\s*<[^<>]*>$", text, re.DOTALL)
    return title[1] if name in ("doc", "ref") and title else " "


def lost(source: str, exported: str, start: int = 1) -> tuple[int, str] | None:
    """Return the first word of the source that the export lacks, with its line.

    Words are looked for in their order, so that what was moved is found too.
    """
    text = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), exported)
    left = iter(WORD.findall(html.unescape(text.replace("\\", ""))))
    for number, line in enumerate(source.replace("\\", "").split("\n"), start):
        for word in words(line):
            if next(islice((one for one in left if one == word), 1), None) is None:
                return number, word
    return None
