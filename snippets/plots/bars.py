"""Where the memory of a run goes, predicted and measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from snippets.figure import Figure, Theme, add_legend, draw, rows_only, write_beside
from snippets.memory import UNITS, in_units, unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snippets.memory import Breakdown


def memory_bars(
    breakdowns: Mapping[str, Breakdown],
    measured: Mapping[str, float] | None = None,
    title: str = "Where the memory goes",
) -> Figure:
    """Show what each method keeps in memory, and what was really measured.

    Parameters
    ----------
    breakdowns
        For each label an estimate of ``snippets.memory.estimate``.
    measured
        For some of the labels the measured bytes.
    title
        Shown above the figure.
    """
    measured = measured or {}
    longest = max([*measured.values(), *(b.total for b in breakdowns.values())])
    unit = unit_of(longest)
    shown = _parts_to_show(breakdowns, longest)

    def painter(axes: Axes, theme: Theme) -> None:
        colors = dict(zip(shown, (*theme.hues, theme.muted, theme.grid), strict=False))
        for place, (label, breakdown) in enumerate(breakdowns.items()):
            size = measured.get(label)
            _stack(axes, theme, -place, label, breakdown, size, colors, UNITS[unit])
        axes.set_xlim(0, 1.2 * longest / UNITS[unit])
        rows_only(axes, len(breakdowns))
        axes.set_xlabel(unit)
        add_legend(axes, colors)

    said = [
        _memory_words(name, b, measured.get(name)) for name, b in breakdowns.items()
    ]
    note = "Bars: predicted. Vertical mark: measured." if measured else ""
    height = 1.15 + 0.75 * len(breakdowns) + 0.28 * math.ceil(len(shown) / 3)
    return draw(painter, title, f"{title}: {'; '.join(said)}.", height, note)


def _parts_to_show(breakdowns: Mapping[str, Breakdown], longest: float) -> list[str]:
    """Leave out what no eye could see: less than half a percent everywhere."""
    tables = [breakdown.parts() for breakdown in breakdowns.values()]
    names = dict.fromkeys(name for table in tables for name in table)
    return [n for n in names if any(t.get(n, 0) > 0.005 * longest for t in tables)]


def _stack(axes, theme, y, label, breakdown, measured, colors, scale) -> None:
    left, parts = 0.0, breakdown.parts()
    for part, color in colors.items():
        axes.barh(y, parts.get(part, 0) / scale, 0.44, left=left, color=color)
        left += parts.get(part, 0) / scale
    axes.text(0, y + 0.28, label, fontweight="bold", va="bottom")
    end = max(breakdown.total, measured or 0) / scale
    write_beside(axes, end, y, in_units(breakdown.total), 1, theme.ink)
    if measured is None:
        return
    x = measured / scale
    axes.plot([x, x], [y - 0.26, y + 0.26], color=theme.ink, linewidth=2.5)
    words, across = f"measured {in_units(measured)}", axes.get_yaxis_transform()
    font = {"transform": across, "color": theme.muted, "ha": "right", "va": "bottom"}
    axes.text(1, y + 0.28, words, **font)


def _memory_words(label: str, breakdown: Breakdown, measured: float | None) -> str:
    part, size = max(breakdown.parts().items(), key=lambda item: item[1])
    text = f"{label} {in_units(breakdown.total)}, most of it {part} ({in_units(size)})"
    return text + (f", measured {in_units(measured)}" if measured is not None else "")
