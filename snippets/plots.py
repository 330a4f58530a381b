"""Figures of a run that read well in light and dark, on a phone and in plain text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snippets.figure import (
    Figure,
    Theme,
    add_legend,
    draw,
    log_ticks,
    name_lines,
    round_ticks,
    rows_only,
    short,
    style_tag,
    write_above,
    write_beside,
)
from snippets.memory import UNITS, in_units, unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snippets.memory import Breakdown
    from snippets.schedule import Schedule

Log = Sequence[dict] | str | Path
DASHED = {"linestyle": (0, (4, 3)), "linewidth": 1.5}


# region: loss
def loss(
    logs: Mapping[str, Log], title: str = "Training loss", alt: str | None = None
) -> Figure:
    """Show how the loss of one or more runs falls.

    Parameters
    ----------
    logs
        For each label the records of a run, or the path of its JSONL log. Records
        without ``step`` and ``loss`` are left out; when a resumed run wrote a
        step twice, the last record counts.
    title
        Shown above the figure.
    alt
        Replaces the text that is made from the numbers.
    """
    runs = {label: _by_step(log, "loss") for label, log in logs.items()}

    def painter(axes: Axes, theme: Theme) -> None:
        ends = []
        for (label, points), hue in zip(runs.items(), cycle(theme.hues), strict=False):
            steps, values = _thin(points)
            smooth = _smooth(values)
            if smooth != values:
                axes.plot(steps, values, color=hue, linewidth=1, alpha=0.35)
            axes.plot(steps, smooth, color=hue)
            axes.plot(steps[-1:], smooth[-1:], "o", color=hue, markersize=6)
            name = f"{label} " if len(runs) > 1 else ""
            ends.append((steps[-1], smooth[-1], name + short(points[-1][1]), hue))
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(round_ticks(6, whole=True))
        axes.set_xlabel("optimizer step")
        name_lines(axes, ends)

    said = "; ".join(_fall(label, points) for label, points in runs.items())
    return draw(painter, title, alt or f"{title}: {said}.", height=3.3)


def _fall(label: str, points: list[tuple[float, float]]) -> str:
    (first, high), (last, low) = points[0], points[-1]
    return f"{label} {short(high)} at step {first:g}, {short(low)} at step {last:g}"


def read_log(log: Log) -> list[dict]:
    """Read the records of a JSONL log, or take records as they are."""
    if not isinstance(log, str | Path):
        return list(log)
    lines = Path(log).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def _by_step(log: Log, key: str) -> list[tuple[float, float]]:
    rows = [row for row in read_log(log) if "step" in row and key in row]
    if not rows:
        raise ValueError(f'no record has both "step" and "{key}"; nothing to plot')
    return sorted({row["step"]: row[key] for row in rows}.items())


def _thin(points: list[tuple], most: int = 300) -> tuple[list, list]:
    """Average neighbors until at most ``most`` points are left."""
    size = math.ceil(len(points) / most)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    steps = [group[-1][0] for group in groups]
    return steps, [sum(value for _, value in group) / len(group) for group in groups]


def _smooth(values: list[float]) -> list[float]:
    """Take the running mean of a long series; a short one is shown as it is."""
    half = len(values) // 40
    windows = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


# endregion: loss


# region: learning-rate
def learning_rate(
    schedule: Schedule,
    actual: Log | None = None,
    title: str = "Learning rate at every step",
) -> Figure:
    """Show the planned learning rates and, after a run, those that were logged.

    Parameters
    ----------
    schedule
        What ``snippets.schedule.plan`` returned.
    actual
        Records with ``step`` and ``learning_rate``, or the path of a JSONL log.
        Trainer counts the steps it has done, so record 1 belongs to step 0.
    title
        Shown above the figure.
    """
    rates, peak = schedule.learning_rates, schedule.peak
    top = rates.index(schedule.highest)
    reached = schedule.highest >= 0.999 * peak
    logged = _by_step(actual, "learning_rate") if actual is not None else []

    def painter(axes: Axes, theme: Theme) -> None:
        blue, vermilion = theme.hues[:2]
        axes.plot(range(len(rates)), rates, color=blue)
        axes.plot([top], [rates[top]], "o", color=blue, markersize=8)
        axes.set_ylim(0, 1.22 * peak)
        if not reached:
            axes.axhline(peak, color=vermilion, **DASHED)
            write_above(axes, 0, peak, f"asked for {_rate(peak)}", vermilion, "left")
        words = f"highest {_rate(rates[top])} at step {top}"
        hue, ha = (blue if reached else vermilion), _ha(top, len(rates))
        write_above(axes, top, rates[top], words, hue, ha)
        ring = {"color": vermilion, "markerfacecolor": theme.paper, "markersize": 6.5}
        steps, seen = [step - 1 for step, _ in logged], [rate for _, rate in logged]
        axes.plot(steps, seen, "o", markeredgewidth=1.8, **ring)
        _rate_axes(axes)

    note = "Line: planned. Rings: logged by the run." if logged else ""
    return draw(painter, title, _plan_words(schedule, logged), 2.9, note)


def _rate_axes(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(lambda value, _: _rate(value))
    axes.yaxis.set_major_locator(round_ticks(4))
    axes.xaxis.set_major_locator(round_ticks(6, whole=True))
    axes.set_xlabel("optimizer step")


def _plan_words(schedule: Schedule, logged: list[tuple]) -> str:
    share = f"{schedule.highest / schedule.peak:.0%}"
    words = (
        f"Learning rate over {schedule.steps} steps, {schedule.name}, warm-up of "
        f"{schedule.warmup_steps}: highest {_rate(schedule.highest)}, {share} of the "
        f"{_rate(schedule.peak)} asked for."
    )
    return words + (f" The run logged {len(logged)} steps." if logged else "")


def _rate(value: float) -> str:
    """Write 0.0002 as 2e-4, the way learning rates are spoken of."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _ha(place: int, steps: int) -> str:
    """Choose the side on which words at a step stay inside the figure."""
    if place < 0.35 * steps:
        return "left"
    return "right" if place > 0.65 * steps else "center"


# endregion: learning-rate


# region: before-after
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


# endregion: before-after


# region: memory
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


# endregion: memory


# region: forgetting
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


# endregion: forgetting


# region: histogram
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


# endregion: histogram


# region: mask
MASK_STYLE = """
.hb-mask{font-family:monospace;font-size:.95em;line-height:1.75;margin:0 0 .3rem;
overflow-wrap:anywhere;color:#57606a}
.hb-mask b{font-weight:600;color:#0b3d60;background:#cfe8fb;border-radius:3px;
box-shadow:0 0 0 1px #8fc3ea;margin:0 1px}
.hb-mask i{font-style:normal;border-radius:3px;box-shadow:0 0 0 1px #d0d7de;
margin:0 1px}
"""
MASK_DARK = """
PAGE .hb-mask{color:#9ea7b3}
PAGE .hb-mask b{color:#e2f2ff;background:#0f4a75;box-shadow:0 0 0 1px #3b86bd}
PAGE .hb-mask i{box-shadow:0 0 0 1px #3d444d}
"""


def mask(
    tokenizer: Any,
    input_ids: Sequence[int],
    labels: Sequence[int],
    title: str = "Which tokens are trained",
    limit: int = 400,
) -> Figure:
    """Show every token of a row, filled when the loss counts it.

    Parameters
    ----------
    tokenizer
        Turns the ids back into text.
    input_ids, labels
        One row of training data; a label of -100 is masked.
    title
        Shown above the tokens.
    limit
        Tokens that are shown; the rest is counted.
    """
    trained = sum(label != -100 for label in labels)
    share = f"{trained / len(labels):.0%}"
    note = f"{trained} of {len(labels)} tokens are trained ({share})."
    pieces = list(_pieces(tokenizer, input_ids[:limit], labels[:limit]))
    rest = len(labels) - limit
    more = f" and {rest} more tokens" if rest > 0 else ""
    tokens = "".join(_token(text, counts) for text, counts in pieces)
    body = (
        f"{style_tag(MASK_STYLE, MASK_DARK)}"
        f'<p class="hb-mask"><b>trained</b> <i>masked</i></p>'
        f'<p class="hb-mask">{tokens}{more}</p>'
    )
    alt = f"{title}: {note} Trained in [ ]:\n{_brackets(pieces)}{more}"
    return Figure(title, alt, body, note)


def _pieces(
    tokenizer: Any, ids: Sequence[int], labels: Sequence[int]
) -> Iterator[tuple[str, bool]]:
    """Yield (text, trained); tokens that share a character come as one piece."""
    done, counts = "", False
    for end in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False)
        counts = counts or labels[end - 1] != -100
        if text.endswith("\ufffd") and end < len(ids):
            continue
        yield text[len(done) :], counts
        done, counts = text, False


def _token(text: str, counts: bool) -> str:
    """Write a token with its white space made visible."""
    tag = "b" if counts else "i"
    shown = escape(text.replace(" ", "\u00b7").replace("\n", "\u21b5"))
    return f"<{tag}>{shown}</{tag}><wbr>" + "<br>" * text.count("\n")


def _brackets(pieces: Sequence[tuple[str, bool]]) -> str:
    words, inside = [], False
    for text, counts in [*pieces, ("", False)]:
        if counts != inside:
            words.append("[" if counts else "]")
        words.append(text)
        inside = counts
    return "".join(words)


# endregion: mask
