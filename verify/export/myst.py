"""Translates a MyST page block by block into MDX; what has no form there is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from verify.export import inline
from verify.export.problem import ExportError

FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,}|:{3,})(?P<info>.*)$")
DIRECTIVE = re.compile(r"\{(?P<name>[^}\s]+)\}\s*(?P<said>.*)$")
OPTION = re.compile(r"\s*:(?P<key>[\w-]+):\s*(?P<value>.*)$")
LABEL = re.compile(r"\((?P<name>[^()\s]+)\)=\s*$")
HEADING = re.compile(r"(?P<marks>#{1,6})[ \t]+(?P<text>.*?)(?:[ \t]+#+)?[ \t]*$")
DEFINED = re.compile(r"(?P<indent>[ ]{0,3}):[ ]{1,3}(?P<text>\S.*)$")
ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)")
QUOTE = re.compile(r"[ \t]*>")
DELIMITERS = re.compile(
    r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$"
)
REFERENCE = re.compile(
    r"(?P<label>[ ]{0,3}\[[^\]^][^\]]*\]:\s+)(?P<target>\S+)(?P<rest>.*)$"
)
MODULE = re.compile(r"(import|export)\b")
KINDS = {
    "note": ("note", ""),
    "tip": ("tip", ""),
    "hint": ("tip", "Hint"),
    "important": ("info", "Important"),
    "seealso": ("info", "See also"),
    "attention": ("warning", "Attention"),
    "warning": ("warning", ""),
    "caution": ("caution", ""),
    "danger": ("danger", ""),
    "error": ("danger", "Error"),
}
LOOK = {"class", "class-container", "class-card", "gutter", "columns", "open", "sync"}
LOOK |= {
    "name",
    "class-title",
    "class-body",
    "class-header",
    "class-footer",
    "selected",
}
LOOK |= {"animate", "icon", "color", "shadow", "padding", "margin", "outline"}
TABS = "import { Tab, Tabs } from '@rspress/core/theme';"


class Page(inline.Page):
    """What a page is asked for while its blocks are translated."""

    def without_scripts(self, file: str, line: int) -> str:
        """Return what a file of HTML says where no script runs, as Markdown."""

    def directive(self, name: str, said: str, line: int) -> str:
        """Return what a directive of the book prints, as MDX."""

    def snippet(self, target: str, caption: str | None, line: int) -> str:
        """Return the named code with its title and its place."""


@dataclass
class Body:
    """What stands inside a directive: its options, its text and that text's line."""

    said: str
    line: int
    start: int
    lines: list[str]
    options: dict[str, str] = field(default_factory=dict)


class Translator:
    """Translates the lines of one page, or of one directive in it."""

    def __init__(self, lines: list[str], start: int, page: Page) -> None:
        self.lines, self.start, self.page = lines, start, page
        self.at = 0
        self.out: list[str] = []
        self.label: str | None = None
        self.open_item = False  # an indented line may belong to a list or a definition
        self.imports: set[str] = set()

    def run(self) -> str:
        """Return the MDX; ``imports`` then names what the page must import."""
        while self.at < len(self.lines):
            self._block()
        if self.label:
            raise self._refuse(f"({self.label})= stands before nothing")
        return "\n".join(self.out)

    def _here(self) -> int:
        return self.start + self.at

    def _refuse(self, what: str, line: int | None = None) -> ExportError:
        return ExportError(self.page.path, line or self._here(), what)

    def _block(self) -> None:
        line = self.lines[self.at]
        if not line.strip():
            self._emit("")
        elif fence := FENCE.match(line):
            self._fence(fence)
        elif label := LABEL.match(line):
            self.label = label["name"]
            self.at += 1
        elif heading := HEADING.match(line):
            self._heading(heading)
        elif self.label:
            raise self._refuse(f"({self.label})= must stand before a heading")
        elif line.startswith("%"):
            self._emit("{/* " + line[1:].strip().replace("*/", "* /") + " */}")
        elif line.startswith("+++"):
            self._block_break(line)
        elif self._is_term():
            self._term()
        elif definition := DEFINED.match(line):
            self._definition(definition)
        elif reference := REFERENCE.match(line):
            there = self.page.link(reference["target"], self._here())
            self._emit(f"{reference['label']}{there}{reference['rest']}")
        else:
            self._text()

    def _emit(self, text: str) -> None:
        self.out.append(text)
        self.at += 1

    def _block_break(self, line: str) -> None:
        if line.strip("+ \t"):
            raise self._refuse("the text of a block break cannot be exported")
        self.at += 1

    # -- text -------------------------------------------------------------------------

    def _heading(self, heading: re.Match[str]) -> None:
        text = inline.rewrite(heading["text"], self._here(), self.page)
        mark = f" \\{{#{self.label}}}" if self.label else ""
        self.label, self.open_item = None, False
        self._emit(f"{heading['marks']} {text}{mark}")

    def _is_term(self) -> bool:
        if DEFINED.match(self.lines[self.at]) or self.lines[self.at].startswith(" "):
            return False
        after = self.lines[self.at + 1 : self.at + 3]
        after = after[1:] if after and not after[0].strip() else after[:1]
        before = self.lines[self.at - 1] if self.at else ""
        return bool(after and DEFINED.match(after[0])) and not before.strip()

    def _term(self) -> None:
        text = inline.rewrite(self.lines[self.at], self._here(), self.page)
        self._emit(f"- **{text}**\\" if "**" not in text else f"- {text}\\")
        while not self.lines[self.at].strip():
            self.at += 1  # the definition must follow its term at once
        self.open_item = True

    def _definition(self, found: re.Match[str]) -> None:
        run = [found["text"], *self._rest()]
        text = inline.rewrite("\n".join(run), self._here(), self.page)
        first, *more = text.split("\n")
        self.out += [f"  {first}", *(f"  {line.strip()}" for line in more)]
        self.at += len(run)
        self.open_item = True

    def _rest(self) -> list[str]:
        """Return the lines that go on with the text of the present one."""
        found = []
        for line in self.lines[self.at + 1 :]:
            stops = (FENCE, HEADING, LABEL, DEFINED, ITEM, QUOTE)
            if not line.strip() or any(one.match(line) for one in stops):
                break
            if line.startswith(("%", "+++")):
                break
            found.append(line)
        return found

    def _text(self) -> None:
        line = self.lines[self.at]
        if ITEM.match(line):
            self.open_item = True
        elif not line.startswith((" ", "\t")):
            self.open_item = False
        elif line.startswith(("    ", "\t")) and not self.open_item and self._alone():
            raise self._refuse("indented code cannot be exported; write a fence")
        run = [line, *self._rest()]
        if len(run) > 1 and "|" in line and DELIMITERS.match(run[1]):
            for row in run:
                text = inline.rewrite(row, self._here(), self.page, in_table=True)
                self._emit(text)
            return
        text = inline.rewrite("\n".join(run), self._here(), self.page)
        self.out += [_no_module(one) for one in text.split("\n")]
        self.at += len(run)

    def _alone(self) -> bool:
        return not self.at or not self.lines[self.at - 1].strip()

    # -- fences -----------------------------------------------------------------------

    def _fence(self, fence: re.Match[str]) -> None:
        line, indent, marks = self._here(), fence["indent"], fence["marks"]
        inside, closed = self._inside(indent, marks)
        if not closed:
            raise self._refuse(
                f"the fence {marks}{fence['info']} is never closed", line
            )
        info = fence["info"].strip()
        directive = DIRECTIVE.match(info)
        if directive:
            body = _body(directive["said"].strip(), line, inside)
            text = self._directive(directive["name"], body)
        elif marks[0] == ":":
            what = f"{marks}{fence['info']} is shown as text here; write "
            raise self._refuse(f"{what}{marks}{{note}} or another directive", line)
        else:
            text = "\n".join([marks + info, *inside, marks])
        self.out += [f"{indent}{one}".rstrip() for one in text.split("\n")]

    def _inside(self, indent: str, marks: str) -> tuple[list[str], bool]:
        inside: list[str] = []
        self.at += 1
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            bare = line.strip()
            if len(bare) >= len(marks) and not bare.strip(marks[0]):
                return inside, True
            cut = len(line) - len(line.lstrip())
            inside.append(line[min(cut, len(indent)) :])
        return inside, False

    def _directive(self, name: str, body: Body) -> str:
        if name in KINDS or name in ("admonition", "dropdown"):
            return self._container(name, body)
        if name in (
            "div",
            "grid",
            "grid-item",
            "card-footer",
            "card-header",
            "tab-set",
        ):
            return self._group(name, body)
        if name in ("grid-item-card", "card"):
            return self._card(body)
        if name == "tab-item":
            inner = self._nested(body, LOOK)
            return f"  <Tab label={_quoted(body.said)}>\n\n{inner}\n\n  </Tab>"
        if name in ("figure", "image"):
            return self._figure(body)
        if name in ("code-block", "code", "sourcecode"):
            return self._code_block(body)
        if name == "mermaid":
            return "\n".join(["```mermaid", *body.lines, "```"])
        if name == "snippet":
            self._only(body, {"caption", "lines"})
            caption = body.options.get("caption")
            return self.page.snippet(body.said, caption, body.line)
        if name == "raw" and set(body.options) == {"file"}:
            return self.page.without_scripts(body.options["file"], body.line)
        self._only(body, set())
        if any(line.strip() for line in body.lines):
            raise self._refuse(f"the text in {{{name}}} cannot be exported", body.line)
        return self.page.directive(name, body.said, body.line)

    def _only(self, body: Body, known: set[str]) -> None:
        for key in body.options:
            if key not in known:
                raise self._refuse(f"the option :{key}: cannot be exported", body.line)

    def _nested(self, body: Body, known: set[str]) -> str:
        self._only(body, known)
        inner = Translator(body.lines, body.start, self.page)
        text = inner.run().strip("\n")
        self.imports |= inner.imports
        return text

    def _container(self, name: str, body: Body) -> str:
        kind, title = KINDS.get(name, ("info", ""))
        if name == "dropdown":
            title = inline.rewrite(body.said, body.line, self.page)
            return folded(title, self._nested(body, LOOK))
        if name == "admonition":
            kinds = [
                one for one in body.options.get("class", "").split() if one in KINDS
            ]
            kind, title = (KINDS[kinds[0]][0] if kinds else "info"), body.said
        elif body.said:  # the text of a note may begin on its first line
            body.lines, body.start = [body.said, *body.lines], body.line
        inner = self._nested(body, LOOK)
        if re.search(r"^\s*:{3,}", inner, re.MULTILINE):
            what = f"a container within {{{name}}} cannot be exported; end one first"
            raise self._refuse(what, body.line)
        title = re.sub(r"[`*]", "", title)  # rspress shows it as plain text
        return f":::{kind} {title}".rstrip() + f"\n\n{inner}\n\n:::"

    def _group(self, name: str, body: Body) -> str:
        inner = self._nested(body, LOOK)
        if name != "tab-set":
            return inner
        self.imports.add(TABS)
        return f"<Tabs>\n{inner}\n</Tabs>"

    def _card(self, body: Body) -> str:
        if any(line.strip() in ("^^^", "+++") for line in body.lines):
            raise self._refuse(
                "write card-header and card-footer directives", body.line
            )
        title = inline.rewrite(body.said, body.line, self.page)
        if target := body.options.get("link"):
            there = self.page.link(target, body.line)
            title = f"[{title}]({there})"
        inner = self._nested(body, LOOK | {"link", "link-type", "link-alt"})
        return f"**{title}**\n\n{inner}" if title else inner

    def _figure(self, body: Body) -> str:
        self._only(body, LOOK | {"alt", "width", "height", "align", "figwidth"})
        alt = body.options.get("alt")
        if not alt:
            raise self._refuse("an image needs :alt: to be exported", body.line)
        source = self.page.link(body.said, body.line, image=True)
        options = {"alt", "width", "height", "align", "figwidth"}
        caption = self._nested(body, LOOK | options)
        return f"![{alt}]({source})\n\n{caption}".rstrip()

    def _code_block(self, body: Body) -> str:
        self._only(
            body, LOOK | {"caption", "linenos", "emphasize-lines", "lineno-start"}
        )
        info = body.said
        if caption := body.options.get("caption"):
            info += f" title={_quoted(caption)}"
        if lines := body.options.get("emphasize-lines"):
            info += f" {{{lines.replace(' ', '')}}}"
        return "\n".join([f"```{info}", *body.lines, "```"])


def folded(title: str, inner: str) -> str:
    """Return text that folds away under its title."""
    return f"<details>\n<summary>{title}</summary>\n\n{inner}\n\n</details>"


def _quoted(text: str) -> str:
    """Return an attribute's value; the double quote has no escape in MDX."""
    return '"' + text.replace('"', "&quot;") + '"'


def _no_module(line: str) -> str:
    """Return a line of text that MDX does not take for an import."""
    found = MODULE.match(line)
    return f"&#{ord(line[0])};{line[1:]}" if found else line


def _body(said: str, line: int, inside: list[str]) -> Body:
    options: dict[str, str] = {}
    at = 0
    while at < len(inside) and (found := OPTION.match(inside[at])):
        options[found["key"]] = found["value"].strip()
        at += 1
    return Body(said, line, line + 1 + at, inside[at:], options)


def translate(lines: list[str], start: int, page: Page) -> tuple[str, set[str]]:
    """Return lines of MyST as MDX, with the imports that they need.

    Parameters
    ----------
    lines
        The text without front matter.
    start
        The line of the file that the first of them is, from 1.
    page
        Resolves roles, directives, links and snippets.

    Raises
    ------
    ExportError
        At the first construct that has no form in MDX.
    """
    translator = Translator(lines, start, page)
    return translator.run(), translator.imports
