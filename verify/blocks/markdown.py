"""Reads a page as CommonMark does, with what MyST and MDX change, keeping its lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

COLONS = re.compile(r"(:{3,})\s*(?:\{(?P<name>[^}\s]+)\})?(?P<rest>.*)$")
FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?^---[ \t]*(\n|\Z)", re.M | re.S)
DIRECTIVE = re.compile(r"\{(?P<name>[^}\s]+)\}\s*(?P<rest>.*)$", re.S)
TAG_OPENS = re.compile(r"</?[A-Za-z][\w.]*[\s/>]|</?[A-Za-z][\w.]*$")
TAG = re.compile(r"<[^<>]*(?:=>[^<>]*)*>")
OPTION = re.compile(r":[A-Za-z][\w-]*:(\s|$)")

# Directives whose body is code in the language of their argument.
CODE = frozenset({"code-block", "code", "sourcecode", "code-cell"})
# Directives whose body is neither Markdown nor code that a reader would paste.
RAW = frozenset(
    {"csv-table", "eval-rst", "literalinclude", "math", "mermaid", "raw", "snippet"}
    | {"bench", "blocks", "toctree"}
)
# Between colons, these take options that are no prose.
WHOLE = CODE | RAW | {"figure", "image"}


@dataclass(frozen=True)
class Fence:
    """A fence as it stands in a page.

    Attributes
    ----------
    line, first : int
        The line of the fence and of its first line of code, counted from 1.
    info : str
        What follows the fence's marks: the language and its words.
    directive : str
        The name of the MyST directive, empty where the fence is a plain one.
    options : dict
        The options of the directive.
    """

    line: int
    first: int
    info: str
    code: str
    directive: str = ""
    options: tuple[tuple[str, str], ...] = ()
    closed: bool = True
    indented: bool = False


def tokens(text: str, dialect: str) -> list[Token]:
    """Parse a page; ``dialect`` is ``myst`` or ``mdx``. Lines are those of the text."""
    plain = FRONT_MATTER.sub(lambda match: "\n" * match[0].count("\n"), text, count=1)
    return _parser(dialect).parse(plain)


def fences(text: str, dialect: str, above: int = 0) -> Iterator[Fence]:
    """Find every fence, also in directives; ``above`` lines stand before the text."""
    for token in tokens(text, dialect):
        if token.type == "code_block" and token.map:
            line = token.map[0] + 1 + above
            yield Fence(line, line, "", token.content, indented=True)
        if token.type != "fence" or not token.map:
            continue
        line, info = token.map[0] + 1 + above, token.info.strip()
        lines = token.map[1] - token.map[0]
        closed = token.content.count("\n") == lines - 2
        match = DIRECTIVE.match(info) if dialect == "myst" else None
        if match is None:
            yield Fence(line, line + 1, info, token.content, closed=closed)
            continue
        name, rest = match["name"], match["rest"].strip()
        options, skipped, body = _split_options(token.content)
        first = line + 1 + skipped
        found = Fence(line, first, rest, body, name, options, closed)
        yield found
        if name not in CODE | RAW:
            yield from fences(body, dialect, above=first - 1)


def prose(text: str, dialect: str) -> Iterator[tuple[int, Token]]:
    """Yield each inline token outside code blocks with its line.

    The body of a directive is read too, unless it is code or raw.
    """
    for token in tokens(text, dialect):
        if token.type == "inline" and token.children is not None:
            line = token.map[0] + 1 if token.map else 1
            yield from _inline(token.children, line)
        elif token.type == "html_block" and token.map:
            yield token.map[0] + 1, token
        elif token.type == "fence" and token.map and dialect == "myst":
            match = DIRECTIVE.match(token.info.strip())
            if match and match["name"] not in CODE | RAW:
                _, skipped, body = _split_options(token.content)
                above = token.map[0] + 1 + skipped
                for line, inner in prose(body, dialect):
                    yield line + above, inner


def _inline(children: list[Token], line: int) -> Iterator[tuple[int, Token]]:
    for child in children:
        yield line, child
        if child.type in ("softbreak", "hardbreak"):
            line += 1
        else:
            line += child.content.count("\n")


def _split_options(body: str) -> tuple[tuple[tuple[str, str], ...], int, str]:
    """Split a directive's body: its options, how many lines they take, the rest."""
    lines = body.splitlines(keepends=True)
    taken = 0
    if lines and lines[0].strip() == "---":
        ends = (i for i, line in enumerate(lines[1:], 1) if line.strip() == "---")
        taken = next(ends, 0) + 1
    else:
        while taken < len(lines) and OPTION.match(lines[taken].strip()):
            taken += 1
    given = []
    for line in lines[:taken]:
        key, _, value = line.strip().strip(":").partition(":")
        given.append((key.strip(), value.strip()))
    while taken < len(lines) and not lines[taken].strip():
        taken += 1
    return tuple(given), taken, "".join(lines[taken:])


@cache
def _parser(dialect: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": 200}).enable("table")
    stops = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    colons = _colons(dialect)
    parser.block.ruler.before("fence", "colons", colons, stops)
    if dialect == "mdx":
        parser.disable(["code", "html_block", "autolink"])
        parser.block.ruler.before("fence", "mdx_comment", _mdx_comment, stops)
        parser.block.ruler.before("fence", "mdx_tag", _mdx_tag, stops)
        parser.block.ruler.at("paragraph", _mdx_paragraph)
    return parser


def _colons(dialect: str) -> Callable[[StateBlock, int, int, bool], bool]:
    """Return the rule for lines of colons: code directives are fences, others open."""

    def rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        match = COLONS.match(_line(state, start))
        if state.is_code_block(start) or not match:
            return False
        if silent:
            return True
        state.line = start + 1
        name = match["name"] or ""
        if dialect == "myst" and name in WHOLE:
            marks = len(match[1])
            stop = start + 1
            while stop < end and not _closes(_line(state, stop), marks):
                stop += 1
            token = state.push("fence", "code", 0)
            token.info = f"{{{name}}} {match['rest'].strip()}"
            token.content = state.getLines(start + 1, stop, state.sCount[start], True)
            state.line = min(stop + 1, end)
            token.map = [start, stop + 1]
        return True

    return rule


def _closes(line: str, marks: int) -> bool:
    return len(line.strip()) >= marks and set(line.strip()) == {":"}


def _mdx_comment(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Pass over ``{/* ... */}``, whatever stands in it."""
    if not _line(state, start).startswith("{/*"):
        return False
    stop = start
    while stop < end and "*/}" not in _line(state, stop):
        stop += 1
    if stop == end:
        return False
    if not silent:
        state.line = stop + 1
    return True


def _mdx_tag(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Take a tag that has its lines for itself, so that a block may follow at once."""
    stop = start
    if not TAG_OPENS.match(_line(state, start)):
        return False
    while not _line(state, stop).rstrip().endswith(">"):
        stop += 1
        if stop == end or not _line(state, stop).strip() or stop > start + 50:
            return False
    text = state.getLines(start, stop + 1, 0, True)
    if not TAG.fullmatch(text.strip()):
        return False
    if not silent:
        token = state.push("html_block", "", 0)
        token.content, token.map = text, [start, stop + 1]
        state.line = stop + 1
    return True


def _mdx_paragraph(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Take a paragraph; without indented code, a fence ends one at any depth."""
    before, state.parentType = state.parentType, "paragraph"
    stops = state.md.block.ruler.getRules("paragraph")
    stop = start + 1
    while stop < state.lineMax and not state.isEmpty(stop):
        inside = state.sCount[stop] >= 0
        if inside and any(rule(state, stop, end, True) for rule in stops):
            break
        stop += 1
    state.line, state.parentType = stop, before
    state.push("paragraph_open", "p", 1).map = [start, stop]
    inline = state.push("inline", "", 0)
    inline.content = state.getLines(start, stop, state.blkIndent, False).strip()
    inline.map, inline.children = [start, stop], []
    state.push("paragraph_close", "p", -1)
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
