"""Reads one JSX tag, however many lines it takes."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from verify.mdx import literal
from verify.mdx.problem import Broken

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_$][\w$-]*(?:[.:][A-Za-z_$][\w$-]*)*")
_ATTRIBUTE = re.compile(r"[A-Za-z_$][\w$:.-]*")
_VALUE = re.compile(r"""\s*=\s*("[^"]*"|'[^']*'|\{)?""")
_URL = re.compile(
    r"<((?:https?|mailto|ftp):[^\s<>]{0,2000}|[\w.+-]{1,80}@[\w.-]{1,200})>"
)


@dataclass(frozen=True)
class Tag:
    """A tag of the text: where it stands, what it is and what it says."""

    name: str
    start: int
    end: int
    closes: bool = False
    alone: bool = False  # written <x/>
    attributes: dict[str, Any] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)


def read_tag(text: str, start: int, end: int, names: Mapping[str, Any]) -> Tag:
    """Return the tag that begins with the ``<`` at ``start``.

    Raises
    ------
    Broken
        If it is no tag, has no end, or has a value that is not a literal.
    """
    if url := _URL.match(text, start, end):
        what = f"MDX has no autolinks in angle brackets, as in `{url[0]}`"
        raise Broken(start, what, f"write [text]({url[1]}) or the bare address")
    at = _skip(text, start + 1, end)
    closes = text.startswith("/", at, end)
    at = _skip(text, at + 1, end) if closes else at
    if text.startswith(">", at, end):
        return Tag("", start, at + 1, closes=closes)
    name = _NAME.match(text, at, end)
    if not name or (at > start + 1 and not closes):
        raise _no_tag(text, start, at, end)
    attributes: dict[str, Any] = {}
    places: dict[str, int] = {}
    at = name.end()
    while True:
        at = _skip(text, at, end)
        if text.startswith(">", at, end):
            return Tag(name[0], start, at + 1, closes, False, attributes, places)
        if text.startswith("/", at, end):
            slash = _skip(text, at + 1, end)
            if text.startswith(">", slash, end) and not closes:
                return Tag(name[0], start, slash + 1, False, True, attributes, places)
        at = _attribute(text, at, end, names, name[0], attributes, places)


def _skip(text: str, at: int, end: int) -> int:
    return _SPACE.match(text, at, end).end()  # type: ignore[union-attr]


def _no_tag(text: str, start: int, at: int, end: int) -> Broken:
    if text.startswith("<!--", start, end):
        return Broken(start, "MDX has no HTML comments", "write {/* comment */}")
    shown = text[start : min(end, start + 12)].split("\n")[0]
    what = f"`{shown}` begins no tag"
    return Broken(start, what, r"write \< or put it in `code`", at_end=at >= end)


def _attribute(
    text: str,
    at: int,
    end: int,
    names: Mapping[str, Any],
    tag: str,
    attributes: dict[str, Any],
    places: dict[str, int],
) -> int:
    if at >= end:
        raise Broken(at, f"<{tag}> has no `>`", "close the tag", at_end=True)
    if text[at] == "{":
        what = f"<{tag}> has an attribute computed in braces"
        raise Broken(at, what, 'write each attribute as name="value"')
    name = _ATTRIBUTE.match(text, at, end)
    if not name:
        what = f"`{text[at]}` does not belong in the tag <{tag}>"
        raise Broken(
            at, what, 'write attributes as name="value", and \\< for a plain <'
        )
    places[name[0]] = name.start()
    value = _VALUE.match(text, name.end(), end)
    if not value:
        attributes[name[0]] = True
        return name.end()
    attributes[name[0]], at = _read_value(text, value, end, names, name[0], tag)
    return at


def _read_value(
    text: str,
    value: re.Match[str],
    end: int,
    names: Mapping[str, Any],
    name: str,
    tag: str,
) -> tuple[Any, int]:
    if value[1] is None:
        at = value.end()
        closed = text[at : at + 1] not in ('"', "'")
        what = f"the value of `{name}` in <{tag}> is not quoted or not closed"
        raise Broken(min(at, end - 1), what, f'write {name}="…"', at_end=not closed)
    if value[1] != "{":
        return html.unescape(value[1][1:-1]), value.end()
    start = value.start(1)
    after = literal.closing_brace(text, start, end)
    if after < 0:
        what = f"the brace of `{name}` in <{tag}> is never closed"
        raise Broken(start, what, f'close it, or write {name}="…"', at_end=True)
    return literal.read(text, start + 1, after - 1, names), after
