"""Reads the import and export lines of a page: constants, and nothing that runs."""

from __future__ import annotations

import posixpath
import re

from verify.mdx import literal, vocabulary
from verify.mdx.page import Import, Page
from verify.mdx.problem import Broken

_BEGINS = re.compile(r"(?:import|export)[ \t{*\"']")
_EXPORT = re.compile(r"export\s+(?:const|let|var)\s+([A-Za-z_$][\w$]*)\s*=\s*")
IMPORT = re.compile(
    r"import\s+(?:(type)\s+)?(?:([\w$]+)\s*,?\s*)?(?:\{([^{}]*)\})?(?:\*\s+as\s+[\w$]+)?"
    r"\s*(?:from\s*)?[\"']([^\"'\n]+)[\"']\s*;?[ \t]*"
)
_MEDIA = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|avif|mp4|webm|mp3|ogg|pdf|zip)$", re.IGNORECASE
)
_PAGE = re.compile(r"\.mdx?$")
_RAW = "?raw"
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
    if found := IMPORT.match(page.text, at, end):
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
    module, name = found[4], found[2]
    if found[1] or module in vocabulary.BUILT_IN:
        return
    if _MEDIA.search(module) and name:
        page.names[name] = module
    elif _PAGE.search(module) and name:
        page.pages[name] = _file(page, found, module)
    elif module.endswith(_RAW) and name:
        path = _file(page, found, module.removesuffix(_RAW))
        page.names[name] = literal.Raw(path)
    elif left := [one for one in _names(found) if not _is_known(page, one)]:
        what = f"`{module}` is code, and a guide imports none"
        cure = "remove the line; Tabs, Steps and the other components need no import"
        if left[0][:1].isupper():
            cure = f"say in mdx_components how to show <{left[0]}>, or remove the line"
        raise Broken(found.start(), what, cure)


def _names(found: re.Match[str]) -> list[str]:
    """Return the names that an import brings into the page; the module if none."""
    inside = [part.split() for part in (found[3] or "").split(",")]
    several = [words[-1] for words in inside if words and words[0] != "type"]
    if "*" in found[0].partition(found[4])[0]:
        several.append("*")
    return [*([found[2]] if found[2] else []), *several] or [found[4]]


def _is_known(page: Page, name: str) -> bool:
    known = (vocabulary.BLOCKS, vocabulary.WORDS, page.components.mapped)
    return any(name in names for names in known)


def _file(page: Page, found: re.Match[str], module: str) -> str:
    """Return the path of an imported file from the root of the repository."""
    first, _, rest = module.partition("/")
    if first in page.components.aliases:
        path = posixpath.join(page.components.aliases[first], rest)
    elif first in {".", ".."}:
        path = posixpath.join(page.folder, module)
    else:
        what = f"`{module}` begins at no folder that is known here"
        cure = f"begin with ./ or ../, or add `{first}` to mdx_aliases"
        raise Broken(found.start(4), what, cure)
    path = posixpath.normpath(path)
    if path.startswith("../") or posixpath.isabs(path):
        what = f"`{module}` leads out of the repository"
        raise Broken(found.start(4), what, "name a file of the repository")
    place = page.places.problem(found.start(4), "", "")
    page.imports.append(Import(path, place.line, place.column))
    return path
