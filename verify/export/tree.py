"""Knows every page of the book: where it is exported to, its title, its anchors."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from verify import ledger
from verify.export.problem import ExportError
from verify.source import read_notebook, source_of

SUFFIXES = (".md", ".mdx", ".ipynb")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
LABEL = re.compile(r"\(([^()\s]+)\)=\s*$")
OWN_ID = re.compile(r"\s*\\?\{\s*#([^\s{}\\]+)\s*\\?\}\s*$")
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
RECEIPT = "receipt"


@dataclass(frozen=True)
class Heading:
    """A heading, with the id that its text gives and the one that it ends up with."""

    level: int
    text: str
    slug: str
    anchor: str
    label: str | None


def slug(text: str) -> str:
    """Return the id that GitHub, MyST and rspress give to a heading."""
    plain = re.sub(r"\{[\w:-]+\}(?=`)", "", text)
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    plain = re.sub(r"<[^<>]+>", "", plain)
    kept = re.sub(r"[^\w\s-]", "", plain.replace("`", "").strip().lower())
    return kept.replace(" ", "-")


def sphinx_id(heading: Heading) -> str:
    """Return the id that Sphinx gives to a heading, for links into its pages."""
    name = re.sub(r"[^a-z0-9]+", "-", heading.text.lower())
    return re.sub(r"^[-0-9]+|-+$", "", name)  # an id begins with a letter


def headings(text: str) -> list[Heading]:
    """Return the headings of a page, fences left out."""
    found: list[Heading] = []
    fence, label = "", None
    for line in text.splitlines():
        mark = FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif fence:
            closes = len(line.strip()) >= len(fence) and not line.strip().strip(
                fence[0]
            )
            fence = "" if closes else fence
        elif named := LABEL.match(line):
            label = named[1]
        elif heading := HEADING.match(line):
            found.append(_heading(heading, label, found))
            label = None
    return found


def _heading(line: re.Match[str], label: str | None, before: list[Heading]) -> Heading:
    own = OWN_ID.search(line[2])
    text = line[2][: own.start()] if own else line[2]
    name = slug(text)
    taken = sum(one.slug == name or one.slug.startswith(f"{name}-") for one in before)
    name = f"{name}-{taken}" if any(one.slug == name for one in before) else name
    anchor = own[1] if own else label or name
    return Heading(len(line[1]), text, name, anchor, label)


@dataclass(frozen=True)
class Doc:
    """One page of the contents."""

    name: str
    source: Path

    @property
    def target(self) -> str:
        """Where the page goes, below the exported tree."""
        return self.name.removeprefix("docs/") + ".mdx"

    @cached_property
    def text(self) -> str:
        """The Markdown of the page."""
        if self.source.suffix != ".ipynb":
            return self.source.read_text(encoding="utf-8")
        cells = read_notebook(self.source)["cells"]
        prose = [source_of(cell) for cell in cells if cell["cell_type"] == "markdown"]
        return "\n\n".join(prose)

    @cached_property
    def headings(self) -> list[Heading]:
        """Its headings, in reading order."""
        return headings(self.text)

    @property
    def title(self) -> str:
        """The text of its first heading."""
        return self.headings[0].text if self.headings else self.name


class Tree:
    """All pages of the contents, in reading order."""

    def __init__(self, root: Path, names: list[str]) -> None:
        self.root = root
        self.docs = {name: Doc(name, _source(root, name)) for name in names}

    @classmethod
    def of(cls, root: Path) -> Tree:
        """Return the pages that ``docs/_toc.yml`` lists."""
        toc = root / "docs" / "_toc.yml"
        return cls(root, list(_listed(yaml.safe_load(toc.read_text(encoding="utf-8")))))

    def find(self, doc: Doc, path: str) -> Doc | None:
        """Return the page that a path in another page means, with or without suffix."""
        folder = posixpath.dirname(doc.name)
        bases = [folder] if not path.startswith("/") else ["", "docs"]
        for base in bases:
            full = posixpath.normpath(posixpath.join(base, path.lstrip("/")))
            for suffix in (*SUFFIXES, ".html", ""):
                stem = full.removesuffix(suffix) if suffix else full
                if full.endswith(suffix) and stem in self.docs:
                    return self.docs[stem]
            if f"{full}/index" in self.docs:
                return self.docs[f"{full}/index"]
        return None

    def labelled(self, label: str) -> tuple[Doc, Heading] | None:
        """Return the heading that a label stands before."""
        for doc in self.docs.values():
            for heading in doc.headings:
                if heading.label == label:
                    return doc, heading
        return None

    def address(self, here: Doc, there: Doc, anchor: str, line: int) -> str:
        """Return the link from one exported page to another, its anchor checked."""
        if anchor:
            anchor = f"#{self._anchor(here, there, anchor, line)}"
        if here == there:
            return anchor or posixpath.basename(there.target)
        folder = posixpath.dirname(here.target) or "."
        path = posixpath.relpath(there.target, folder)
        return (path if path.startswith(".") else f"./{path}") + anchor

    def _anchor(self, here: Doc, there: Doc, anchor: str, line: int) -> str:
        if found := self.kept(there, anchor):
            return found
        known = ", ".join(heading.anchor for heading in there.headings[:8])
        source = here.source.relative_to(self.root).as_posix()
        what = f"{there.name} has no heading #{anchor}; it has {known}"
        raise ExportError(source, line, what)

    def kept(self, there: Doc, anchor: str) -> str | None:
        """Return what an anchor of the site is called in the exported page, or None."""
        if anchor == RECEIPT and there.name.startswith("notebooks/"):
            return anchor
        for heading in there.headings:
            known = (heading.slug, heading.anchor, heading.label, sphinx_id(heading))
            if anchor in known:
                return heading.anchor
        shown = r"^`{3,}\{ledger\} (\w+) ?([\w-]*)"
        parts = re.findall(shown, there.text, re.MULTILINE)
        ids = {one for part in parts for one in ledger.ids(self.root, *part)}
        return anchor if anchor in ids else None

    def contents(self) -> dict[str, list[dict[str, str] | str]]:
        """Return the order of each folder, as rspress reads it from ``_meta.json``."""
        folders: dict[str, list[dict[str, str] | str]] = {}
        for doc in self.docs.values():
            parts = doc.target.removesuffix(".mdx").split("/")
            for depth, part in enumerate(parts):
                folder = "/".join(parts[:depth])
                last = depth == len(parts) - 1
                label = part.replace("-", " ").capitalize()
                entry = part if last else {"type": "dir", "name": part, "label": label}
                entries = folders.setdefault(folder, [])
                if entry not in entries:
                    entries.append(entry)
        return folders


def _listed(toc: dict[str, Any]) -> Iterator[str]:
    for key in ("root", "file"):
        if key in toc:
            yield toc[key]
    for key in ("parts", "chapters", "sections"):
        for entry in toc.get(key, []):
            yield from _listed(entry)


def _source(root: Path, name: str) -> Path:
    found = [root / f"{name}{suffix}" for suffix in SUFFIXES]
    here = [path for path in found if path.is_file()]
    if not here:
        raise ExportError("docs/_toc.yml", 1, f"there is no page {name}")
    return here[0]


def order(tree: Tree) -> dict[str, str]:
    """Return the ``_meta.json`` files of the exported tree, by path."""
    return {
        f"{folder}/_meta.json".lstrip("/"): json.dumps(entries, indent=1) + "\n"
        for folder, entries in tree.contents().items()
    }
