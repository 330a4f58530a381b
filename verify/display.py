"""Shows how runs go on: a live table in a terminal, plain lines everywhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress

    from verify.flight import Flight
    from verify.receipts import Receipt

GIB = 2**30
CODE_SHOWN = 12
Say = Callable[[str], None]


def tell(text: str) -> None:
    """Print one line at once: a log is read while it grows."""
    print(text, flush=True)


class Display(Protocol):
    """What the executor tells, and whom."""

    def __enter__(self) -> Display:
        """Begin to show."""

    def __exit__(self, *error: Any) -> None:
        """Leave the screen as a log."""

    def say(self, text: str) -> None:
        """Tell one thing for good."""

    def show(self, running: Sequence[Flight], waiting: int) -> None:
        """Tell how those in flight stand; called many times a second."""


class Lines:
    """Plain lines for a log: what starts, what ends, and a sign of life now and then.

    Parameters
    ----------
    say : callable
        Receives each line.
    beat : float
        Seconds between two signs of life of a running notebook.
    """

    def __init__(self, say: Say, beat: float) -> None:
        self.say = say
        self.beat = beat
        self.told: dict[str, float] = {}

    def __enter__(self) -> Lines:
        """Begin to show."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave the log as it is."""

    def show(self, running: Sequence[Flight], waiting: int) -> None:
        """Give a sign of life of each notebook that has not given one for a beat."""
        for one in running:
            name = one.entry.name
            if one.seconds - self.told.setdefault(name, 0.0) < self.beat:
                continue
            self.told[name] = one.seconds
            at = one.at()
            where = f"cell {at} of {one.cells}" if at else "the kernel starts"
            of = "" if math.isinf(one.expected) else f" of about {one.expected:.0f}"
            who = f"{name} [{one.receipt.profile}]"
            self.say(f"{who} still running: {one.seconds:.0f}{of} s, {where}")


class Table:
    """A live table: each running notebook's cell, time and memory, with a bar."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.rows: dict[str, int] = {}
        self.table: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}", style="dim"),
        )

    def __enter__(self) -> Table:
        """Begin to show."""
        self.table.start()
        return self

    def __exit__(self, *error: Any) -> None:
        """Remove the table; what was said stays."""
        for row in self.rows.values():
            self.table.remove_task(row)
        self.table.stop()

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self.table.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, running: Sequence[Flight], waiting: int) -> None:
        """Bring the table up to date: a bar by time where the time is known."""
        names = {one.entry.name for one in running}
        for name in set(self.rows) - names:
            self.table.remove_task(self.rows.pop(name))
        for one in running:
            name, at = one.entry.name, one.at()
            if name not in self.rows:
                self.rows[name] = self.table.add_task(name, total=1.0, told="")
            known = not math.isinf(one.expected)
            share = one.seconds / one.expected if known else at / one.cells
            more = f", {waiting} waiting" if waiting else ""
            self.table.update(
                self.rows[name],
                completed=min(share, 1.0),
                told=f"{one.seconds:.0f} s, cell {at} of {one.cells}, "
                f"{one.peak / GIB:.1f} GiB{more}",
            )


@dataclass(frozen=True)
class Show:
    """Whom to tell, how often, and whether live; see ``verify.execute.run``."""

    say: Say = tell
    beat: float = 30.0
    live: bool = False


def choose(show: Show) -> Display:
    """Return a live table for a person at a terminal, else plain lines."""
    return Table() if show.live else Lines(show.say, show.beat)


def line(receipt: Receipt, prefix: str = "") -> str:
    """Tell in a few lines how a notebook ended."""
    head = f"{receipt.notebook} [{receipt.profile}] {prefix}{receipt.status}"
    if receipt.status == "passed":
        peak = receipt.peak_rss_gib or 0.0
        return f"{head} in {receipt.seconds:.1f} s, peak memory {peak:.2f} GiB"
    if receipt.status == "skipped":
        return f"{head}: {receipt.reason}"
    failure = receipt.failure or {}
    return "\n".join(
        [
            f"{head} after {receipt.seconds:.1f} s",
            f"  notebooks/{receipt.notebook}.ipynb: {receipt.reason}",
            *[f"    > {text}" for text in failure.get("code", [])[:CODE_SHOWN]],
            *[f"    | {text}" for text in failure.get("tail", [])],
        ]
    )
