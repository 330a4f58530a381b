"""Reads a bench and judges it: requirements stand here, seconds in the file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

SCHEMA = 1
KEPT = Path("receipts", "bench.json")
KEYS = ("schema", "started", "commit", "dirty", "machine", "versions", "load")
MEASURED = ("unchanged", "waiting", "busy", "overhead", "scaling", "answers", "imports")
LATER = {
    "large": "a large book, block checks, and the reading of MDX",
    "sandbox": "the MLflow sandbox",
}
FASTER = 10.0
UNCHANGED_SECONDS = 1.0
OVER_IDEAL = 1.15
OVERHEAD_SECONDS = 0.5
SANDBOX = {
    "up": (8, "s"),
    "down": (2, "s"),
    "megabytes": (450, "MB"),
    "request": (1, "ms"),
}
DIGITS = {"MB": 0, "s": 1, "ms": 2}
LARGE_SECONDS = {"build": 20.0, "blocks": 20.0, "parser": 1.0}


class ResultsError(ValueError):
    """A file is no bench that can be read."""


@dataclass(frozen=True)
class Row:
    """One line of the table: what was compared, and whether the requirement holds.

    Attributes
    ----------
    name : str
        A short name for programs, such as ``unchanged-ratio``.
    what, beside : str
        What was done, and what it is held against.
    ours, theirs, ratio, required : str
        Ready to print; rounded against us.
    holds : bool
        From the unrounded medians.
    """

    name: str
    what: str
    beside: str
    ours: str
    theirs: str
    ratio: str
    required: str
    holds: bool


def load(path: Path) -> dict[str, Any]:
    """Read a bench.

    Raises
    ------
    ResultsError
        If the file is missing, is no JSON, or is of another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ResultsError(f"{path.name} is not readable: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ResultsError(f"{path.name} is not a bench of schema {SCHEMA}")
    missing = [key for key in (*KEYS, *MEASURED) if key not in data]
    if missing:
        raise ResultsError(f"{path.name} lacks: {', '.join(missing)}")
    return data


def rows(data: Mapping[str, Any]) -> list[Row]:
    """Judge what a bench measured, requirement by requirement."""
    judges = {
        "unchanged": _unchanged,
        "answers": _changed,
        "waiting": lambda cold: _cold(cold, "waiting", 2.0),
        "busy": lambda cold: _cold(cold, "busy", speedup(data)),
        "overhead": lambda times: [_overhead(times)],
        "large": _large,
        "sandbox": _sandbox,
    }
    return [
        row
        for part, judge in judges.items()
        if part in data
        for row in judge(data[part])
    ]


def absent(data: Mapping[str, Any]) -> list[str]:
    """Say what a bench from before it was measured lacks."""
    return [told for part, told in LATER.items() if part not in data]


def speedup(data: Mapping[str, Any]) -> float:
    """Return how many times the work of one busy process two do in the same time.

    Noise can put it below 1, which would make the ideal easier to reach: it is then 1.
    """
    one, two = (median(data["scaling"][name]) for name in ("one", "two"))
    return min(2.0, max(1.0, 2 * one / two))


def fastest(times: Mapping[str, Sequence[float]]) -> tuple[str, float]:
    """Return the tool with the smallest median, ours left out, and that median."""
    others = {name: median(runs) for name, runs in times.items() if name != "verify"}
    name = min(others, key=others.__getitem__)
    return name, others[name]


def ideal(cold: Mapping[str, Any], processors: float) -> float:
    """Return the shortest time in which notebooks can run beside each other.

    The sum of each notebook's time alone, over the processors that the machine really
    gives; or the longest notebook, where that is more.
    """
    alone = [median(runs) for runs in cold["alone"].values()]
    whole = sum(alone) * cold["count"] / len(alone)
    return max(whole / processors, max(alone))


def overhead(times: Mapping[str, Sequence[float]]) -> float:
    """Return the median over pairs of what we take longer than bare nbclient."""
    pairs = zip(times["verify"], times["nbclient"], strict=True)
    return median(ours - bare for ours, bare in pairs)


def import_share(times: Mapping[str, Any]) -> float | None:
    """Return the share of a notebook's run that its imports take, None if unknown."""
    return median(times["seconds"]) / times["run"] if times["run"] else None


def up(value: float, digits: int = 2) -> str:
    """Print a number rounded up: what should be small is never made smaller."""
    scale = 10**digits
    return f"{math.ceil(round(value * scale, 6)) / scale:.{digits}f}"


def down(value: float, digits: int = 2) -> str:
    """Print a number rounded down: what should be large is never made larger."""
    scale = 10**digits
    return f"{math.floor(round(value * scale, 6)) / scale:.{digits}f}"


def _unchanged(times: Mapping[str, Sequence[float]]) -> list[Row]:
    ours, (name, theirs) = median(times["verify"]), fastest(times)
    what = "Nothing changed, 10 notebooks"
    return [
        Row(
            "unchanged-ratio",
            what,
            name,
            f"{up(ours)} s",
            f"{down(theirs)} s",
            f"{down(theirs / ours, 1)} × faster",
            f"≥ {FASTER:g} × faster",
            theirs / ours >= FASTER,
        ),
        Row(
            "unchanged-seconds",
            what,
            "the clock",
            f"{up(ours)} s",
            "—",
            "—",
            f"≤ {UNCHANGED_SECONDS:g} s",
            ours <= UNCHANGED_SECONDS,
        ),
    ]


def _changed(answers: Mapping[str, Any]) -> list[Row]:
    """Judge who ran, and who was right, after one module changed."""
    ours, right = answers["tools"]["verify"], answers["right"]
    count, dependents = len(right), set(answers["dependents"])
    others = {n: tool for n, tool in answers["tools"].items() if n != "verify"}
    beside = " and ".join(others)
    ran = [f"{len(tool['ran'])} ran" for tool in others.values()]
    told = [f"{len(correct(tool, right))} of {count}" for tool in others.values()]
    return [
        Row(
            "changed-ran",
            "One module changed: what runs",
            beside,
            f"{len(ours['ran'])} ran",
            " and ".join(ran),
            "—",
            f"its {len(dependents)} dependents",
            set(ours["ran"]) == dependents,
        ),
        Row(
            "changed-right",
            "One module changed: right answers",
            beside,
            f"{len(correct(ours, right))} of {count}",
            " and ".join(told),
            "—",
            f"{count} of {count}",
            len(correct(ours, right)) == count,
        ),
    ]


def correct(tool: Mapping[str, Any], right: Mapping[str, int]) -> list[str]:
    """Name the notebooks for which a tool shows the right answer after the change."""
    return [name for name in right if tool["after"].get(name) == right[name]]


def _cold(cold: Mapping[str, Any], load: str, processors: float) -> list[Row]:
    ours, theirs = (median(cold["times"][tool]) for tool in ("verify", "nbmake"))
    best = ideal(cold, processors)
    what = f"Cold, {cold['count']} {load} notebooks, 2 at once"
    return [
        Row(
            f"{load}-nbmake",
            what,
            "nbmake -n 2",
            f"{up(ours, 1)} s",
            f"{down(theirs, 1)} s",
            f"{up(ours / theirs)} of its time",
            "≤ 1 of its time",
            ours <= theirs,
        ),
        Row(
            f"{load}-ideal",
            what,
            "the ideal",
            f"{up(ours, 1)} s",
            f"{down(best, 1)} s",
            f"{up(ours / best)} of it",
            f"≤ {OVER_IDEAL:g} of it",
            ours <= OVER_IDEAL * best,
        ),
    ]


def _large(large: Mapping[str, Any]) -> list[Row]:
    """Judge the site's own build, its checks and its parser by the clock."""
    size = f"{down(large['parser']['bytes'] / 1e6, 1)} MB"
    told = {
        "build": f"A book of {large['pages']} MDX pages, built",
        "blocks": "Every code block of this handbook, checked",
        "parser": f"{size} of MDX, read",
    }
    return [_limited(name, what, large[name]) for name, what in told.items()]


def _limited(name: str, what: str, times: Mapping[str, Any]) -> Row:
    """Judge one thing by a limit; its processor time stands beside it."""
    ours, limit = median(times["seconds"]), LARGE_SECONDS[name]
    return Row(
        f"large-{name}",
        what,
        "its processor time",
        f"{up(ours)} s",
        f"{up(median(times['cpu']))} s",
        "—",
        f"< {limit:g} s",
        ours < limit,
    )


def _sandbox(found: Mapping[str, Any]) -> list[Row]:
    """Judge the MLflow sandbox by the clock and by the memory of its processes."""
    told = {
        "up": ("The MLflow sandbox, up", "the clock"),
        "down": ("The MLflow sandbox, down", "the clock"),
        "megabytes": ("The MLflow sandbox, in memory", "PSS of three processes"),
        "request": ("Its plugin on one request, a fresh token", "what it adds"),
    }
    rows = []
    for name, (what, beside) in told.items():
        ours, (limit, unit) = median(found[name]), SANDBOX[name]
        shown = f"{up(ours, DIGITS[unit])} {unit}"
        required = f"≤ {limit} {unit}"
        holds = ours <= limit
        row = f"sandbox-{name}"
        rows.append(Row(row, what, beside, shown, "—", "—", required, holds))
    return rows


def _overhead(times: Mapping[str, Sequence[float]]) -> Row:
    more = overhead(times)
    return Row(
        "overhead",
        "One notebook, alone",
        "nbclient",
        f"{up(median(times['verify']))} s",
        f"{down(median(times['nbclient']))} s",
        f"{up(more)} s more",
        f"≤ {OVERHEAD_SECONDS:g} s more",
        more <= OVERHEAD_SECONDS,
    )


def figures(data: Mapping[str, Any]) -> dict[str, str]:
    """Return every number that prose may quote, ready to print and rounded against us.

    ``ROW.ours``, ``ROW.theirs`` and ``ROW.ratio`` for each row of the table,
    ``speedup``, ``runs``, and for each notebook ``NAME.imports`` and ``NAME.share``.
    """
    found = {"speedup": down(speedup(data)), "runs": str(data["load"]["runs"])}
    for row in rows(data):
        for part in ("ours", "theirs", "ratio"):
            found[f"{row.name}.{part}"] = getattr(row, part)
    for name, times in data["imports"].items():
        found[f"{name}.imports"] = f"{up(median(times['seconds']), 1)} s"
        share = import_share(times)
        if share is not None:
            found[f"{name}.share"] = f"{up(100 * share, 1)} %"
    return found
