"""Methods as clouds of seeds: what each learned, what it kept, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from snippets.figure import DASHED, Figure, add_legend, draw, log_ticks, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snippets.figure import Theme

Seeds = Sequence[tuple[float, float]]  # (learned, kept), one pair a seed


# region: front
def front(results: Mapping[str, Seeds]) -> list[str]:
    """Return the methods that no other one beats in both means; lower is better."""
    means = {name: _mean(seeds) for name, seeds in results.items()}
    return [
        name
        for name, (x, y) in means.items()
        if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in means.values())
    ]


# endregion: front


def trade_off(
    results: Mapping[str, Seeds],
    learned: str = "perplexity of the right answers",
    kept: str = "general perplexity",
    before: float | None = None,
    title: str = "What each method learned and what it kept",
) -> Figure:
    """Show every seed as a small dot and each method's mean as a large one.

    Both axes are logarithmic; lower is better on both.

    Parameters
    ----------
    results
        For each of at most six methods one pair (learned, kept) a seed, above 0.
    learned, kept
        What the two axes are.
    before
        What ``kept`` was before training, a dashed line.
    title
        Shown above the figure.

    Raises
    ------
    ValueError
        If there are no results, more than six methods, or a number not above 0.
    """
    numbers = [value for seeds in results.values() for pair in seeds for value in pair]
    if not numbers or min(numbers) <= 0 or len(results) > 6:
        raise ValueError("a trade-off shows one to six methods, with numbers above 0")

    def painter(axes: Axes, theme: Theme) -> None:
        colors = dict(zip(results, theme.hues, strict=False))
        axes.set(xscale="log", yscale="log")
        for name, seeds in results.items():
            xs, ys = zip(*seeds, strict=True)
            axes.plot(xs, ys, "o", color=colors[name], markersize=4, alpha=0.7)
            axes.plot(*_mean(seeds), "o", color=colors[name], markersize=12)
        if before is not None:
            axes.axhline(before, color=theme.muted, **DASHED)
        axes.set_xlabel(f"{learned} (better: left)")
        axes.set_ylabel(f"{kept} (better: down)")
        _ticks(axes)
        add_legend(axes, colors)

    said = "; ".join(
        f"{name}: {learned} {short(_mean(seeds)[0])}, {kept} {short(_mean(seeds)[1])}"
        for name, seeds in results.items()
    )
    start = f" Before training, {kept} {short(before)}." if before else ""
    note = "large dots are means, small ones are seeds; the dashed line is the base"
    return draw(painter, title, f"{title}. {said}.{start}", height=4.3, note=note)


def _mean(seeds: Seeds) -> tuple[float, float]:
    return fmean(x for x, _ in seeds), fmean(y for _, y in seeds)


def _ticks(axes: Axes) -> None:
    axes.minorticks_off()
    for way, (low, high) in (("x", axes.get_xlim()), ("y", axes.get_ylim())):
        marks = log_ticks(low, high)
        if len(marks) < 3:  # the numbers lie close together
            marks = [low + (high - low) * part for part in (0.1, 0.37, 0.63, 0.9)]
        axes.set(**{f"{way}ticks": marks, f"{way}ticklabels": map(short, marks)})
