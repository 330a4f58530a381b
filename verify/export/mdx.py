"""Makes an MDX guide self-contained: code inlined, numbers printed, links moved."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from verify.export import inline, markup, myst, parts
from verify.export.myst import FENCE
from verify.export.problem import ExportError
from verify.export.tree import SCHEME
from verify.mdx import Components, literal, modules
from verify.mdx import markup as written
from verify.mdx.page import Page as Known
from verify.mdx.problem import Broken, Places
from verify.mdx.tag import Tag, read_tag

FILE = re.compile(r'\s*file="(?P<root><root>/|\.{1,2}/)(?P<target>[^"]+)"')
TITLE = re.compile(r'\s*title="(?P<title>[^"]*)"')
TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][\w.]*)", re.ASCII)
FIGURE = re.compile(r"<(?P<name>Outcome|Receipt)\b(?P<said>[^<>]*?)/>")
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
ATTRIBUTES = re.compile(r"\b(href|src)=\"([^\"]*)\"")
FRONT = re.compile(r"---\n(?:.*?\n)?---[ \t]*(?:\n|$)", re.DOTALL)
LIST = re.compile(r"(?P<indent>[ \t]*):{3,}[ \t]*(?P<kind>[\w-]*)")
IMPORTED = {
    name: f"import {{ {name} }} from '@rspress/core/theme';" for name in parts.THEME
}
IMPORTED |= {"Tabs": myst.TABS, "Tab": myst.TABS}
IMPORTS = re.compile(f"^{modules.IMPORT.pattern}", re.MULTILINE)
TAGS = re.compile(
    r"</?[A-Za-z](?:[^<>\"'{}]|\"[^\"]*\"|'[^']*'|\{(?:[^{}]|\{[^{}]*\})*\})*>"
)
MARKER = re.compile(r"[ \t>]*(?:[-*+]|\d+[.)])?[ \t]*$")
DEEPEST = 20  # pages that take in pages


class Page(myst.Page):
    """What a page is asked for while its components are written out."""

    components: Components
    folder: str  # from the root of the repository

    def read(self, path: str, line: int) -> str:
        """Return the text of a file of the repository."""

    def overview(self, line: int) -> str:
        """Return links to the other pages of the folder, as Markdown."""


class Part:
    """A page that another takes in: its links start at its own folder."""

    def __init__(self, page: Page, path: str) -> None:
        self.page, self.path, self.folder = page, path, posixpath.dirname(path)
        self.components = page.components

    def __getattr__(self, name: str) -> Any:
        """Answer everything else as the page does."""
        return getattr(self.page, name)

    def link(self, target: str, line: int, *, image: bool = False) -> str:
        """Return where a link of this part leads in the exported tree."""
        outside = SCHEME.match(target) or target.startswith(("#", "/")) or not target
        if not outside:
            path, hash_, anchor = target.partition("#")
            path = posixpath.normpath(posixpath.join("/", self.folder, path))
            target = path + hash_ + anchor
        return self.page.link(target, line, image=image)


class MdxInline(inline.Inline):
    """One run of MDX text: what is MDX already stays as it is."""

    page: Page

    def __init__(self, text: str, line: int, page: Page, known: Known) -> None:
        super().__init__(text, line, page, in_table=False)
        self.known = known
        self.ends: list[tuple[str, str]] = []  # of tags that became text

    def _brace(self) -> None:
        end = literal.closing_brace(self.text, self.at, len(self.text))
        end = end if end > 0 else len(self.text)
        whole = self.text[self.at : end]
        taken_in = "props" in self.known.names
        if taken_in and not literal.is_comment(self.text, self.at + 1, end - 1):
            try:
                names = self.known.names
                value = literal.read(self.text, self.at + 1, end - 1, names)
            except Broken as error:
                raise self._refuse(f"{error.what}; {error.instead}") from error
            shown = "" if value is None or isinstance(value, bool) else str(value)
            self._take(whole, written.plain(shown))
            return
        self._take(whole)

    def _angle(self) -> None:
        if figure := FIGURE.match(self.text, self.at):
            said = dict(ATTRIBUTE.findall(figure["said"]))
            if "name" not in said:
                raise self._refuse(f'write <{figure["name"]} name="…" />')
            asked = "|".join(filter(None, [said["name"], said.get("format")]))
            shown = self.page.role(figure["name"].lower(), asked, self._here())
            self._take(figure[0], shown.replace("|", "\\|"))
        elif not TAG.match(self.text, self.at):
            self._take("<")
        else:
            self._component()

    def _component(self) -> None:
        try:
            tag = read_tag(self.text, self.at, len(self.text), self.known.names)
        except Broken as error:
            what = "this tag is never closed" if error.at_end else error.what
            raise self._refuse(what) from error
        whole = self.text[self.at : tag.end]
        tag = parts.components.resolved(tag, self.known)
        try:
            shown = self._closed(tag, whole) if tag.closes else self._opened(tag, whole)
        except Broken as error:
            raise self._refuse(f"{error.what}; {error.instead}") from error
        self._take(whole, shown)

    def _closed(self, tag: Tag, whole: str) -> str:
        if self.ends and self.ends[-1][0] == tag.name:
            return self.ends.pop()[1]
        shown = parts.closing(tag, self.known)
        return self._on_lines(shown, whole) if shown == parts.MARK else shown

    def _opened(self, tag: Tag, whole: str) -> str:
        if tag.name in self.known.pages:
            return self._on_lines(self._part(tag), whole)
        if tag.name == "Overview":
            return self._on_lines(self.page.overview(self._here()), whole)
        line = self.text[self.text.rfind("\n", 0, self.at) + 1 :].split("\n")[0]
        shown = parts.opening(
            tag,
            self.known,
            lambda path: self.page.read(path, self._here()),
            alone_on_line=line.strip() == whole.split("\n")[0],
        )
        if shown is None:
            return self._same(tag, whole)
        if shown.closing:
            self.ends.append((tag.name, shown.closing))
        text = ATTRIBUTES.sub(self._attribute, shown.text)
        return self._on_lines(text, whole) if shown.block else text

    def _same(self, tag: Tag, whole: str) -> str:
        """Return a tag as it is, its constants filled in where they do not follow."""
        names = ("src", "href", "poster")
        computed = any(f"{name}={{" in whole for name in names)
        renamed = not whole.startswith(f"<{tag.name}")
        if computed or renamed or "props" in self.known.names:
            whole = parts.rebuilt(tag)
        return ATTRIBUTES.sub(self._attribute, whole)

    def _on_lines(self, text: str, whole: str) -> str:
        """Return blocks with the indentation of the line that they stand in."""
        before = self.text[self.text.rfind("\n", 0, self.at) + 1 : self.at]
        behind = self.text[self.at + len(whole) :].partition("\n")[0]
        indent = re.sub(r"[^\s>]", " ", before)
        apart = bool(before.strip()) and not MARKER.match(before)
        lines = [(indent + line).rstrip() for line in text.split("\n")]
        lines[0] = lines[0] if apart else lines[0].removeprefix(indent)
        tail = f"\n\n{indent}" if behind.strip() else ""
        return ("\n\n" if apart else "") + "\n".join(lines) + tail

    def _part(self, tag: Tag) -> str:
        """Return the text of a page that is taken in here."""
        path, line = self.known.pages[tag.name], self._here()
        part: Any = self.page
        depth = 0
        while isinstance(part, Part):
            depth += 1
            if part.path == path or depth > DEEPEST:
                raise ExportError(self.page.path, line, f"{path} is taken into itself")
            part = part.page
        text = self.page.read(path, line)
        front = found[0] if (found := FRONT.match(text)) else ""
        inner, names = Part(self.page, path), {"props": dict(tag.attributes)}
        lines = text.removeprefix(front).split("\n")
        return translate(lines, 1 + front.count("\n"), inner, names)[0].strip("\n")

    def _attribute(self, found: re.Match[str]) -> str:
        image = found[1] == "src"
        return f'{found[1]}="{self.page.link(found[2], self._here(), image=image)}"'


def translate(
    lines: list[str], start: int, page: Page, names: Mapping[str, Any] | None = None
) -> tuple[str, set[str]]:
    """Return an MDX page without what only this repository knows, and its imports.

    ``names`` are the constants of a page that another takes in.

    Raises
    ------
    ExportError
        If code, a number or a link cannot be found, or a component is not known.
    """
    whole = "\n".join(_listed(lines))
    lines = whole.split("\n")
    known = Known(whole, Places(whole), page.components, page.folder)
    known.names.update(names or {})
    out: list[str] = []
    run: list[str] = []
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence and fence["marks"][0] != ":":
            out += _text(run, start, at - len(run), page, known)
            run = []
            code, at = _fence(lines, at, fence, start, page)
            out += code
            continue
        run.append(lines[at])
        at += 1
        if not lines[at - 1].strip():
            out += _text(run, start, at - len(run), page, known)
            run = []
    out += _text(run, start, at - len(run), page, known)
    text = "\n".join(out)
    bare = re.sub(r"`[^`]*`", "", re.sub(r"(?ms)^[ \t]*(`{3,}).*?^[ \t]*\1", "", text))
    used = {tag["name"] for tag in TAG.finditer(bare)}
    return text, {IMPORTED[name] for name in used & set(IMPORTED)}


def seen(text: str) -> str:
    """Return a page without its imports and tags, with as many lines."""
    for pattern in (IMPORTS, TAGS):
        text = pattern.sub(lambda found: " " + "\n" * found[0].count("\n"), text)
    return text


def _listed(lines: list[str]) -> list[str]:
    """Return lines whose ``:::callouts`` are the component, which all sites know."""
    out, depth, code = [], [], ""
    for line in lines:
        fence = FENCE.match(line)
        marks = fence["marks"] if fence and fence["marks"][0] != ":" else ""
        if code or marks:
            ends = marks.startswith(code) and fence and not fence["info"].strip()
            code = ("" if ends else code) if code else marks
        elif (found := LIST.match(line)) and found["kind"]:
            depth.append(found["kind"])
            if found["kind"] == "callouts":
                line = f"{found['indent']}<Callouts>\n"
        elif found and depth and depth.pop() == "callouts":
            line = f"\n{found['indent']}</Callouts>"
        out.append(line)
    return out


def _text(run: list[str], start: int, at: int, page: Page, known: Known) -> list[str]:
    """Return a run of text; ``at`` is the number of its first line, from 0."""
    if not run:
        return []
    text = "\n".join(run)
    if modules.begins(run[0]):
        return _module(text, start, at, page, known)
    return MdxInline(text, start + at, page, known).run().split("\n")


def _module(text: str, start: int, at: int, page: Page, known: Known) -> list[str]:
    """Return the constants of a page; its imports were for where it came from."""
    first = known.places.starts[at]
    modules.read(known, first, first + len(text))
    for problem in known.problems:
        line = start + problem.line - 1
        raise ExportError(page.path, line, f"{problem.what}; {problem.instead}")
    if "props" in known.names:
        return [""]
    left = modules.IMPORT.sub("", text).strip("\n")
    return [*left.split("\n"), ""] if left.strip() else [""]


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
    said, target = (title["title"] if title else None), file["target"]
    if file["root"] != "<root>/":
        target = posixpath.join(page.folder, file["root"] + target)
        target = posixpath.normpath(target)
    if "#" in target:
        text = page.snippet(target, said, line)
    else:
        info = f'{fence["info"].split()[0]} title="{said or target}"'
        text = markup.fenced(page.read(target, line).rstrip("\n"), info)
    return [f"{fence['indent']}{one}".rstrip() for one in text.split("\n")], end + 1
