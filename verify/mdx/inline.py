"""Translates the text of one paragraph, heading or table cell."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from verify.mdx import components, literal, markup, vocabulary
from verify.mdx.page import END, FILL, LINE, SPLIT, Fence, Page, Piece
from verify.mdx.problem import Broken
from verify.mdx.tag import Tag, read_tag

DEEPEST = 60
_SPECIAL = re.compile(r"[\\`<{\[]|\]\(")
_RUN = re.compile(r"`+")
_RESOURCE = re.compile(
    r"\]\([ \t\n]{0,9}(?:<(?:[^<>\n\\]|\\.)*>|(?:[^\s()<\\]|\\.|\([^\s()]*\))*)"
    r"(?:[ \t\n]{1,9}(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\([^()]*\)))?"
    r"[ \t\n]{0,9}\)"
)
_LESS = re.compile(r"<[ \t]+[^\s]")
_ID = re.compile(r"\{#([^}\s]+)\}")


@dataclass(frozen=True)
class _Open:
    """A tag of the text that waits for its end, and what closes it."""

    tag: Tag
    closing: str
    fence: Fence | None = None


class Inline:
    """Reads ``text[start:end]``, which is one block of Markdown."""

    def __init__(self, page: Page, start: int, end: int, outer: str | None) -> None:
        self.page, self.text = page, page.text
        self.at, self.end = start, end
        self.outer = outer  # the container around; None if no container may begin
        self.pieces: list[Piece] = []
        self.open: list[_Open] = []
        self.runs: dict[int, list[int]] | None = None
        self.last_newline = self.text.rfind("\n", start, end)
        self.brackets = 0
        self.block: Tag | None = None  # the first container on this line
        self.tall = False  # it begins with an HTML element that holds paragraphs
        self.loose = False  # text stands beside the outermost tags

    def read(self) -> list[Piece]:
        """Return the pieces that stand for the text, line by line the same."""
        while found := _SPECIAL.search(self.text, self.at, self.end):
            self._plain(self.text[self.at : found.start()])
            self.at = found.start()
            token = found[0]
            if token == "\\":
                self._plain(self.text[self.at : min(self.at + 2, self.end)])
                self.at = min(self.at + 2, self.end)
            elif token == "`":
                self._code()
            elif token == "<":
                self._tag()
            elif token == "{":
                self._expression()
            else:
                self._bracket(token)
        self._plain(self.text[self.at : self.end])
        for left in self.open:
            self._never_closed(left)
        return self._unravelled()

    def _plain(self, text: str) -> None:
        if text:
            self.pieces.append(text)
            self.loose = self.loose or (not self.open and not text.isspace())

    def _code(self) -> None:
        if self.runs is None:
            self.runs = {}
            for run in _RUN.finditer(self.text, self.at, self.end):
                self.runs.setdefault(len(run[0]), []).append(run.start())
        length = len(_RUN.match(self.text, self.at, self.end)[0])  # type: ignore[index]
        ends = self.runs.get(length, [])
        nearest = bisect_right(ends, self.at)
        stop = self.at + length
        if nearest < len(ends):
            stop = ends[nearest] + length
        self._plain(self.text[self.at : stop])
        self.at = stop

    def _bracket(self, token: str) -> None:
        if token == "[":
            self.brackets += 1
        elif self.brackets:
            self.brackets -= 1
            if resource := _RESOURCE.match(self.text, self.at, self.end):
                self._plain(resource[0])
                self.at = resource.end()
                return
        self._plain(token)
        self.at += len(token)

    def _expression(self) -> None:
        after = literal.closing_brace(self.text, self.at, self.end)
        try:
            if after < 0:
                cure = r"write \{ for a plain brace, or put it in `code`"
                what = "`{` begins an expression that this block does not end"
                raise Broken(self.at, what, cure, at_end=True)
            shown = self._value(after)
        except Broken as error:
            self._skip(error, after)
            return
        if shown:
            self._plain(shown)
        self._fill(self.at, after)
        self.at = after

    def _value(self, after: int) -> str:
        inside = (self.at + 1, after - 1)
        if literal.is_comment(self.text, *inside):
            return ""
        if id_ := _ID.match(self.text, self.at, after):
            what = f"`{id_[0]}` is an expression in MDX"
            raise Broken(self.at, what, f"write \\{id_[0]} at the end of the heading")
        try:
            value = literal.read(self.text, *inside, self.page.names)
        except Broken as error:
            cure = f"{error.instead}; a plain brace is \\{{"
            raise Broken(error.offset, error.what, cure) from error
        if isinstance(value, literal.Raw):
            what = f"the text of {value} cannot stand in a sentence"
            raise Broken(self.at, what, 'show it by a code block with file="…"')
        if isinstance(value, (list, dict)):
            what = "a list or an object in braces shows no text"
            raise Broken(self.at, what, r"write the text itself, or \{ for a brace")
        shown = "" if value is None or isinstance(value, bool) else str(value)
        return markup.plain(shown)

    def _skip(self, error: Broken, after: int = -1) -> None:
        self.page.broken(error)
        stop = self.end if error.at_end else max(after, self.at + 1)
        self._plain("\\" + self.text[self.at : stop])
        self.at = stop

    def _fill(self, start: int, end: int) -> None:
        if lines := self.text.count("\n", start, end):
            self.pieces.append(FILL * lines)

    def _tag(self) -> None:
        if _LESS.match(self.text, self.at, self.end):
            self._plain("<")  # the real compiler reads it as text too
            self.at += 1
            return
        try:
            tag = read_tag(self.text, self.at, self.end, self.page.names)
        except Broken as error:
            self._skip(error, min(error.offset, self.end))
            return
        tag = components.resolved(tag, self.page)
        try:
            self._closed(tag) if tag.closes else self._opened(tag)
        except Broken as error:
            self._skip(error, tag.end)
            return
        self._fill(self.at, tag.end)
        self.at = tag.end

    def _opened(self, tag: Tag) -> None:
        if len(self.open) >= DEEPEST:
            what = f"tags are nested more than {DEEPEST} deep"
            raise Broken(tag.start, what, "write a flatter text", at_end=True)
        if components.is_block(tag, self.page):
            self._container(tag)
            return
        opening, closing = self._written(tag)
        if not self.open and not self.loose and tag.name in vocabulary.BLOCK:
            self.tall = True
        self.pieces.append(opening)
        if tag.alone:
            self.loose = self.loose or (not self.open and tag.name == "img")
        else:
            self.open.append(_Open(tag, closing))

    def _written(self, tag: Tag) -> tuple[str, str]:
        if not tag.name:
            return "", ""
        if tag.name == "img":
            return markup.image(tag), ""
        href = tag.attributes.get("href")
        if tag.name == "a" and isinstance(href, str) and not tag.alone:
            markup.attributes(tag)
            return "[", f"]({markup.destination(href)})"
        if tag.name in vocabulary.VOID:
            return markup.element(tag), ""
        if components.is_html(tag):
            return markup.element(tag), f"</{tag.name}>"
        return components.words(tag, self.page)

    def _container(self, tag: Tag) -> None:
        outer = self.open[-1].tag.name if self.open else self.outer
        if self.outer is None or self.loose or self.last_newline > tag.start:
            what = f"<{tag.name}> stands in the middle of a text"
            cure = f"put <{tag.name}> and </{tag.name}> on lines of their own"
            raise Broken(tag.start, what, cure)
        fence = components.container(tag, self.page, outer or "")
        self.block = self.block or tag
        self.pieces += [SPLIT, self.page.open(fence), SPLIT]
        if tag.alone:
            self.pieces += [self.page.close(fence), SPLIT]
        else:
            self.open.append(_Open(tag, "", fence))

    def _closed(self, tag: Tag) -> None:
        names = [left.tag.name for left in self.open]
        if tag.name not in names:
            what = f"</{tag.name}> closes nothing in this block of text"
            cure = f"open <{tag.name}> in the same paragraph, or put both on own lines"
            raise Broken(tag.start, what, cure)
        while self.open:
            left = self.open.pop()
            if left.tag.name == tag.name:
                break
            self._never_closed(left)
        if left.fence:
            self.pieces += [SPLIT, self.page.close(left.fence), SPLIT]
        else:
            self.pieces.append(left.closing)

    def _never_closed(self, left: _Open) -> None:
        name = left.tag.name
        what = f"<{name}> is not closed before the end of its paragraph"
        cure = f"write </{name}> there, or put both tags on lines of their own"
        if name in vocabulary.VOID:
            cure = f"write <{name} />"
        self.page.problem(left.tag.start, what, cure)
        if left.fence:
            self.page.close(left.fence)

    def _unravelled(self) -> list[Piece]:
        if self.block and self.loose:
            name = self.block.name
            what = f"text stands beside <{name}> on one line"
            cure = f"put <{name}> and </{name}> on lines of their own"
            self.page.problem(self.block.start, what, cure)
        if (self.block or self.tall) and not self.loose:
            return [LINE, *self.pieces, END]
        return self.pieces
