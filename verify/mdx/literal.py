"""Reads the JavaScript literals that MDX puts between braces, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from verify.mdx.problem import Broken

LITERALS = "a string, a number, true, false, null, a list, an object, or a constant"
DEEPEST = 30
_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'', re.DOTALL)
_TEMPLATE = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL)
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?(?![\w$])")
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_MEMBER = re.compile(r"\.([A-Za-z_$][\w$]*)")
_ESCAPE = re.compile(
    r"\\(u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.S
)
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_EITHER = re.compile(r"\|\||\?\?")
_OPENS = re.compile(r"[\"'`{}]|//|/\*")


class Raw(str):
    """The path of a file whose text an imported name stands for."""


def closing_brace(text: str, start: int, end: int) -> int:
    """Return the offset behind the brace that closes the one at ``start``, or -1."""
    depth, at = 0, start
    while found := _OPENS.search(text, at, end):
        token, at = found[0], found.end()
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            if depth == 0:
                return at
        elif token == "//":
            at = _or_end(text.find("\n", at, end), end)
        elif token == "/*":
            at = text.find("*/", at, end) + 2
            if at == 1:
                return -1
        else:
            pattern = _TEMPLATE if token == "`" else _STRING
            if string := pattern.match(text, found.start(), end):
                at = string.end()
    return -1


def _or_end(found: int, end: int) -> int:
    return end if found < 0 else found


def is_comment(text: str, start: int, end: int) -> bool:
    """Tell whether the braces hold only comments or nothing."""
    return _SPACE.match(text, start, end).end() == end  # type: ignore[union-attr]


def read(text: str, start: int, end: int, names: Mapping[str, Any]) -> Any:
    """Return the value of the literal that fills ``text[start:end]``.

    ``a || b`` is the first of the two that says something, ``a ?? b`` the first that is
    there.

    Raises
    ------
    Broken
        If it is more than a literal or a known constant.
    """
    value, at = _value(text, _skip(text, start, end), end, names, 0)
    at = _skip(text, at, end)
    while either := _EITHER.match(text, at, end):
        begin = _skip(text, either.end(), end)
        other, at = _value(text, begin, end, names, 0)
        at = _skip(text, at, end)
        empty = value in (None, "", 0) if either[0] == "||" else value is None
        value = other if empty else value
    if at != end:
        raise _not_literal(text, at, end)
    return value


def _skip(text: str, at: int, end: int) -> int:
    return _SPACE.match(text, at, end).end()  # type: ignore[union-attr]


def _not_literal(text: str, at: int, end: int) -> Broken:
    shown = text[at : min(end, at + 20)].split("\n")[0]
    what = f"`{shown}` is code, and a guide runs none"
    return Broken(min(at, max(end - 1, 0)), what, f"write {LITERALS} of this page")


def _value(
    text: str, at: int, end: int, names: Mapping[str, Any], depth: int
) -> tuple[Any, int]:
    if depth > DEEPEST:
        raise Broken(at, "this value is nested too deeply", "write a flatter one")
    if at < end and text[at] in "[{":
        reader = _array if text[at] == "[" else _object
        return reader(text, at + 1, end, names, depth + 1)
    if string := _STRING.match(text, at, end):
        return _unescape(string[1] or string[2] or ""), string.end()
    template = _TEMPLATE.match(text, at, end)
    if template and "${" not in template[1]:
        return _unescape(template[1]), template.end()
    if number := _NUMBER.match(text, at, end):
        value = float(number[0])
        return (int(value) if value == int(value) else value), number.end()
    if name := _NAME.match(text, at, end):
        return _named(text, name, end, names)
    raise _not_literal(text, at, end)


def _unescape(text: str) -> str:
    def char(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 1:
            return "" if code == "\n" else _PLAIN.get(code, code)
        number = int(code[1:].strip("{}"), 16)
        surrogate = 0xD800 <= number <= 0xDFFF
        return "\ufffd" if number > 0x10FFFF or surrogate else chr(number)

    return _ESCAPE.sub(char, text)


def _named(
    text: str, name: re.Match[str], end: int, names: Mapping[str, Any]
) -> tuple[Any, int]:
    at = name.end()
    if name[0] in _WORDS:
        return _WORDS[name[0]], at
    if name[0] == "props" and name[0] not in names:
        names = {**names, "props": {}}  # a page that no other takes in is given none
    if name[0] not in names:
        what = f"`{name[0]}` is no constant of this page"
        cure = f"write the text itself, or add `export const {name[0]} = '…'` above"
        raise Broken(name.start(), what, cure)
    value = names[name[0]]
    while member := _MEMBER.match(text, at, end):
        missing = not isinstance(value, dict) or member[1] not in value
        if missing and _EITHER.match(text, _skip(text, member.end(), end), end):
            return None, member.end()
        if missing:
            what = f"`{text[name.start() : member.end()]}` has no value on this page"
            cure = "write the text itself, or `|| 'text'` behind it"
            raise Broken(member.start(1), what, cure)
        value, at = value[member[1]], member.end()
    return value, at


def _array(
    text: str, at: int, end: int, names: Mapping[str, Any], depth: int
) -> tuple[list[Any], int]:
    values: list[Any] = []
    while (at := _skip(text, at, end)) < end:
        if text[at] == "]":
            return values, at + 1
        value, at = _value(text, at, end, names, depth)
        values.append(value)
        at = _comma(text, at, end, "]")
    raise _not_literal(text, at, end)


def _object(
    text: str, at: int, end: int, names: Mapping[str, Any], depth: int
) -> tuple[dict[str, Any], int]:
    values: dict[str, Any] = {}
    while (at := _skip(text, at, end)) < end:
        if text[at] == "}":
            return values, at + 1
        string = _STRING.match(text, at, end)
        key = string or _NAME.match(text, at, end)
        if not key:
            raise _not_literal(text, at, end)
        colon = _skip(text, key.end(), end)
        if colon >= end or text[colon] != ":":
            raise _not_literal(text, at, end)
        start = _skip(text, colon + 1, end)
        value, at = _value(text, start, end, names, depth)
        name = _unescape(string[1] or string[2] or "") if string else key[0]
        values[name] = value
        at = _comma(text, at, end, "}")
    raise _not_literal(text, at, end)


def _comma(text: str, at: int, end: int, closing: str) -> int:
    at = _skip(text, at, end)
    if at < end and text[at] == ",":
        return at + 1
    if at < end and text[at] == closing:
        return at
    raise _not_literal(text, at, end)
