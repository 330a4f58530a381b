"""How the loss and the learning rate of a run go, step by step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from snippets.figure import (
    DASHED,
    Figure,
    Theme,
    draw,
    name_lines,
    round_ticks,
    short,
    write_above,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snippets.schedule import Schedule

Log = Sequence[dict] | str | Path


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
