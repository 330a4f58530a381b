"""What runs learned against what they forgot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from typing import TYPE_CHECKING

from snippets.figure import (
    DASHED,
    Figure,
    Theme,
    add_legend,
    draw,
    log_ticks,
    round_ticks,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def forgetting(
    points: Sequence[dict],
    title: str = "What was learned against what was forgotten",
    domain: str = "domain perplexity",
    general: str = "general perplexity",
    before: float | None = None,
) -> Figure:
    """Show runs as points: learned to the left, remembered at the bottom.

    Parameters
    ----------
    points
        One dict a run with ``label``, ``domain`` and ``general``, and a ``kind``
        when runs are of several kinds. Points of a kind are joined in order.
    title
        Shown above the figure.
    domain, general
        What the two numbers are; lower is better for both.
    before
        The general number before training, a dashed line.
    """
    kinds: dict[str, list[dict]] = {}
    for point in points:
        kinds.setdefault(point.get("kind", ""), []).append(point)

    def painter(axes: Axes, theme: Theme) -> None:
        colors = dict(zip(kinds, cycle(theme.hues), strict=False))
        _spread(axes, points, before)
        _baseline(axes, before, theme.muted)
        for kind, group in kinds.items():
            xs, ys = [p["domain"] for p in group], [p["general"] for p in group]
            axes.plot(xs, ys, "o-", color=colors[kind], markersize=9, linewidth=2)
        axes.set_xlabel(f"{domain} (better: left)")
        axes.set_ylabel(f"{general} (better: down)")
        _name_points(axes, kinds, colors)
        add_legend(axes, colors if len(kinds) > 1 else {})

    alt = f"{title}. {_points_words(points, domain, general)}"
    start = f" Before training, {general} {short(before)}." if before else ""
    return draw(painter, title, alt + start, height=4.3)


def _points_words(points: Sequence[dict], domain: str, general: str) -> str:
    said = [
        f"{point.get('kind', '')} {point['label']}: {domain} {short(point['domain'])}, "
        f"{general} {short(point['general'])}".strip()
        for point in points
    ]
    return "; ".join(said) + "."


def _spread(axes: Axes, points: Sequence[dict], before: float | None) -> None:
    """Leave room for labels; values that lie far apart are spread by their ratio."""
    room = {"x": 0.34, "y": 0.14}  # labels stand beside their points
    for axis, key, more in (("x", "domain", []), ("y", "general", [before])):
        values = [p[key] for p in points] + [v for v in more if v is not None]
        low, high = min(values), max(values)
        if high / low > 4:
            ratio = (high / low) ** room[axis]
            low, high = low / ratio, high * ratio
            marks, scale = log_ticks(low, high), "log"
        else:
            margin = room[axis] * ((high - low) or high)
            low, high = low - margin, high + margin
            marks, scale = round_ticks(5).tick_values(low, high), "linear"
        inside = [mark for mark in marks if low <= mark <= high]
        axes.set(**{f"{axis}scale": scale, f"{axis}lim": (low, high)})
        axes.minorticks_off()
        axes.set(**{f"{axis}ticks": inside, f"{axis}ticklabels": map(short, inside)})


def _baseline(axes: Axes, value: float | None, color: str) -> None:
    if value is None:
        return
    axes.axhline(value, color=color, **DASHED)
    axes.annotate(
        f"before training {short(value)}",
        (1, value),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-4, -6),
        textcoords="offset points",
        ha="right",
        va="top",
        color=color,
    )


def _name_points(axes: Axes, kinds: Mapping[str, list], colors: Mapping) -> None:
    """Write each label where it is farthest from lines and other labels."""
    axes.figure.draw_without_rendering()  # fixes the layout, so places are final
    places = {kind: [_place(axes, p) for p in group] for kind, group in kinds.items()}
    taken = [spot for line in places.values() for spot in _along(line)]
    for kind, group in kinds.items():
        for point, (x, y) in zip(group, places[kind], strict=True):
            text, half = str(point["label"]), 4.6 * len(str(point["label"]))
            spots = [(12 + half, 0), (-12 - half, 0), (0, 17), (0, -17)]
            spots += [(a * (half + 4), b * 14) for a in (1, -1) for b in (1, -1)]

            def room(spot: tuple, x=x, y=y) -> float:
                there = (x + spot[0], y + spot[1])
                near = [math.dist(there, one) for one in taken if one != (x, y)]
                return min(near, default=0)

            dx, dy = max(spots, key=room)
            taken.append((x + dx, y + dy))
            font = {"ha": "center", "va": "center", "fontweight": "bold"}
            at = {"xytext": (dx, dy), "textcoords": "offset points"}
            place = (point["domain"], point["general"])
            axes.annotate(text, place, color=colors[kind], **at, **font)


def _place(axes: Axes, point: dict) -> tuple[float, float]:
    """Return where a point lies on the figure, in points (1/72 inch)."""
    x, y = axes.transData.transform((point["domain"], point["general"]))
    scale = 72 / axes.figure.dpi
    return float(x) * scale, float(y) * scale


def _along(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a line and places between them."""
    between = [
        (a[0] + (b[0] - a[0]) * part / 12, a[1] + (b[1] - a[1]) * part / 12)
        for a, b in pairwise(line)
        for part in range(1, 12)
    ]
    return line + between
