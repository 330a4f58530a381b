"""Exports all pages: each is translated, its links checked, its words counted."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from sphinx.errors import ConfigError

from verify import executed
from verify.export import markup, mdx, myst, notebook, survival, tree
from verify.export.book import Book, Refused
from verify.export.problem import ExportError, Problem
from verify.export.tree import SCHEME, Doc, Tree
from verify.mdx import Components
from verify.source import read_notebook
from verify.sphinx_ext.excerpt import SnippetError, find, lexer_of, tested_by
from verify.sphinx_ext.mdx_read import configured

FRONT = re.compile(r"---\n(.*?\n)?---[ \t]*(?:\n|$)", re.DOTALL)
ONLY_HERE = ("html_theme",)  # front matter that steers the theme of the built site
TITLED = re.compile(r"(?P<title>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)
PLAIN_ROLES = {"kbd": "kbd", "sub": "sub", "sup": "sup"}
UNRUN = "The code below is shown without outputs: "


@dataclass
class Exported:
    """What an export left: how many pages, which problems, and the files to add."""

    pages: int = 0
    problems: list[Problem] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, Problem]] = field(default_factory=list)


class PageExport:
    """One page on its way; answers what its translation asks."""

    def __init__(
        self,
        doc: Doc,
        tree_: Tree,
        book: Book,
        done: Exported,
        components: Components,
    ) -> None:
        self.doc, self.tree, self.book, self.done = doc, tree_, book, done
        self.path = doc.source.relative_to(tree_.root).as_posix()
        self.cell = ""  # where in a notebook
        self.components = components
        self.folder = posixpath.dirname(self.path)

    def text(self) -> str:
        """Return the whole page as MDX."""
        if self.doc.source.suffix == ".ipynb":
            body, imports, front = self._notebook()
        else:
            front, lines, start = split_front(self.doc.text, self.path)
            one = mdx.translate if self.doc.source.suffix == ".mdx" else myst.translate
            body, imports = one(lines, start, self)
            source = "\n".join(lines)
            mine = self.doc.source.suffix == ".mdx"
            self._check(mdx.seen(source) if mine else source, body, start)
        head = f"---\n{front}---\n\n" if front else ""
        needs = "\n".join(sorted(imports)) + "\n\n" if imports else ""
        return head + needs + body.strip("\n") + "\n"

    def _check(self, source: str, body: str, start: int) -> None:
        if gone := survival.lost(source, body, start):
            what = f"the word {gone[1]!r} is not in the exported page"
            raise self.error(gone[0], what)

    def error(self, line: int, what: str) -> ExportError:
        """Return an error at a line of this page."""
        return ExportError(self.path, line, f"{self.cell}{what}")

    # -- what translations ask --------------------------------------------------------

    def role(self, name: str, text: str, line: int) -> str:
        """Return what a role prints, as Markdown."""
        if name in ("doc", "ref"):
            return self._reference(name, text, line)
        if name in PLAIN_ROLES:
            return _tagged(PLAIN_ROLES[name], text)
        try:
            found = self.book.role(self.doc.name, name, text)
        except Refused as error:
            raise self.error(line, str(error)) from error
        if found is None:
            raise self.error(line, f"the role {{{name}}} cannot be exported")
        printed, receipt = found
        printed = markup.SPECIAL.sub(r"\\\1", printed)
        there = self.tree.docs.get(f"notebooks/{receipt}") if receipt else None
        if there is None:
            return printed
        address = self.tree.address(self.doc, there, tree.RECEIPT, line)
        return f"[{printed}]({address})"

    def _reference(self, name: str, text: str, line: int) -> str:
        titled = TITLED.match(text)
        title, target = (titled["title"], titled["target"]) if titled else ("", text)
        if name == "ref":
            found = self.tree.labelled(target)
            if found is None:
                raise self.error(line, f"no heading has the label {target!r}")
            there, heading = found
            address = self.tree.address(self.doc, there, heading.anchor, line)
            return f"[{title or heading.text}]({address})"
        page = self.tree.find(self.doc, target)
        if page is None:
            raise self.error(line, f"there is no page {target}")
        address = self.tree.address(self.doc, page, "", line)
        return f"[{title or page.title}]({address})"

    def link(self, target: str, line: int, *, image: bool = False) -> str:
        """Return where a link of the source leads in the exported tree."""
        if SCHEME.match(target) or not target:
            return target
        path, _, anchor = target.partition("#")
        if not path:
            return self.tree.address(self.doc, self.doc, anchor, line)
        if not image and (page := self.tree.find(self.doc, path)):
            return self.tree.address(self.doc, page, anchor, line)
        here = self.doc.source.parent
        file = (self.tree.root / path[1:]) if path.startswith("/") else here / path
        if not file.is_file() or not file.resolve().is_relative_to(self.tree.root):
            raise self.error(line, f"the link {target} leads to no page and no file")
        kept = f"public/files/{file.resolve().relative_to(self.tree.root).as_posix()}"
        self.done.files[kept] = file.read_bytes()
        return "/" + kept.removeprefix("public/")

    def site_link(self, target: str, line: int) -> str:
        """Return where an address relative to the built page leads.

        It is empty for a place inside a table, which has no anchor in MDX.
        """
        if SCHEME.match(target):
            return target
        if target.startswith("#"):
            return (
                f"#{found}" if (found := self.tree.kept(self.doc, target[1:])) else ""
            )
        path, _, anchor = target.partition("#")
        folder = posixpath.dirname(self.doc.name)
        full = posixpath.normpath(posixpath.join(folder, path))
        if full.endswith(".html") and (page := self.tree.docs.get(full[:-5])):
            return self.tree.address(self.doc, page, anchor, line)
        said = Problem(
            self.path, line, f"the link {target} leads to no file of the site"
        )
        self.done.asked.append((full, said))
        return f"/{full}"

    def without_scripts(self, file: str, line: int) -> str:
        """Return what a file of HTML says where no script runs, as Markdown.

        An exported page runs no script, so the `noscript` of the file is all of it.
        """
        page = (self.doc.source.parent / file).resolve()
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        found = re.search(r"<noscript>(.*?)</noscript>", text, re.DOTALL)
        if found is None:
            what = f"{file} is no file with a <noscript>, which is all that is exported"
            raise self.error(line, what)
        return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())

    def directive(self, name: str, said: str, line: int) -> str:
        """Return what a directive of the book shows, as Markdown."""
        try:
            html = self.book.directive(self.doc.name, name, said)
        except Refused as error:
            raise self.error(line, str(error)) from error
        if html is None:
            raise self.error(line, f"the directive {{{name}}} cannot be exported")
        return self._shown(line).html(html)

    def snippet(self, target: str, caption: str | None, line: int) -> str:
        """Return the named code as a fence, with its place below."""
        try:
            excerpt = find(self.tree.root, target)
        except SnippetError as error:
            raise self.error(line, str(error)) from error
        self.book.shows(self.doc.name, excerpt.path)
        one = excerpt.first == excerpt.last
        span = (
            f"line {excerpt.first}" if one else f"lines {excerpt.first}–{excerpt.last}"
        )
        title = (caption or excerpt.path).replace('"', "”").replace("`", "")
        fence = markup.fenced(excerpt.code, f'{lexer_of(excerpt.path)} title="{title}"')
        place = f"[`{excerpt.path}`](/downloads/{excerpt.path}), {span}"
        if tests := tested_by(self.tree.root, excerpt):
            self.book.shows(self.doc.name, tests.first.path)
            place += f", tested by [{tests.words}](/downloads/{tests.first.path})"
            place += f" and {tests.others}" if tests.others else ""
        return f"{fence}\n\n{place}"

    def read(self, path: str, line: int) -> str:
        """Return the text of a file of the repository."""
        file = (self.tree.root / path).resolve()
        if not file.is_file() or not file.is_relative_to(self.tree.root):
            raise self.error(line, f"there is no file {path}")
        return file.read_text(encoding="utf-8")

    def overview(self, line: int) -> str:
        """Return links to the other pages of the folder, as Markdown."""
        others = [
            doc
            for name, doc in sorted(self.tree.docs.items())
            if posixpath.dirname(name) == posixpath.dirname(self.doc.name)
            and doc != self.doc
        ]
        return "\n".join(
            f"- [{doc.title}]({self.tree.address(self.doc, doc, '', line)})"
            for doc in others
        )

    # -- notebooks --------------------------------------------------------------------

    def _notebook(self) -> tuple[str, set[str], str]:
        source = read_notebook(self.doc.source)
        notebook_, note = self._executed(source)
        parts: list[str] = []
        imports: set[str] = set()
        for number, (kind, text, outputs) in enumerate(notebook.pieces(notebook_), 1):
            self.cell = f"cell {number}: "
            if kind != "markdown":
                info = "python" if kind == "code" else "text"
                parts.append(markup.fenced(text, info))
                parts.append(notebook.outputs(outputs, self._shown(number)))
                continue
            body, needs = myst.translate(text.split("\n"), 1, self)
            self._check(text, body, 1)
            imports |= needs
            if note is not None:
                title, _, rest = body.partition("\n")
                body, note = f"{title}\n\n{note}\n{rest}", None
            parts.append(body)
        self.cell = ""
        parts.append(self._receipt())
        return "\n\n".join(part.strip("\n") for part in parts if part), imports, ""

    def _executed(self, source: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """Return the notebook with its outputs, and what to say under its title."""
        try:
            proof = self.book.notebook(self.doc.name)
        except Refused as error:
            raise self.error(1, str(error)) from error
        if proof is None:  # stores its outputs itself
            return source, None
        if proof.executed is None:
            reason = proof.verdict.reason or proof.word
            said = markup.SPECIAL.sub(r"\\\1", reason)
            return source, f":::warning {proof.word}\n\n{UNRUN}{said}.\n\n:::\n"
        ran = executed.refresh(source, read_notebook(proof.executed))
        summary = self.role("receipt", proof.entry.name, 1)
        return self.book.dressed(ran, proof), f"**{proof.word}**: {summary}.\n"

    def _receipt(self) -> str:
        proof = self.book.notebook(self.doc.name)
        if proof is None:
            return ""
        html = self.book.receipt(self.doc.name, proof)
        return f"## Receipt \\{{#{tree.RECEIPT}}}\n\n{self._shown(1).html(html)}"

    def _shown(self, line: int) -> notebook.Shown:
        def keep(data: bytes, name: str) -> str:
            folder = posixpath.splitext(self.doc.target)[0]
            self.done.files[f"public/images/{folder}/{name}"] = data
            return f"/images/{folder}/{name}"

        return notebook.Shown(lambda target: self.site_link(target, line), keep)


def _tagged(tag: str, text: str) -> str:
    return f"<{tag}>" + markup.SPECIAL.sub(r"\\\1", text) + f"</{tag}>"


def split_front(text: str, path: str) -> tuple[str, list[str], int]:
    """Return front matter that others can use, the lines after it, and their place."""
    found = FRONT.match(text)
    if not found:
        return "", text.split("\n"), 1
    try:
        said = yaml.safe_load(found[1] or "") or {}
    except yaml.YAMLError as error:
        raise ExportError(path, 1, "the front matter is not valid YAML") from error
    kept = {k: v for k, v in said.items() if not str(k).startswith(ONLY_HERE)}
    front = yaml.safe_dump(kept, allow_unicode=True, sort_keys=False) if kept else ""
    return front, text[found.end() :].split("\n"), found[0].count("\n") + 1


def export(root: Path, out: Path, title: str) -> Exported:
    """Write every page of the book below ``out``; write nothing if one cannot be.

    Parameters
    ----------
    root
        The checkout.
    out
        A folder that is replaced when every page could be exported.
    title
        The name of the book.

    Returns
    -------
    Exported
        Its ``problems`` are empty if ``out`` was written.
    """
    done = Exported()
    try:
        pages, components = Tree.of(root), _components(root)
    except ExportError as error:
        done.problems.append(error.problem)
        return done
    book = Book(root, list(pages.docs), title)
    for doc in pages.docs.values():
        try:
            text = PageExport(doc, pages, book, done, components).text()
        except ExportError as error:
            done.problems.append(error.problem)
            continue
        done.files[doc.target] = text.encode()
        done.pages += 1
    stage = out.with_name(out.name + ".part")
    shutil.rmtree(stage, ignore_errors=True)
    (stage / "public").mkdir(parents=True)
    book.write_files(stage / "public")
    for name, content in {**done.files, **_encoded(tree.order(pages))}.items():
        place = stage / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    missing = [
        said for path, said in done.asked if not (stage / "public" / path).exists()
    ]
    done.problems += missing
    if done.problems:
        shutil.rmtree(stage)
        return done
    shutil.rmtree(out, ignore_errors=True)
    os.replace(stage, out)
    return done


def _components(root: Path) -> Components:
    """Return what book.yml says of the names that guides use."""
    said = yaml.safe_load((root / "book.yml").read_text(encoding="utf-8")) or {}
    try:
        return configured(said.get("sphinx", {}).get("config", {}))
    except ConfigError as error:
        raise ExportError("book.yml", 1, str(error)) from error


def _encoded(texts: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in texts.items()}
