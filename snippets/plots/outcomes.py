"""What training changed, in one row a thing that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from snippets.figure import (
    Figure,
    Theme,
    draw,
    log_ticks,
    round_ticks,
    rows_only,
    short,
    write_beside,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def before_after(
    rows: Mapping[str, tuple[float, float]],
    unit: str,
    title: str = "Before and after training",
) -> Figure:
    """Show what training changed: a hollow dot before, a full dot after.

    Parameters
    ----------
    rows
        For each name the value before and the value after.
    unit
        What the numbers are, for example ``exact match`` or ``perplexity``.
        Positive values that lie far apart are drawn on a logarithmic axis.
    title
        Shown above the figure.
    """
    values = [value for pair in rows.values() for value in pair]
    wide = min(values) > 0 and max(values) / min(values) > 30

    def painter(axes: Axes, theme: Theme) -> None:
        low, high = _with_room(min(values), max(values), wide)
        axes.set_xscale("log" if wide else "linear")
        axes.set_xlim(low, high)
        marks = log_ticks(low, high) if wide else round_ticks(5).tick_values(low, high)
        axes.set_xticks([m for m in marks if low < m < high])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: short(value))
        for place, (name, (before, after)) in enumerate(rows.items()):
            _dumbbell(axes, theme, -place, name, before, after)
        rows_only(axes, len(rows))
        axes.set_xlabel(f"{unit}, logarithmic" if wide else unit)

    pairs = [f"{n} {short(b)} before, {short(a)} after" for n, (b, a) in rows.items()]
    alt = f"{title}, {unit}: {'; '.join(pairs)}."
    note = "Hollow: before. Full: after."
    return draw(painter, title, alt, 0.85 + 0.72 * len(rows), note)


def _dumbbell(
    axes: Axes, theme: Theme, y: float, name: str, before: float, after: float
) -> None:
    blue = theme.hues[0]
    dot = {"color": blue, "markersize": 11, "markeredgewidth": 2.2}
    axes.plot([before, after], [y, y], color=blue, linewidth=3, alpha=0.45)
    axes.plot([before], [y], "o", markerfacecolor=theme.paper, **dot)
    axes.plot([after], [y], "o", **dot)
    across = axes.get_yaxis_transform()
    axes.text(0, y + 0.27, name, transform=across, fontweight="bold", va="bottom")
    way = 1 if after >= before else -1
    write_beside(axes, before, y, short(before), -way, theme.muted)
    write_beside(axes, after, y, short(after), way, theme.ink, bold=True)


def _with_room(low: float, high: float, wide: bool) -> tuple[float, float]:
    """Leave room for a number on either side of the outer dots."""
    if wide:
        margin = (high / low) ** 0.16
        return low / margin, high * margin
    low = min(low, 0)
    margin = 0.13 * ((high - low) or 1)
    return low - margin, high + margin
