"""Reads what a guide says about a code block: its language, meta and line marks."""

from __future__ import annotations

import re
from dataclasses import dataclass

OPEN = re.compile(r"(`{3,})([^`\n]*)$|(~{3,})([^\n]*)$")
ROOT = "<root>/"
FILE = re.compile(r"(<root>/|\.{1,2}/)([^\s#]+(?:#[\w.:-]+)?)$")
# What tools that run blocks are told in braces: `sh {name=install interactive=false}`.
_TOLD = re.compile(r"\{[A-Za-z]\w*=[^{}\n]*\}")
_META = re.compile(
    r"(?P<key>[A-Za-z][\w-]*)=(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'"
    r"|\{(?P<brace>[^}\s]*)\}|(?P<bare>[^\s\"']+))"
    r"|\{(?P<lines>[\d,\s-]*)\}|(?P<word>[^\s]+)"
)
# What the platform's renderer knows; those that only its look uses change nothing here.
KNOWN = frozenset({"title", "file", "lines"})
CHECKED = frozenset({"run", "exempt"})  # for verify.blocks; a reader sees nothing of it
COSMETIC = frozenset(
    "showLineNumbers lineNumbers wrapCode wrap fold height defaultHeight fixed copy "
    "noCopy collapsible skipPreview ins del highlight startLine no-copy twoslash live "
    "preview pure playground previewMode iframe filename word-wrap isolated name "
    "direction".split()
)
MARK = re.compile(
    r"[ \t]{0,40}(?://|\#|--|;|%|/\*|<!--|\{/\*)?[ \t]{0,9}\[!code ([^\]\n]{1,60})\]"
    r"[ \t]*(?:\*/\}?|-->)?"
)
MARKS = {"callout", "highlight", "hl", "focus", "error", "warning", "++", "--"}
MARKS |= {"add", "remove", "info"}
_KINDS = {"hl": "highlight", "add": "++", "remove": "--"}


@dataclass(frozen=True)
class Info:
    """The words behind the opening of a fence."""

    language: str
    title: str | None
    file: str | None
    lines: frozenset[int]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Marked:
    """Code without its marks, and the marks by line (from 1) as (kind, number)."""

    code: str
    marks: dict[int, list[tuple[str, int]]]
    unknown: tuple[tuple[int, str], ...]


def read_info(info: str) -> Info:
    """Return what a fence says about itself."""
    text = info.strip()
    language = ""
    if text and not text.startswith("{") and not re.match(r"[\w-]+=", text):
        language, _, text = text.partition(" ")
        if "{" in language and language.endswith("}"):  # python{1,3}
            language, _, lines = language.partition("{")
            text = "{" + lines + " " + text
    values: dict[str, str] = {}
    text = _TOLD.sub(" ", text)
    lines: set[int] = set()
    unknown: list[str] = []
    for match in _META.finditer(text):
        if match["lines"] is not None:
            lines |= line_numbers(match["lines"])
        elif match["key"]:
            said = (match[name] for name in ("double", "single", "brace", "bare"))
            value = next((value for value in said if value is not None), "")
            values[match["key"]] = value
        else:
            values[match["word"]] = ""
    unknown += [name for name in values if name not in KNOWN | CHECKED | COSMETIC]
    lines |= line_numbers(values.get("lines", ""))
    title, file = values.get("title"), values.get("file")
    return Info(language, title, file, frozenset(lines), tuple(unknown))


def line_numbers(text: str) -> set[int]:
    """Return the lines of ``1,3-5``; a range longer than a page is cut."""
    numbers: set[int] = set()
    for part in text.replace(" ", "").split(",")[:200]:
        first, dash, last = part.partition("-")
        if not re.fullmatch(r"\d{1,6}", first):
            continue
        start = int(first)
        stop = int(last) if dash and re.fullmatch(r"\d{1,6}", last) else start
        numbers.update(range(start, min(stop, start + 10_000) + 1))
    return numbers


def read_marks(code: str) -> Marked:
    """Take the ``[!code …]`` marks out of a block and number its callouts."""
    if "[!code " not in code:
        return Marked(code, {}, ())
    marks: dict[int, list[tuple[str, int]]] = {}
    unknown: list[tuple[int, str]] = []
    lines: list[str] = []
    callouts = 0
    for raw in code.split("\n"):
        number = len(lines) + 1
        found = MARK.findall(raw)
        plain = MARK.sub("", raw)
        alone = bool(found) and not plain.strip()
        for words in found:
            kind, _, count = words.strip().partition(":")
            if kind not in MARKS:
                unknown.append((number, words))
                continue
            callouts += kind == "callout"
            span = int(count) if re.fullmatch(r"\d{1,4}", count) else 1
            for line in range(number, number + span):
                entry = (_KINDS.get(kind, kind), callouts)
                marks.setdefault(line, []).append(entry)
        if not alone:
            lines.append(plain if found else raw)
    return Marked("\n".join(lines), marks, tuple(unknown))
