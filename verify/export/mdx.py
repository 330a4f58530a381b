"""Makes an MDX guide self-contained: code inlined, numbers printed, links moved."""

from __future__ import annotations

import re

from verify.export import inline
from verify.export.myst import FENCE, TABS, Page
from verify.export.problem import ExportError

FILE = re.compile(r'\s*file="<root>/(?P<target>[^"]+)"')
TITLE = re.compile(r'\s*title="(?P<title>[^"]*)"')
TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][\w.]*)", re.ASCII)
FIGURE = re.compile(r"<(?P<name>Outcome|Receipt)\b(?P<said>[^<>]*?)/>")
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
ATTRIBUTES = re.compile(r"\b(href|src)=\"([^\"]*)\"")
IMPORTED = {"Tabs": TABS, "Tab": TABS}
IMPORTED["Steps"] = "import { Steps } from '@rspress/core/theme';"


class MdxInline(inline.Inline):
    """One run of MDX text: what is MDX already stays as it is."""

    def _brace(self) -> None:
        depth, end = 0, self.at
        while end < len(self.text):
            depth += {"{": 1, "}": -1}.get(self.text[end], 0)
            end += 1
            if not depth:
                break
        self._take(self.text[self.at : end])

    def _angle(self) -> None:
        if figure := FIGURE.match(self.text, self.at):
            said = dict(ATTRIBUTE.findall(figure["said"]))
            if "name" not in said:
                raise self._refuse(f'write <{figure["name"]} name="…" />')
            asked = "|".join(filter(None, [said["name"], said.get("format")]))
            shown = self.page.role(figure["name"].lower(), asked, self._here())
            self._take(figure[0], shown.replace("|", "\\|"))
            return
        if not TAG.match(self.text, self.at):
            self._take("<")
            return
        end = self._tag_end()
        tag = self.text[self.at : end]
        self._take(tag, ATTRIBUTES.sub(self._attribute, tag))

    def _tag_end(self) -> int:
        quote, depth = "", 0
        for at in range(self.at, len(self.text)):
            one = self.text[at]
            if quote:
                quote = "" if one == quote else quote
            elif one in "\"'" and not depth:
                quote = one
            elif one in "{}":
                depth += 1 if one == "{" else -1
            elif one == ">" and not depth:
                return at + 1
        raise self._refuse("this tag is never closed")

    def _attribute(self, found: re.Match[str]) -> str:
        image = found[1] == "src"
        return f'{found[1]}="{self.page.link(found[2], self._here(), image=image)}"'


def translate(lines: list[str], start: int, page: Page) -> tuple[str, set[str]]:
    """Return an MDX page without what only this repository knows, and its imports.

    Raises
    ------
    ExportError
        If code, a number or a link cannot be found.
    """
    out: list[str] = []
    used: set[str] = set()
    run: list[str] = []
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence and fence["marks"][0] != ":":
            out += _text(run, start + at - len(run), page, used)
            run = []
            code, at = _fence(lines, at, fence, start, page)
            out += code
            continue
        run.append(lines[at])
        at += 1
        if not lines[at - 1].strip():
            out += _text(run, start + at - len(run), page, used)
            run = []
    out += _text(run, start + at - len(run), page, used)
    have = "\n".join(line for line in lines if line.startswith("import "))
    missing = {name for name in used & set(IMPORTED) if name not in have}
    return "\n".join(out), {IMPORTED[name] for name in missing}


def _text(run: list[str], line: int, page: Page, used: set[str]) -> list[str]:
    if not run:
        return []
    text = "\n".join(run)
    used |= {tag["name"] for tag in TAG.finditer(re.sub("`[^`]*`", "", text))}
    return MdxInline(text, line, page, in_table=False).run().split("\n")


def _fence(
    lines: list[str], at: int, fence: re.Match[str], start: int, page: Page
) -> tuple[list[str], int]:
    line, marks = start + at, fence["marks"]
    end = at + 1
    while end < len(lines):
        bare = lines[end].strip()
        if len(bare) >= len(marks) and not bare.strip(marks[0]):
            break
        end += 1
    if end == len(lines):
        raise ExportError(page.path, line, "this fence is never closed")
    file = FILE.search(fence["info"])
    if not file:
        return lines[at : end + 1], end + 1
    if any(one.strip() for one in lines[at + 1 : end]):
        raise ExportError(page.path, line, "a fence with file= must be empty")
    title = TITLE.search(fence["info"])
    text = page.snippet(file["target"], title["title"] if title else None, line)
    return [f"{fence['indent']}{one}".rstrip() for one in text.split("\n")], end + 1
