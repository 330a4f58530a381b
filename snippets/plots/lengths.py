"""How long the rows are, and which of them training drops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from snippets.figure import Figure, Theme, draw, round_ticks, write_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def histogram(
    lengths: Sequence[int],
    limit: int,
    minimum: int = 20,
    title: str = "How long the rows are",
) -> Figure:
    """Show the lengths of the rows and mark those that will be dropped.

    Parameters
    ----------
    lengths
        Tokens of every row.
    limit
        Rows of this many tokens or more are dropped (``max_seq_len``).
    minimum
        Rows of fewer tokens are dropped.
    title
        Shown above the figure.
    """
    bars = _bars(lengths, limit, minimum)
    dropped = sum(n < minimum for n in lengths), sum(n >= limit for n in lengths)

    def painter(axes: Axes, theme: Theme) -> None:
        for start, end, count in bars:
            hue = theme.hues[0 if minimum <= start < limit else 1]
            axes.bar(start, count, 0.92 * (end - start), align="edge", color=hue)
        _bounds(axes, theme, bars, (minimum, limit), dropped)
        axes.set(xlabel="tokens in a row", ylabel="rows")
        axes.yaxis.set_major_locator(round_ticks(4, whole=True))

    kept = len(lengths) - sum(dropped)
    note = f"{kept} of {len(lengths)} rows are kept: {minimum} to {limit - 1} tokens."
    alt = (
        f"{title}: {min(lengths)} to {max(lengths)} tokens. {note} "
        f"{dropped[0]} are too short and {dropped[1]} too long."
    )
    return draw(painter, title, alt, 2.9, note)


def _bounds(axes, theme, bars, bounds, dropped) -> None:
    """Draw the bounds that the bars cross and say how many rows they cost."""
    low, high = bars[0][0], bars[-1][1]
    highest = max(count for _, _, count in bars)
    axes.set(xlim=(low, high), ylim=(0, 1.25 * highest))
    for bound, rows, edge, ha in zip(
        bounds, dropped, (low, high), ("left", "right"), strict=True
    ):
        if low < bound < high:
            axes.axvline(bound, ymax=0.84, color=theme.ink, linewidth=1.6)
        if rows:
            words = f"{rows} dropped"
            write_above(axes, edge, 1.04 * highest, words, theme.hues[1], ha)


def _bars(lengths: Sequence[int], limit: int, minimum: int) -> list[tuple]:
    """Cut the range in about 30 bars (from, to, rows), and at the bounds it crosses."""
    low, high = min(lengths), max(lengths) + 1
    width = max(1, math.ceil((high - low) / 30))
    bounds = {bound for bound in (minimum, limit) if low < bound < high}
    edges = {
        edge
        for edge in range(low + width, high, width)
        if all(abs(edge - bound) > width / 2 for bound in bounds)
    }
    return [
        (start, end, sum(start <= length < end for length in lengths))
        for start, end in pairwise(sorted(edges | bounds | {low, high}))
    ]
