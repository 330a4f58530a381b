"""Finds the pages of the book and cuts them into blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from verify.blocks.found import Block, Place
from verify.blocks.markdown import CODE, Fence, fences
from verify.source import read_notebook, source_of

BOOK = (
    "docs/**/*.md",
    "docs/**/*.mdx",
    "docs/**/*.ipynb",
    "notebooks/*.ipynb",
    "receipts/*.md",
    "README.md",
    "CONTRIBUTING.md",
)
DIALECTS = {".md": "myst", ".mdx": "mdx", ".ipynb": "myst"}
LANGUAGE = re.compile(r"[A-Za-z][\w+#.-]*(?![\w+#.=-])")
EXEMPT = re.compile(r"(?<!\S)exempt=(?:\"([^\"]*)\"|(\S*))")
REMOVED = re.compile(r"^.*\[!code --\].*$", re.M)  # shown as taken away
FORM = 'write exempt="CHECK: REASON" on the fence'


@dataclass(frozen=True)
class Part:
    """Markdown in one piece: a page, or one cell of a notebook."""

    page: str
    text: str
    dialect: str
    cell: int | None = None


def book(root: Path) -> list[Path]:
    """List the pages of the book: guides, notebooks, and what GitHub shows."""
    found = {path for pattern in BOOK for path in root.glob(pattern)}
    return sorted(path for path in found if _is_page(path.relative_to(root)))


def below(places: Iterable[Path]) -> list[Path]:
    """List the pages that are named, or that stand below the folders named."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = (path for path in place.rglob("*") if path.suffix in DIALECTS)
            found += sorted(p for p in inside if _is_page(p.relative_to(place)))
        elif place.is_file() and place.suffix in DIALECTS:
            found.append(place)
        else:
            raise FileNotFoundError(f"{place} is no page and no folder of pages")
    return found


def parts(path: Path, root: Path) -> list[Part]:
    """Read a page; a notebook gives one part for each Markdown cell."""
    inside = path.resolve().is_relative_to(root.resolve())
    name = str(path.resolve().relative_to(root.resolve())) if inside else str(path)
    dialect = DIALECTS[path.suffix]
    if path.suffix != ".ipynb":
        return [Part(name, path.read_text(encoding="utf-8"), dialect)]
    return [
        Part(name, source_of(cell), dialect, number)
        for number, cell in enumerate(read_notebook(path)["cells"], 1)
        if cell["cell_type"] == "markdown"
    ]


def blocks(part: Part) -> Iterator[Block]:
    """Yield the blocks of code of one part, in order.

    Left out are directives that hold no code of their own, and MDX fences whose code
    stands in a file: the build checks that the file has it.
    """
    for fence in fences(part.text, part.dialect):
        if fence.directive and fence.directive not in CODE | {"mermaid"}:
            continue
        if " file=" in f" {fence.info}" and not fence.code.strip():
            continue
        yield _block(part, fence)


def _block(part: Part, fence: Fence) -> Block:
    place = Place(part.page, fence.line, part.cell)
    if fence.directive == "mermaid":
        return Block(place, fence.first, "mermaid", fence.code)
    match = LANGUAGE.match(fence.info)
    language = match[0] if match else ""
    words = fence.info[match.end() :] if match else fence.info
    exempt, slips = _exemptions(words)
    if not fence.closed:
        slips.append(("the fence is never closed", "close it with the same marks"))
    rest = EXEMPT.sub("", words)
    run = "run" in re.sub(r'"[^"]*"', "", rest).split()
    if run and language != "python":
        slips.append(("only python blocks are run", "leave out the word run"))
    return Block(
        place,
        fence.first,
        language,
        REMOVED.sub("", fence.code),
        run,
        exempt,
        tuple(slips),
        fence.indented,
    )


def _exemptions(words: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Read the exemptions of a fence, and what is wrong with them."""
    given: dict[str, str] = {}
    slips = []
    for match in EXEMPT.finditer(words):
        check, _, reason = (match[1] or "").partition(":")
        if match[1] is None:
            slips.append((f"the exemption {match[0]} has no quotes", FORM))
        elif not reason.strip():
            slips.append((f"the exemption {check.strip()!r} gives no reason", FORM))
        else:
            given[check.strip()] = reason.strip()
    return given, slips


def _is_page(path: Path) -> bool:
    """Leave out what no reader sees: templates, caches, hidden and built folders."""
    hidden = (part.startswith((".", "_")) for part in path.parts)
    return not any(hidden) and "node_modules" not in path.parts
