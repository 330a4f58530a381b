"""Reads the import and export lines of a page: constants, and nothing that runs."""

from __future__ import annotations

import re

from verify.mdx import literal, vocabulary
from verify.mdx.page import Page
from verify.mdx.problem import Broken

_BEGINS = re.compile(r"(?:import|export)[ \t{*\"']")
_EXPORT = re.compile(r"export\s+(?:const|let|var)\s+([A-Za-z_$][\w$]*)\s*=\s*")
_IMPORT = re.compile(
    r"import\s+(?:(type)\s+)?(?:([\w$]+)\s*,?\s*)?(?:\{([^{}]*)\})?(?:\*\s+as\s+[\w$]+)?"
    r"\s*(?:from\s*)?[\"']([^\"'\n]+)[\"']\s*;?[ \t]*"
)
_IMAGE = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|avif)$", re.IGNORECASE)
_COMMENT = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_END = re.compile(r"\s*;?[ \t]*(?=\n|$)|\s*;")


def begins(line: str) -> bool:
    """Tell whether a line is the beginning of import or export lines."""
    return bool(_BEGINS.match(line))


def read(page: Page, start: int, end: int) -> None:
    """Note the constants of ``page.text[start:end]``, and what cannot stand there."""
    at = start
    while (at := _COMMENT.match(page.text, at, end).end()) < end:  # type: ignore[union-attr]
        try:
            at = _statement(page, at, end)
        except Broken as error:
            page.broken(error)
            return


def _statement(page: Page, at: int, end: int) -> int:
    if found := _IMPORT.match(page.text, at, end):
        _import(page, found)
        return found.end()
    if found := _EXPORT.match(page.text, at, end):
        stop = _value_end(page.text, found.end(), end)
        page.names[found[1]] = literal.read(page.text, found.end(), stop, page.names)
        after = _END.match(page.text, stop, end)
        return after.end() if after else stop
    line = page.text[at : min(end, at + 40)].split("\n")[0]
    cure = "write `export const name = 'text'`, or the text itself"
    raise Broken(at, f"`{line}` is code, and a guide runs none", cure)


def _value_end(text: str, at: int, end: int) -> int:
    if at < end and text[at] in "{[":
        depth = 0
        tokens = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[\[\]{}]")
        for found in tokens.finditer(text, at, end):
            depth += (found[0] in "[{") - (found[0] in "]}")
            if depth == 0 and found[0] in "]}":
                return found.end()
        return end
    quote = text[at] if at < end and text[at] in "\"'`" else ""
    pattern = re.compile(
        rf"{quote}(?:[^{quote}\\]|\\.)*{quote}" if quote else r"[^;\n]*", re.DOTALL
    )
    found = pattern.match(text, at, end)
    return found.end() if found else end


def _import(page: Page, found: re.Match[str]) -> None:
    module = found[4]
    if found[1] or module in vocabulary.BUILT_IN:
        return
    if _IMAGE.search(module) and found[2]:
        page.names[found[2]] = module
        return
    if re.search(r"\.mdx?$", module):
        cure = "write the text here, or link to that page"
        what = f"`{module}` is a page, and pages are not imported"
        raise Broken(found.start(), what, cure)
    what = f"`{module}` is code, and a guide imports none"
    cure = "remove the line; Tabs, Steps and the other components need no import"
    raise Broken(found.start(), what, cure)
