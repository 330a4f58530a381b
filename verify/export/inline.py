"""Rewrites text between blocks: roles, links, HTML and what MDX would read as code."""

from __future__ import annotations

import re
from typing import Protocol

from verify.export.problem import ExportError

ROLE = re.compile(r"\{(?P<name>[A-Za-z][\w:-]*)\}(?P<ticks>`+)")
AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]+)>")
TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[A-Za-z][\w-]*)(?P<said>(?:\s+[\w-]+=\"[^\"]*\")*)\s*/?>"
)
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
TARGET = re.compile(
    r"\(\s*(?:<(?P<angle>[^<>\n]*)>|(?P<bare>(?:[^\s()\\]|\\.|\([^\s()]*\))*))"
    r"(?P<title>\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
)
SUBSTITUTION = re.compile(r"\{\{.*?\}\}")
BRACES = re.compile(r"\{[^{}\n]*[.#=][^{}\n]*\}")  # attributes: {.class #id key=value}
PLAIN = re.compile(r"[^\\`{<\[\]!]+")
HTML = frozenset(
    "a abbr b code del em i ins kbd mark s small span strong sub sup u".split()
)
VOID = frozenset({"br", "wbr"})
RENAMED = {"class": "className", "for": "htmlFor"}


class Page(Protocol):
    """What a page is asked for while its text is rewritten."""

    path: str

    def role(self, name: str, text: str, line: int) -> str:
        """Return what a role prints."""

    def link(self, target: str, line: int, *, image: bool = False) -> str:
        """Return where a link leads in the exported tree."""

    def site_link(self, target: str, line: int) -> str:
        """Return where a link that was written for the built site leads."""


class Inline:
    """One run of text; ``line`` is that of its first character."""

    def __init__(self, text: str, line: int, page: Page, *, in_table: bool) -> None:
        self.text, self.line, self.page, self.in_table = text, line, page, in_table
        self.at = 0
        self.out: list[str] = []
        self.brackets: list[bool] = []  # for each open one, whether it is an image's

    def run(self) -> str:
        """Return the text as MDX."""
        steps = {
            "\\": self._escape,
            "`": self._code,
            "{": self._brace,
            "<": self._angle,
            "[": lambda: self._open("[", image=False),
            "]": self._close,
            "!": self._bang,
        }
        while self.at < len(self.text):
            if plain := PLAIN.match(self.text, self.at):
                self._take(plain[0])
            else:
                steps[self.text[self.at]]()
        return "".join(self.out)

    def _here(self) -> int:
        return self.line + self.text.count("\n", 0, self.at)

    def _take(self, text: str, instead: str | None = None) -> None:
        self.out.append(text if instead is None else instead)
        self.at += len(text)

    def _refuse(self, what: str) -> ExportError:
        return ExportError(self.page.path, self._here(), what)

    def _escape(self) -> None:
        self._take(self.text[self.at : self.at + 2])

    def _span(self, start: int) -> tuple[str, int] | None:
        """Return the content of the code span that opens at ``start``, and its end."""
        ticks = re.compile("`+").match(self.text, start)
        assert ticks is not None, "a span opens with a tick"
        for closing in re.compile("`+").finditer(self.text, ticks.end()):
            if len(closing[0]) == len(ticks[0]):
                return self.text[ticks.end() : closing.start()], closing.end()
        return None

    def _code(self) -> None:
        found = self._span(self.at)
        if found is None:
            ticks = re.compile("`+").match(self.text, self.at)
            assert ticks is not None
            self._take(ticks[0])
        else:
            self._take(self.text[self.at : found[1]])

    def _brace(self) -> None:
        role = ROLE.match(self.text, self.at)
        found = self._span(role.start("ticks")) if role else None
        if role and found:
            text = found[0].replace("\\|", "|") if self.in_table else found[0]
            said = self.page.role(role["name"], text.replace("\n", " "), self._here())
            said = said.replace("|", "\\|") if self.in_table else said
            self._take(self.text[self.at : found[1]], said)
            return
        if SUBSTITUTION.match(self.text, self.at):
            raise self._refuse("a substitution cannot be exported; write its text")
        before = self.text[self.at - 1 : self.at]
        if before in ("]", ")", "`") and BRACES.match(self.text, self.at):
            raise self._refuse("attributes in braces cannot be exported; remove them")
        self._take("{", "\\{")

    def _angle(self) -> None:
        if link := AUTOLINK.match(self.text, self.at):
            self._take(link[0], f"[{link[1].removeprefix('mailto:')}]({link[1]})")
        elif comment := COMMENT.match(self.text, self.at):
            self._take(comment[0], "{/*" + comment[1].replace("*/", "* /") + "*/}")
        elif tag := TAG.match(self.text, self.at):
            self._take(tag[0], self._tag(tag))
        elif re.match(r"</?[A-Za-z!]", self.text[self.at :]):
            shown = self.text[self.at :].partition("\n")[0][:30]
            raise self._refuse(f"this is no HTML that can be exported: {shown}")
        else:
            self._take("<", "\\<")

    def _tag(self, tag: re.Match[str]) -> str:
        name, said = tag["name"].lower(), tag["said"]
        if name in VOID:
            return f"<{name} />"
        if name not in HTML:
            raise self._refuse(f"<{name}> cannot be exported; write it in Markdown")
        if tag["close"]:
            return f"</{name}>"
        attributes = []
        for key, value in ATTRIBUTE.findall(said):
            if key == "style":
                raise self._refuse("a style cannot be exported; use a class")
            if key in ("href", "src"):
                value = self.page.site_link(value, self._here())
            attributes.append(f' {RENAMED.get(key, key)}="{value}"')
        return f"<{name}{''.join(attributes)}>"

    def _bang(self) -> None:
        if self.text.startswith("![", self.at):
            self._open("![", image=True)
        else:
            self._take("!")

    def _open(self, text: str, *, image: bool) -> None:
        self.brackets.append(image)
        self._take(text)

    def _close(self) -> None:
        image = self.brackets.pop() if self.brackets else None
        self._take("]")
        target = TARGET.match(self.text, self.at)
        if image is None or not target:
            return
        given = target["angle"] if target["angle"] is not None else target["bare"]
        there = self.page.link(given, self._here(), image=image)
        there = f"<{there}>" if re.search(r"[\s()]", there) else there
        self._take(target[0], f"({there}{target['title'] or ''})")


def rewrite(text: str, line: int, page: Page, *, in_table: bool = False) -> str:
    """Return a run of MyST text as MDX.

    Raises
    ------
    ExportError
        If it holds something that MDX has no form for.
    """
    return Inline(text, line, page, in_table=in_table).run()
