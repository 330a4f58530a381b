"""What one setting does when it is tried at several values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from snippets.figure import Figure, add_legend, draw, short, write_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snippets.figure import Theme


# region: sweep
def sweep(
    curves: Mapping[str, Mapping[float, float]],
    setting: str = "learning rate",
    unit: str = "exact match",
    title: str = "The same run at several learning rates",
) -> Figure:
    """Show results over a setting that is tried in factors, on a logarithmic axis.

    Parameters
    ----------
    curves
        For each thing that was measured its value at each setting.
    setting, unit
        What the two axes are.
    title
        Shown above the figure.

    Raises
    ------
    ValueError
        If nothing was tried, or a setting is not above 0.
    """
    tried = sorted({value for points in curves.values() for value in points})
    if not tried or tried[0] <= 0:
        raise ValueError(f"a sweep needs values of {setting} above 0, not {tried}")

    def painter(axes: Axes, theme: Theme) -> None:
        colors = dict(zip(curves, theme.hues, strict=False))
        for name, points in curves.items():
            _line(axes, points, colors[name])
        _axes_of(axes, tried, [v for p in curves.values() for v in p.values()])
        axes.set(xlabel=f"{setting}, logarithmic", ylabel=unit)
        add_legend(axes, colors if len(curves) > 1 else {})

    said = [
        f"{name} "
        + ", ".join(f"{short(y)} at {x:g}" for x, y in sorted(points.items()))
        for name, points in curves.items()
    ]
    return draw(painter, title, f"{title}, {unit}: {'; '.join(said)}.", height=3.5)


def _line(axes: Axes, points: Mapping[float, float], color: str) -> None:
    xs = sorted(points)
    axes.plot(xs, [points[x] for x in xs], "o-", color=color, markersize=8)
    for x in xs:
        write_above(axes, x, points[x], short(points[x]), color, "center")


def _axes_of(axes: Axes, tried: list[float], values: list[float]) -> None:
    """Mark what was tried; begin at 0 or below, with room for numbers above points."""
    ratio = (tried[-1] / tried[0]) ** 0.1 if len(tried) > 1 else 2
    low, high = min(0.0, *values), max(values)
    margin = 0.06 * ((high - low) or 1)
    axes.set(xscale="log", xlim=(tried[0] / ratio, tried[-1] * ratio))
    axes.set_ylim(low - margin, high + 3 * margin)
    axes.minorticks_off()
    axes.set_xticks(tried, [f"{value:g}" for value in tried])


# endregion: sweep
