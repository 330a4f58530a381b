"""Translates MDX into MyST Markdown line by line, or says where it cannot."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from verify.mdx import components, fence, literal, modules, vocabulary
from verify.mdx.inline import Inline
from verify.mdx.page import (
    DEEPEST,
    LINE,
    PRIVATE,
    SPLIT,
    Edge,
    Fence,
    Import,
    Page,
    Piece,
)
from verify.mdx.problem import Broken, Places, Problem
from verify.mdx.tag import Tag, read_tag
from verify.mdx.vocabulary import Components

LONGEST_FRONT = 20_000  # characters; front matter is a few lines
_LEAD = re.compile(r"(?:[ \t]*(?:>|(?:[-*+]|\d{1,9}[.)])(?=[ \t]|$)))*[ \t]*")
_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?=[ \t]|$)")
_HEADING = re.compile(r"#{1,6}(?=[ \t]|$)")
_ID = re.compile(r"\\\{[ \t]*#([^\s{}\\]+)[ \t]*\\?\}[ \t]*#*[ \t]*$")
_MYST = re.compile(r"%|\+\+\+|\([^\n]+\)=\s*$")
_DEFINITION = re.compile(r"\[(?!\^)(?:[^\]\\\n]|\\.)+\]:")
_CELL = re.compile(r":?-+:?")
_CONTAINER = re.compile(r"(:{3,})[ \t]*([^\s\[{\\]*)[ \t]*(.*)$")
_TITLE = re.compile(r"\\?\{\s*title\s*=\s*(?:\"([^\"]*)\"|'([^']*)')\s*\\?\}$")
_PIPE = re.compile(r"\\.|\|")
_COLONS = re.compile(r"[ \t>]*(:{3,})[ \t]*$")
_BAD = re.compile(f"[{PRIVATE}]")
_IN_TABS = re.compile(r"</?(?:Page)?Tab|\{/\*|:::+[ \t]*$|\{([\"'])\s*\1\}[ \t]*$")
_ACTIVE = re.compile(r"[<{]")


@dataclass(frozen=True)
class Translation:
    """What became of a page.

    Attributes
    ----------
    markdown
        MyST text; its line N stands for line N of the author's file.
    errors
        Everything outside the subset, in reading order.
    anchors
        The ids that the author gave to headings, by line (from 1).
    front_matter
        The page's front matter.
    titled
        Whether the text has a heading of the first level.
    imports
        The files that it takes in, in their order.
    """

    markdown: str
    errors: tuple[Problem, ...]
    anchors: dict[int, str]
    front_matter: dict[str, Any]
    titled: bool
    imports: tuple[Import, ...] = ()


def translate(
    text: str,
    *,
    path: str = "page.mdx",
    components: Components | None = None,
    folder: str = "",
    props: Mapping[str, Any] | None = None,
) -> Translation:
    """Return a page of MDX as MyST Markdown.

    Parameters
    ----------
    text, path
        The author's file, and its name for messages of the YAML reader.
    components
        What is configured: terms, sites, components of other projects.
    folder
        Where the file stands, from the root of the repository.
    props
        The attributes of the tag that takes this page in, if one does.

    Returns
    -------
    Translation
        With as many lines as the text. It is complete even where there are errors:
        what could not be read stands in it as plain text.
    """
    flat = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    reader = _Reader(_BAD.sub("\ufffd", flat), components or Components(), folder)
    if props is not None:
        reader.page.names["props"] = dict(props)
    for found in _BAD.finditer(flat):
        what = "this is a private-use character, which is kept for the handbook"
        reader.page.problem(found.start(), what, "remove it")
    reader.read(path)
    return reader.translation()


@dataclass(frozen=True)
class _Open:
    """A container of the page that is open, where, and how it was written."""

    name: str
    offset: int
    fence: Fence
    items: tuple[tuple[int, int], ...]
    colons: int = 0  # of the author; 0 for a tag
    broken: bool = False  # it stands in the page as text


class _Reader:
    """Walks over the lines of a page once."""

    def __init__(self, text: str, configured: Components, folder: str) -> None:
        self.places = Places(text)
        self.page = Page(text, self.places, configured, folder)
        self.text = text
        self.lines = text.split("\n")
        self.out: list[list[Piece]] = [[] for _ in self.lines]
        self.anchors: dict[int, str] = {}
        self.ids: set[str] = set()
        self.front: dict[str, Any] = {}
        self.open: list[_Open] = []
        self.items: list[tuple[int, int]] = []  # list items: (content column, line)
        self.chunk: tuple[int, int] | None = None  # first line, offset of its text
        self.quotes = 0
        self.titled = False
        self.neutral: dict[int, int] = {}  # lines that need a backslash, and where
        self.patience = 4  # tags without an end that are searched through the page

    def read(self, path: str) -> None:
        """Translate every line."""
        line = self._front_matter(path)
        while line < len(self.lines):
            line = self._line(line)
        self._flush(line)
        for left in self.open:
            shown = f"<{left.name}>" if not left.colons else f":::{left.name}"
            closing = f"</{left.name}>" if not left.colons else ":" * left.colons
            cure = f"write {closing} on a line of its own behind the last line"
            self.page.problem(left.offset, f"{shown} is never closed", cure)
        for line, column in self.neutral.items():
            self._escape_line(line, column)

    def translation(self) -> Translation:
        """Return what has been read."""
        lines = ["".join(str(piece) for piece in pieces) for pieces in self.out]
        return Translation(
            markdown="\n".join(lines),
            errors=tuple(sorted(set(self.page.problems))),
            anchors=self.anchors,
            front_matter=self.front,
            titled=self.titled,
            imports=tuple(self.page.imports),
        )

    def _escape_line(self, line: int, column: int) -> None:
        raw = "".join(str(piece) for piece in self.out[line])
        self.out[line] = [f"{raw[:column]}\\{raw[column:]}"]

    def _front_matter(self, path: str) -> int:
        if self.lines[0].rstrip() != "---":
            return 0
        stop = next(
            (n for n, line in enumerate(self.lines[1:], 1) if line.rstrip() == "---"), 0
        )
        if not stop:
            self.page.problem(0, "front matter is never closed", "write a line of ---")
            return 0
        self._copy(0, stop + 1)
        self._read_yaml("\n".join(self.lines[1:stop]), path)
        self.page.names["frontmatter"] = self.front
        return stop + 1

    def _read_yaml(self, source: str, path: str) -> None:
        cure = "write `name: value` lines between the two ---"
        if len(source) > LONGEST_FRONT:
            self.page.problem(0, "front matter is longer than a page's head", cure)
            return
        try:
            front = yaml.safe_load(source)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            mark = getattr(error, "problem_mark", None)
            line = min(mark.line + 1, len(self.lines) - 1) if mark else 0
            reason = getattr(error, "problem", None) or "nested too deeply"
            what = f"front matter of {path} is not YAML: {reason}"
            self.page.problem(self.places.starts[line], what, cure)
            return
        if front is not None and not isinstance(front, dict):
            self.page.problem(0, "front matter has no names", cure)
            return
        self.front = {str(name): value for name, value in (front or {}).items()}
        if "myst" in self.front:
            cure = "remove it: a guide must build on the platform as well"
            self.page.problem(0, "`myst` settings are no front matter of MDX", cure)

    def _copy(self, start: int, stop: int) -> None:
        for line in range(start, stop):
            self.out[line] = [self.lines[line]]

    def _line(self, line: int) -> int:
        raw = self.lines[line]
        if not raw.strip():
            self._flush(line)
            self.out[line] = [raw]
            return line + 1
        lead = _LEAD.match(raw)[0]  # type: ignore[index]
        self._containers(line, lead)
        rest = raw[len(lead) :]
        start = self.places.starts[line] + len(lead)
        self._between_tabs(start, rest)
        if self.chunk is None and not lead and modules.begins(raw):
            return self._module(line)
        if rest[:3] in {"```", "~~~"} and (opening := fence.OPEN.match(rest)):
            self._flush(line)
            return self._fence(line, lead, opening)
        if rest.startswith(":::"):
            self._flush(line)
            return self._colons(line, lead, rest)
        if rest[:1] in {"<", "{"} and (after := self._flow(line, start)):
            return after
        if _HEADING.match(rest):
            self._flush(line)
            self._heading(line, start)
            return line + 1
        if self.chunk is None and _DEFINITION.match(rest):
            self._copy(line, line + 1)
            return line + 1
        if _MYST.match(rest):
            self.neutral[line] = len(lead)
        if self.chunk is None:
            self.chunk = (line, start)
        return line + 1

    def _between_tabs(self, start: int, rest: str) -> None:
        """Report text that belongs to no tab, as the platform would not show it."""
        left = self.open[-1] if self.open else None
        tabs = left is not None and not left.colons and left.fence.kind == "tabs"
        if tabs and self.chunk is None and not _IN_TABS.match(rest):
            what = "this stands between the tabs"
            self.page.problem(start, what, "put it inside a <Tab label=…>")

    def _containers(self, line: int, lead: str) -> None:
        """Follow the list items and quotes that a line stands in."""
        quotes = lead.count(">")
        marked = bool(lead.strip(" \t>"))
        if marked or quotes > self.quotes:
            self._flush(line)
        self.quotes = quotes
        expanded = lead.expandtabs(4)
        indent = len(expanded) - len(expanded.lstrip())
        while self.items and indent < self.items[-1][0] and not quotes:
            self.items.pop()
        if not marked:
            return
        starts = [item.start() for item in _ITEM.finditer(expanded[:400])]
        for _, content in pairwise([*starts, len(expanded)]):
            self.items.append((content, line))

    # -- text -------------------------------------------------------------------------

    def _flush(self, stop: int) -> None:
        """Translate the paragraph that ends before a line."""
        if self.chunk is None:
            return
        (first, start), self.chunk = self.chunk, None
        end = self.places.starts[stop - 1] + len(self.lines[stop - 1])
        if not _ACTIVE.search(self.text, start, end):
            self._copy(first, stop)
            return
        table = next(
            (n for n in range(first + 1, stop) if _is_delimiter(self.lines, n)), None
        )
        above = stop if table is None else table - 1
        if above > first:
            end = self.places.starts[above - 1] + len(self.lines[above - 1])
            self._inline(first, start, end, self._outer())
        for line in range(above, stop):
            begin = start if line == first else self.places.starts[line]
            self._row(line, begin)

    def _outer(self) -> str:
        tags = [left.name for left in self.open if not left.colons]
        return tags[-1] if tags else ""

    def _inline(self, line: int, start: int, end: int, outer: str | None) -> None:
        """Write the pieces of a block of text to its lines."""
        pieces = Inline(self.page, start, end, outer).read()
        self.out[line] = [self.text[self.places.starts[line] : start]]
        self._put(line, pieces)

    def _put(self, line: int, pieces: list[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, Edge):
                self.out[line].append(piece)
                continue
            first, *others = piece.split("\n")
            self.out[line].append(first)
            for other in others:
                line += 1
                self.out[line].append(other)

    def _row(self, line: int, start: int) -> None:
        end = self._end(line + 1)
        if not _ACTIVE.search(self.text, start, end):
            self._copy(line, line + 1)
            return
        self.out[line] = [self.text[self.places.starts[line] : start]]
        at = start
        for found in _PIPE.finditer(self.text, start, end):
            if found[0] == "|":
                self._put(line, Inline(self.page, at, found.start(), None).read())
                self.out[line].append("|")
                at = found.end()
        self._put(line, Inline(self.page, at, end, None).read())

    def _heading(self, line: int, start: int) -> None:
        end = self._end(line + 1)
        self.titled = self.titled or self.text.startswith(("# ", "#\t"), start)
        if found := _ID.search(self.text, start, end):
            if found[1] in self.ids:
                what = f"`{found[1]}` is also the id of a heading above"
                self.page.problem(found.start(), what, "write another id")
            self.ids.add(found[1])
            self.anchors[line + 1] = found[1]
            end = start + len(self.text[start : found.start()].rstrip())
        if _ACTIVE.search(self.text, start, end):
            self._inline(line, start, end, None)
        else:
            self.out[line] = [self.text[self.places.starts[line] : end]]

    # -- modules ----------------------------------------------------------------------

    def _module(self, line: int) -> int:
        stop = line + 1
        while stop < len(self.lines) and self.lines[stop].strip():
            stop += 1
        modules.read(self.page, self.places.starts[line], self._end(stop))
        for number in range(line, stop):
            self.out[number] = [f"% {self.lines[number]}".rstrip()]
        return stop

    def _end(self, stop: int) -> int:
        return self.places.starts[stop - 1] + len(self.lines[stop - 1])

    # -- code -------------------------------------------------------------------------

    def _fence(self, line: int, lead: str, opening: re.Match[str]) -> int:
        mark = opening[1] or opening[3]
        closing = re.compile(rf"[ \t>]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$")
        column = self.items[-1][0] if self.items else 0
        start = self.places.starts[line] + len(lead)
        stop, closed = line + 1, False
        while stop < len(self.lines) and not closed:
            raw = self.lines[stop]
            indent = len(raw.expandtabs(4)) - len(raw.expandtabs(4).lstrip())
            if raw.strip() and indent < column and ">" not in lead:
                what = "this code block ends here, where its list item ends"
                cure = f"indent every line of the block by {column} spaces"
                self.page.problem(self.places.starts[stop], what, cure)
                break
            closed = bool(closing.match(raw))
            stop += 1
        else:
            if not closed:
                what = "this code block is never closed"
                self.page.problem(start, what, f"write {mark} on its own line")
        self._copy(line, stop)
        self._code(line, stop - closed, opening)
        return stop

    def _code(self, line: int, last: int, opening: re.Match[str]) -> None:
        mark, words = (opening[1] or opening[3]), (opening[2] or opening[4] or "")
        at = self.places.starts[line] + self.lines[line].index(mark)
        info = fence.read_info(words)
        for name in info.unknown:
            what = f"`{name}` is no setting of a code block"
            column = max(words.find(name), 0)
            cure = 'write title="…", file="<root>/…", {1,3-5} or showLineNumbers'
            self.page.problem(at + len(mark) + column, what, cure)
        if words.strip().startswith("{") and not info.language:
            head = self.lines[line].index(mark) + len(mark)
            raw = self.lines[line]
            self.out[line] = [f"{raw[:head]}text {raw[head:].strip()}"]
        body = self.lines[line + 1 : last]
        self._marks(line, body)
        if info.file is not None:
            self._file(line, last, info, mark, at)
        if self.page.fences:
            runs = [len(found[1]) for raw in body if (found := _COLONS.match(raw))]
            inner = self.page.fences[-1]
            inner.colons = max([inner.colons, *(run + 1 for run in runs)])

    def _marks(self, line: int, body: list[str]) -> None:
        for number, raw in enumerate(body, line + 1):
            if "[!code " not in raw:
                continue
            for _, kind in fence.read_marks(raw).unknown:
                at = self.places.starts[number] + raw.index("[!code ")
                what = f"`[!code {kind}]` is no mark of a line"
                names = "callout, highlight, focus, ++, --, error, warning"
                self.page.problem(at, what, f"write one of {names}")

    def _file(self, line: int, last: int, info: fence.Info, mark: str, at: int) -> None:
        found = fence.FILE.match(info.file or "")
        if not found:
            what = f'file="{info.file}" begins at no known place'
            cure = 'write file="<root>/path/file.py#region" or file="./file.py"'
            self.page.problem(at, what, cure)
            return
        target = self._root_path(found, at)
        if target is None:
            return
        filled = [n for n in range(line + 1, last) if self.lines[n].strip()]
        if filled:
            what = "a code block with file= shows that file, so this line would be lost"
            cure = "leave the block empty, or remove file="
            self.page.problem(self.places.starts[filled[0]], what, cure)
            return
        lead = self.lines[line][: self.lines[line].index(mark)]
        if "#" not in target:
            title = {"title": info.title} if info.title else {}
            said = {"file": target, "lang": info.language, **title}
            whole = Fence("listing", said)
            edges = [self.page.open(whole), SPLIT, self.page.close(whole)]
            self.out[line] = [lead, LINE, *edges, "\ue002"]
            for number in range(line + 1, min(last + 1, len(self.lines))):
                self.out[number] = [""]
            return
        if info.title is None:
            self.out[line] = [f"{lead}{mark}{{snippet}} {target}"]
            return
        caption = " ".join(info.title.split())
        parts = [f"{mark}{{snippet}} {target}", f":caption: {caption}", mark]
        self.out[line] = [lead, LINE, SPLIT.join(parts), SPLIT + "\ue002"]
        for number in range(line + 1, min(last + 1, len(self.lines))):
            self.out[number] = [""]

    def _root_path(self, found: re.Match[str], at: int) -> str | None:
        """Return the path of a shown file from the root of the repository."""
        if found[1] == fence.ROOT:
            return found[2]
        path, hash_, region = (found[1] + found[2]).partition("#")
        path = posixpath.normpath(posixpath.join(self.page.folder, path))
        if path.startswith("../"):
            what = f'file="{found[0]}" leads out of the repository'
            self.page.problem(at, what, "name a file of the repository")
            return None
        return path + hash_ + region

    # -- containers -------------------------------------------------------------------

    def _colons(self, line: int, lead: str, rest: str) -> int:
        start = self.places.starts[line] + len(lead)
        found = _CONTAINER.match(rest)
        assert found is not None
        count, kind, title = len(found[1]), found[2], found[3].strip()
        if not kind and not title:
            self._close_colons(line, lead, start, count)
            return line + 1
        known = (*vocabulary.CONTAINERS, vocabulary.FOLDED, vocabulary.LISTED)
        if kind.lower() not in known or kind != kind.lower():
            what = f"`:::{kind}` is no container"
            self.page.problem(start, what, "write " + ", ".join(known))
            self.out[line] = [f"{lead}\\{rest}"]
            return line + 1
        if kind == vocabulary.LISTED and not title:
            self._enter(line, lead, start, _Found(kind, Fence(kind, {}), count))
            return line + 1
        shown, begin = _title(title)
        said: dict[str, str] = {}
        if shown:
            at = start + rest.index(title, len(found[1])) + begin
            pieces = Inline(self.page, at, at + len(shown), None).read()
            said["title"] = "".join(str(piece) for piece in pieces)
        values = said if kind == vocabulary.FOLDED else {"kind": kind, **said}
        name = kind if kind == vocabulary.FOLDED else "admonition"
        self._enter(line, lead, start, _Found(kind, Fence(name, values), count))
        return line + 1

    def _enter(self, line: int, lead: str, start: int, found: _Found) -> None:
        if len(self.open) >= DEEPEST:
            what = f"containers are nested more than {DEEPEST} deep"
            self.page.problem(start, what, "write a flatter page")
            self.out[line] = [f"{lead}\\{self.text[start : self._end(line + 1)]}"]
            return
        entry = _Open(found.name, start, found.fence, tuple(self.items), found.colons)
        self.open.append(entry)
        self.out[line] = [lead, self.page.open(found.fence)]

    def _close_colons(self, line: int, lead: str, start: int, count: int) -> None:
        left = self.open[-1] if self.open else None
        if left is None or not left.colons or left.colons > count:
            what = "this `:::` closes no container"
            cure = "open one with :::note above, or remove the line"
            if left is not None:
                at = self.places.line(left.offset) + 1
                what += f" while `{left.name}` of line {at} is open"
                cure = f"close `{left.name}` first"
            self.page.problem(start, what, cure)
            self.out[line] = [f"{lead}\\{self.text[start : self._end(line + 1)]}"]
            return
        self._leave(line, lead, start)

    def _leave(self, line: int, lead: str, start: int) -> None:
        left = self.open.pop()
        if tuple(self.items)[: len(left.items)] != left.items and left.items:
            at = self.places.line(left.offset) + 1
            what = f"`{left.name}` of line {at} began in a list item that has ended"
            self.page.problem(start, what, "indent this line like the opening one")
        closing: Piece = self.page.close(left.fence)
        if left.broken:
            closing = "\\" + self.text[start : self._end(line + 1)]
        self.out[line] = [lead, closing]

    # -- tags on lines of their own ---------------------------------------------------

    def _flow(self, line: int, start: int) -> int:
        """Translate lines that hold only tags and braces; return the next, or 0."""
        stop_at = len(self.text) if self.patience > 0 else self._end(line + 1)
        tags: list[Tag] = []
        values, at = 0, start
        while at < len(self.text) and self.text[at] not in "\n":
            if self.text[at] in " \t":
                at += 1
            elif self.text[at] == "<":
                try:
                    tag = read_tag(self.text, at, stop_at, self.page.names)
                except Broken as error:
                    self.patience -= error.at_end or error.offset > self._end(line + 1)
                    return 0
                tags.append(components.resolved(tag, self.page))
                at = tag.end
            elif self.text[at] == "{":
                after = literal.closing_brace(self.text, at, stop_at)
                if after < 0:
                    self.patience -= 1
                    return 0
                values += not literal.is_comment(self.text, at + 1, after - 1)
                at = after
            else:
                return 0
        last = self.places.line(max(at - 1, start)) + 1
        return self._act(line, start, at, tags, values, last)

    def _act(
        self, line: int, start: int, end: int, tags: list[Tag], values: int, last: int
    ) -> int:
        if not tags and not values:
            self._flush(line)
            for number in range(line, last):
                self.out[number] = [f"% {self.lines[number].strip()}"]
            return last
        if values or all(_is_text(tag, self.page) for tag in tags):
            self.chunk = self.chunk or (line, start)
            return last
        if len(tags) > 1:
            return self._many(line, start, end, tags, last)
        self._flush(line)
        lead = self.text[self.places.starts[line] : start]
        tag = tags[0]
        try:
            if tag.closes:
                self._close_tag(line, lead, tag)
            else:
                self._open_tag(line, lead, tag)
        except Broken as error:
            self.page.broken(error)
            self._show(line, start, end, [tag])
        return last

    def _many(self, line: int, start: int, end: int, tags: list[Tag], last: int) -> int:
        self._flush(line)
        depth = 0
        for tag in tags:
            depth += (
                0
                if tag.alone or tag.name in vocabulary.VOID
                else (-1 if tag.closes else 1)
            )
            if depth < 0:
                break
        if depth == 0:
            self._inline(line, start, end, self._outer())
            return last
        what = f"<{tags[1].name}> shares its line with another tag"
        self.page.problem(tags[1].start, what, "put each tag on a line of its own")
        self._show(line, start, end, tags)
        return last

    def _show(self, line: int, start: int, end: int, tags: list[Tag]) -> None:
        """Leave tags that could not be read as text, and keep count of them."""
        self.out[line] = [self.text[self.places.starts[line] : start]]
        self._put(line, ["\\" + self.text[start:end]])
        for tag in tags:
            if tag.closes and self.open and self.open[-1].name == tag.name:
                self.page.close(self.open.pop().fence)
            elif not tag.closes and not tag.alone and len(self.open) < DEEPEST:
                made = Fence("fragment", {})
                self.page.open(made)
                entry = _Open(tag.name, tag.start, made, tuple(self.items), 0, True)
                self.open.append(entry)

    def _open_tag(self, line: int, lead: str, tag: Tag) -> None:
        made = components.container(tag, self.page, self._outer())
        if tag.alone:
            edge = self.page.open(made)
            self.out[line] = [lead, LINE, edge, SPLIT, self.page.close(made), "\ue002"]
            return
        self._enter(line, lead, tag.start, _Found(tag.name, made, 0))

    def _close_tag(self, line: int, lead: str, tag: Tag) -> None:
        left = self.open[-1] if self.open else None
        if left is None or left.colons > 0 or left.name != tag.name:
            what = f"</{tag.name}> closes nothing"
            cure = f"write <{tag.name}> above, or remove it"
            if left is not None:
                at = self.places.line(left.offset) + 1
                what += f" while `{left.name}` of line {at} is open"
                cure = f"close `{left.name}` first"
            raise Broken(tag.start, what, cure)
        self._leave(line, lead, tag.start)


def _is_text(tag: Tag, page: Page) -> bool:
    """Tell whether a tag on its own line is still a part of a paragraph."""
    if components.is_word(tag, page):
        return True
    return tag.name in vocabulary.IN_TEXT or (
        tag.name in vocabulary.INLINE and tag.alone
    )


def _title(said: str) -> tuple[str, int]:
    """Return the title of a container and where it begins in what was said."""
    if found := _TITLE.match(said):
        group = 1 if found[1] is not None else 2
        return found[group], found.start(group)
    if said.startswith("[") and said.endswith("]"):
        return said[1:-1], 1
    return said, 0


def _is_delimiter(lines: list[str], line: int) -> bool:
    """Tell whether a line parts the head of a table from its rows."""
    shown = lines[line].strip(" \t>")
    if "|" not in shown or "-" not in shown or shown.strip("|-: \t"):
        return False
    cells = shown.removeprefix("|").removesuffix("|").split("|")
    return all(_CELL.fullmatch(cell.strip()) for cell in cells)


@dataclass(frozen=True)
class _Found:
    """A container that begins: its name, its fence and the author's colons."""

    name: str
    fence: Fence
    colons: int
