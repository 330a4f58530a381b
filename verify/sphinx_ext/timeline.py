"""Draws how long the last runs of a notebook took, so that a change is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verify.sphinx_ext import words

SHOWN = 16  # runs: more would not be told apart in so small a picture
WIDTH, HEIGHT, EDGE = 96, 26, 4


@dataclass(frozen=True)
class Mark:
    """One run in the picture: where, of which kind, and what it says when pointed at.

    ``kind`` is ``passed``, ``skipped`` or ``failed``; each has its own shape.
    """

    x: float
    y: float
    kind: str
    title: str


@dataclass(frozen=True)
class Timeline:
    """The last runs of one notebook under one profile.

    Attributes
    ----------
    words : str
        The same in a sentence: the picture's text.
    marks : list of Mark
        Oldest first; empty for fewer than two runs, where there is nothing to see.
    line : str
        The points of the line through the runs that passed.
    """

    words: str
    marks: list[Mark]
    line: str


def timeline(runs: Sequence[Mapping[str, Any]]) -> Timeline:
    """Return the picture of the newest runs; ``runs`` is what history remembers."""
    last = list(runs)[-SHOWN:]
    marks = _marks(last) if len(last) > 1 else []
    line = " ".join(f"{mark.x},{mark.y}" for mark in marks if mark.kind == "passed")
    return Timeline(_words(last), marks, line)


def _words(runs: list[Mapping[str, Any]]) -> str:
    """Say ``12 runs since 20 Nov 2026, 11 passed; 104 to 129 s``."""
    if not runs:
        return "No run is remembered."
    if len(runs) == 1:
        return f"One run so far: {_said(runs[0])}."
    passed = [run["seconds"] for run in runs if run["status"] == "passed"]
    since = f"{len(runs)} runs since {words.date(runs[0]['started'])}"
    if not passed:
        return f"{since}, none passed"
    low, high = words.duration(min(passed)), words.duration(max(passed))
    span = low if low == high else f"{_shared(low, high)} to {high}"
    return f"{since}, {len(passed)} passed; {span}"


def _shared(low: str, high: str) -> str:
    """Leave out the unit where both are plain seconds: ``104 to 129 s``."""
    plain = low.count(" ") == high.count(" ") == 1 and low[-1] == high[-1]
    return low.split()[0] if plain else low


def _said(run: Mapping[str, Any]) -> str:
    took = f", {words.duration(run['seconds'])}" if run["status"] != "skipped" else ""
    status = "timed out" if run["status"] == "timeout" else run["status"]
    return f"{words.date(run['started'])}, {status}{took}"


def _marks(runs: list[Mapping[str, Any]]) -> list[Mark]:
    """Place the runs from left to right, their seconds upwards from 0."""
    longest = max(run["seconds"] for run in runs) or 1
    step = (WIDTH - 2 * EDGE) / (len(runs) - 1)
    marks = []
    for number, run in enumerate(runs):
        height = (HEIGHT - 2 * EDGE) * run["seconds"] / longest
        x, y = round(EDGE + number * step, 1), round(HEIGHT - EDGE - height, 1)
        known = run["status"] in ("passed", "skipped")
        marks.append(Mark(x, y, run["status"] if known else "failed", _said(run)))
    return marks
