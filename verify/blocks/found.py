"""What the checks speak about: a block on a page, and a problem with its place."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where something stands: a page, a cell where the page is a notebook, a line."""

    page: str
    line: int
    cell: int | None = None

    def __str__(self) -> str:
        """Write the place the way editors and readers find it."""
        cell = "" if self.cell is None else f"cell {self.cell}:"
        return f"{self.page}:{cell}{self.line}"


@dataclass(frozen=True)
class Block:
    """One fenced block of code.

    Attributes
    ----------
    place : Place
        The line of the opening fence.
    first : int
        The line of the first line of code.
    language : str
        What the fence says, empty where it says nothing.
    code : str
        The code, without the indentation of the fence.
    run : bool
        Whether the fence says that the block is executed.
    exempt : dict
        Check -> reason, as the fence says.
    slips : tuple of (str, str)
        What is wrong with the fence itself, and what to write instead.
    indented : bool
        Whether this is indented text that renders as code, with no fence at all.
    """

    place: Place
    first: int
    language: str
    code: str
    run: bool = False
    exempt: dict[str, str] = field(default_factory=dict)
    slips: tuple[tuple[str, str], ...] = ()
    indented: bool = False

    def line(self, number: int) -> Place:
        """Return the place of a line of the code, counted from 1."""
        last = max(self.code.count("\n"), 1)
        number = min(max(number, 1), last)
        return Place(self.place.page, self.first + number - 1, self.place.cell)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what to write instead.

    Attributes
    ----------
    check : str
        The name that an exemption uses.
    block : Block or None
        The block it is in; a problem of a whole page has none.
    """

    place: Place
    check: str
    what: str
    instead: str
    block: Block | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """Write ``file:line: what; what to write instead``."""
        return f"{self.place}: {self.what}; {self.instead} [{self.check}]"


class ToolError(Exception):
    """A tool that a check needs is missing or broken; nothing may pass without it."""


@dataclass(frozen=True)
class Setting:
    """What the checks need to know of the place they run in.

    Attributes
    ----------
    root : Path
        The root of the repository: its snippets, its sessions.
    tools : str
        The Python of the environment that holds shellcheck and the schemas.
    platform : str
        The Python of the environment that holds the Trainer API of the platform.
    notebooks : str
        The Python that runs the blocks marked ``run``.
    time_limit : float
        Seconds that the blocks of one page may take.
    """

    root: Path
    tools: str
    platform: str
    notebooks: str
    time_limit: float = 60.0

    def environment(self) -> dict[str, str]:
        """Return the variables with which another Python finds our modules."""
        ours = Path(__file__).resolve().parents[2]
        path = os.pathsep.join(dict.fromkeys([str(self.root), str(ours)]))
        return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
