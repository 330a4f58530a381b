"""A setting tried at several values and with several seeds: what is best, how sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from snippets.figure import Figure, add_legend, draw, log_ticks, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snippets.figure import Theme

Results = Mapping[float, Sequence[float]]  # setting -> one value a seed


# region: best
def best(results: Results) -> float:
    """Return the setting whose mean over seeds is lowest.

    Raises
    ------
    ValueError
        If nothing was tried.
    """
    if not results:
        raise ValueError("no setting was tried, so none is best")
    return min(results, key=lambda setting: fmean(results[setting]))


# endregion: best


# region: spread
def spread(
    curves: Mapping[str, Results],
    setting: str = "learning rate",
    unit: str = "held-out loss",
    title: str = "The same run at several learning rates",
) -> Figure:
    """Show every seed as a dot, the means as a line, and the best setting named.

    Both axes are logarithmic; lower is better.

    Parameters
    ----------
    curves
        For each method its results: setting -> one value a seed, all above 0.
    setting, unit
        What the two axes are.
    title
        Shown above the figure.

    Raises
    ------
    ValueError
        If a setting or a value is not above 0, or nothing was tried.
    """
    numbers = [n for c in curves.values() for s, vs in c.items() for n in (s, *vs)]
    if not numbers or min(numbers) <= 0:
        raise ValueError(f"logarithmic axes need {setting}s and values above 0")

    def painter(axes: Axes, theme: Theme) -> None:
        colors = dict(zip(curves, theme.hues, strict=False))
        axes.set(xscale="log", yscale="log")
        axes.set(xlabel=f"{setting}, logarithmic", ylabel=f"{unit} (better: down)")
        for name, results in curves.items():
            _line(axes, results, colors[name])
        _ticks(axes, {s for results in curves.values() for s in results})
        add_legend(axes, colors)

    said = "; ".join(_words(name, results) for name, results in curves.items())
    return draw(painter, title, f"{title}, {unit}: {said}.", height=3.8)


def _line(axes: Axes, results: Results, color: str) -> None:
    xs = sorted(results)
    axes.plot(xs, [fmean(results[x]) for x in xs], color=color)
    for x in xs:
        axes.plot([x] * len(results[x]), results[x], "o", color=color, markersize=6)
    x = best(results)
    y = fmean(results[x])
    axes.plot([x], [y], "o", color=color, markersize=13, fillstyle="none")
    _write_below(axes, x, y, short(y), color)


def _write_below(axes: Axes, x: float, y: float, text: str, color: str) -> None:
    axes.annotate(
        text,
        (x, y),
        xytext=(0, -12),
        textcoords="offset points",
        ha="center",
        va="top",
        color=color,
        fontweight="bold",
    )


def _ticks(axes: Axes, settings: set[float]) -> None:
    axes.minorticks_off()
    axes.set_xticks(sorted(settings), [f"{s:g}" for s in sorted(settings)])
    low, high = axes.get_ylim()
    low *= (low / high) ** 0.12  # room for the number below the lowest point
    axes.set_ylim(low, high)
    marks = log_ticks(low, high)
    axes.set_yticks(marks, [short(mark) for mark in marks])


def _words(name: str, results: Results) -> str:
    means = [f"{short(fmean(results[x]))} at {x:g}" for x in sorted(results)]
    return f"{name}, mean of seeds, {', '.join(means)}; best at {best(results):g}"


# endregion: spread
