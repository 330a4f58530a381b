"""Shows the bench that is kept in ``receipts/``: its table, its plot, its numbers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from docutils import nodes
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from verify.bench import results
from verify.bench.results import ResultsError
from verify.sphinx_ext import words
from verify.sphinx_ext.render import html

PARTS = ("table", "plot", "answers", "imports", "machine")
WIDTH = 420
VALUES = 64
BAR, GAP, HEAD = 15, 27, 34


@dataclass(frozen=True)
class Bar:
    """One bar of the plot, in the units of the drawing."""

    tool: str
    seconds: str
    y: int
    width: float
    kind: str


@dataclass(frozen=True)
class Group:
    """Bars that are measured against each other; the longest fills the width."""

    title: str
    y: int
    bars: list[Bar]


class BenchDirective(SphinxDirective):
    """``{bench} PART``: one part of the bench, or a line where none is kept."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the part, drawn from the kept file."""
        part = self.arguments[0]
        if part not in PARTS:
            raise self.error(f"a bench has no part {part!r}; use {', '.join(PARTS)}")
        try:
            data = kept(self.env)
        except ResultsError as error:
            raise self.error(str(error)) from error
        values = {} if data is None else VALUES_OF[part](data)
        filled = html("bench.html", part=part, measured=data is not None, **values)
        return [nodes.raw("", filled, format="html")]


class BenchFigureRole(SphinxRole):
    """``{bench-figure}`NAME```: one number of the bench, rounded against us."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number, or an error at the role's line."""
        try:
            text = self._text()
        except ResultsError as error:
            message = self.inliner.reporter.error(
                f"{{{self.name}}}`{self.text}`: {error}", line=self.lineno
            )
            shown = self.inliner.problematic(self.rawtext, self.rawtext, message)
            return [shown], [message]
        return [nodes.inline("", text, classes=["hb-bench-figure"])], []

    def _text(self) -> str:
        data = kept(self.env)
        if data is None:
            return "(not measured yet)"
        known = results.figures(data)
        if self.text not in known:
            close = difflib.get_close_matches(self.text, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else words.listed(known)
            raise ResultsError(f"the bench has no figure {self.text!r}; {hint}")
        return known[self.text]


def kept(env: BuildEnvironment) -> dict[str, Any] | None:
    """Read the kept bench, on which the page now depends; None where there is none."""
    path = Path(env.srcdir) / results.KEPT
    env.note_dependency(str(path))
    return results.load(path) if path.exists() else None


def table_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the judged rows, and what was not measured."""
    judged = results.rows(data)
    missed = sum(not row.holds for row in judged)
    return {"rows": judged, "missed": missed, "absent": results.absent(data)}


def plot_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bars of every comparison, laid out from the top down."""
    groups, y = [], 0
    for title, times in comparisons(data):
        longest = max(times.values())
        bars = []
        for number, (tool, seconds) in enumerate(times.items()):
            width = (WIDTH - VALUES) * seconds / longest
            at = y + HEAD + number * (BAR + GAP)
            shown = results.up if tool == "verify" else results.down
            bars.append(Bar(tool, f"{shown(seconds)} s", at, width, _kind(tool)))
        groups.append(Group(title, y, bars))
        y = bars[-1].y + BAR + GAP
    told = "; ".join(_told(group) for group in groups)
    size = {"width": WIDTH, "height": y, "bar_height": BAR}
    return {"groups": groups, "told": told, **size}


def comparisons(data: Mapping[str, Any]) -> list[tuple[str, dict[str, float]]]:
    """Return what is drawn: a title, and the median seconds of each tool."""
    found = [("Nothing changed, 10 notebooks", _medians(data["unchanged"]))]
    for load, processors in (("waiting", 2.0), ("busy", results.speedup(data))):
        cold = data[load]
        best = {"the ideal": results.ideal(cold, processors)}
        title = f"Cold, {cold['count']} {load} notebooks, 2 at once"
        found.append((title, {**_medians(cold["times"]), **best}))
    return [*found, ("One notebook, alone", _medians(data["overhead"]))]


def answers_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return, for each tool, what the notebooks printed before and after."""
    answers = data["answers"]
    right, dependents = answers["right"], answers["dependents"]
    others = [name for name in right if name not in dependents]
    tools = [
        {
            "tool": name,
            "ran": len(tool["ran"]),
            "dependents": _printed(tool, dependents),
            "others": _printed(tool, others),
            "right": len(results.correct(tool, right)),
            "holds": len(results.correct(tool, right)) == len(right),
        }
        for name, tool in answers["tools"].items()
    ]
    return {
        "tools": tools,
        "count": len(right),
        "dependents": len(dependents),
        "wanted": _values(right, dependents),
        "wanted_others": _values(right, others),
    }


def imports_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each notebook's imports take, beside its whole run."""
    known = results.figures(data)
    rows = [
        {
            "name": name,
            "imports": known[f"{name}.imports"],
            "run": words.duration(times["run"]) if times["run"] else None,
            "share": known.get(f"{name}.share"),
        }
        for name, times in data["imports"].items()
    ]
    return {"rows": rows}


def machine_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return where and when the bench ran."""
    return {"bench": data, "machine": data["machine"], "versions": data["versions"]}


def _medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(runs) for name, runs in times.items()}


def _told(group: Group) -> str:
    return f"{group.title}: " + ", ".join(f"{b.tool} {b.seconds}" for b in group.bars)


def _kind(tool: str) -> str:
    return {"verify": "ours", "the ideal": "ideal"}.get(tool, "theirs")


def _printed(tool: Mapping[str, Any], names: list[str]) -> dict[str, str]:
    return {when: _values(tool[when], names) for when in ("before", "after")}


def _values(answers: Mapping[str, int], names: list[str]) -> str:
    """Return the distinct answers of some notebooks: one number if all agree."""
    return " or ".join(str(value) for value in sorted({answers[n] for n in names}))


VALUES_OF = {
    "table": table_values,
    "plot": plot_values,
    "answers": answers_values,
    "imports": imports_values,
    "machine": machine_values,
}
