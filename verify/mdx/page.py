"""Holds what the parts of the translator share while they read one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from verify.mdx.problem import Broken, Places, Problem
from verify.mdx.vocabulary import Components

# Private-use characters that the Sphinx adapter reads; a guide may not contain them.
LINE, SPLIT, END = "\ue000", "\ue001", "\ue002"
PRIVATE = LINE + SPLIT + END
FILL = "\n<!-- -->"  # keeps the line of a tag that took several
DEEPEST = 20


@dataclass
class Fence:
    """A container of the page; it needs more colons than any container within."""

    kind: str
    values: Mapping[str, Any]
    colons: int = 3

    def opening(self) -> str:
        """Return the line that opens it."""
        said = json.dumps(self.values, ensure_ascii=False) if self.values else ""
        return f"{':' * self.colons}{{mdx-{self.kind}}} {said}".rstrip()

    def closing(self) -> str:
        """Return the line that closes it."""
        return ":" * self.colons


@dataclass(frozen=True)
class Edge:
    """The place of a fence's opening or closing, written when its length is known."""

    fence: Fence
    opens: bool

    def __str__(self) -> str:
        return self.fence.opening() if self.opens else self.fence.closing()


Piece = str | Edge


@dataclass(frozen=True)
class Import:
    """A file that a page takes in, from the root of the repository, and where."""

    path: str
    line: int
    column: int


@dataclass
class Page:
    """A page while it is read."""

    text: str
    places: Places
    components: Components
    folder: str = ""  # where it stands, from the root of the repository
    pages: dict[str, str] = field(default_factory=dict)  # imported pages, by name
    imports: list[Import] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)  # those open now

    def problem(self, offset: int, what: str, instead: str) -> None:
        """Note a problem at an offset of the text."""
        self.problems.append(self.places.problem(offset, what, instead))

    def broken(self, error: Broken) -> None:
        """Note what could not be read."""
        self.problem(min(error.offset, len(self.text)), error.what, error.instead)

    def open(self, fence: Fence) -> Edge:
        """Return the opening of a container and count it as open."""
        self.fences.append(fence)
        return Edge(fence, opens=True)

    def close(self, fence: Fence) -> Edge:
        """Return the closing of the innermost container; the outer one grows."""
        while self.fences and self.fences.pop() is not fence:
            pass
        if self.fences:
            outer = self.fences[-1]
            outer.colons = max(outer.colons, fence.colons + 1)
        return Edge(fence, opens=False)
