"""Names the place and the cure of everything that a guide may not contain."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, order=True)
class Problem:
    """One thing outside the subset, at the author's line and column (from 1)."""

    line: int
    column: int
    what: str
    instead: str

    def at(self, path: str) -> str:
        """Return ``file:line:col: what; what to write instead``."""
        return f"{path}:{self.line}:{self.column}: {self.what}; {self.instead}"


class Broken(Exception):
    """Raised where a construct cannot be read; holds the offset and the cure."""

    def __init__(
        self, offset: int, what: str, instead: str, *, at_end: bool = False
    ) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what
        self.instead = instead
        self.at_end = at_end


class Places:
    r"""Turns offsets of a text into lines and columns.

    Parameters
    ----------
    text
        The text with ``\n`` line endings.
    """

    def __init__(self, text: str) -> None:
        lengths = (len(line) + 1 for line in text.split("\n")[:-1])
        self.starts = list(accumulate(lengths, initial=0))

    def line(self, offset: int) -> int:
        """Return the line of an offset, from 0."""
        return bisect_right(self.starts, offset) - 1

    def problem(self, offset: int, what: str, instead: str) -> Problem:
        """Return the problem at an offset."""
        line = self.line(offset)
        return Problem(line + 1, offset - self.starts[line] + 1, what, instead)
