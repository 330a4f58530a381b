"""Shows what libraries do with each parameter, from the committed answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from verify.reference import store
from verify.reference.store import AnswersError
from verify.reference.used import used_names
from verify.sphinx_ext import words
from verify.sphinx_ext.render import html

GROUPS = {
    "parameters": "parameters",
    "others": "other names",
    "types": "wrong types",
}
PARTS = (*GROUPS, "jump", "versions", "defaults")
SAID = {
    "forwarded": "arrives under its own name",
    "renamed": "arrives under another name",
    "honoured": "changes what is handed on",
    "ignored": "changes nothing",
    "refused": "raises",
}
EFFECTS = 3  # of a parameter that is honoured, so many changes stand in the cell


@dataclass(frozen=True)
class Cell:
    """What one backend does with one parameter, beside some others.

    Attributes
    ----------
    status, beside : str
        The verdict, and the other parameters of the call; empty for none.
    default : str or None
        What the library is given without the parameter.
    names : list of str
        What it is called where it arrives.
    effects : list of (str, str, str)
        Of a parameter that is honoured: where, before and after.
    arrives : list of (str, str, str)
        All that changed.
    """

    status: str
    beside: str
    value: str
    default: str | None
    names: list[str]
    effects: list[tuple[str, str, str]]
    arrives: list[tuple[str, str, str]]
    error: str | None
    needed: bool


def cell(name: str, seen: Mapping[str, Any], required: bool) -> Cell:
    """Return an observation as a page shows it."""
    arrives = [
        (key, *map(shown, pair)) for key, pair in seen.get("arrives", {}).items()
    ]
    names = seen.get("as", [])
    wanted = names or [name]
    default = next((old for key, old, _ in arrives if bare(key) in wanted), None)
    told = not required and seen["status"] != "honoured"
    beside = seen.get("beside", {})
    return Cell(
        status=seen["status"],
        beside=", ".join(f"{n}={v}" for n, v in beside.items()),
        value=seen["value"],
        default=default if told else None,
        names=names,
        effects=arrives[:EFFECTS] if seen["status"] == "honoured" else [],
        arrives=arrives,
        error=seen.get("error"),
        needed="left out" in seen and not required and name not in beside,
    )


def distinct(cells: list[Cell]) -> list[Cell]:
    """Return one verdict where others beside the parameter change nothing about it."""
    told = {(c.status, tuple(c.names), c.default, c.error) for c in cells}
    return cells if len(told) > 1 else cells[:1]


def bare(key: str) -> str:
    """Return the name of ``place: name`` without the signs of a command line."""
    return key.split(": ", 1)[1].lstrip("-").replace("-", "_")


def shown(value: str | None) -> str:
    """Return a value for a page."""
    return "unset" if value in (None, "None") else value or "(empty)"


def anchor(subject: str, name: str) -> str:
    """Return the id of a row: stable, so that other pages can lead to it."""
    return f"{subject}-{name}"


class ParametersDirective(SphinxDirective):
    """``{parameters} ALGORITHM PART``: one part of the reference of an algorithm."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the part, and what makes the site's search find its parameters."""
        algorithm, _, part = self.arguments[0].partition(" ")
        if algorithm not in store.ALGORITHMS:
            known = words.listed(store.ALGORITHMS)
            raise self.error(f"no algorithm {algorithm!r} is asked about; use {known}")
        if part not in PARTS:
            raise self.error(f"there is no part {part!r}; use {', '.join(PARTS)}")
        data = answers(self, algorithm)
        values = {"algorithm": algorithm, "part": part, "data": data, "SAID": SAID}
        values["backends"] = backends(data)
        if part not in GROUPS:
            values["jumps"] = jumps(data) if part == "jump" else {}
            return [_raw("parameters.html", **values)]
        rows = table(data, GROUPS[part])
        found = [(("single"), r["name"], r["id"], "", None) for r in rows]
        index = addnodes.index(entries=found)
        return [index, _raw("parameters.html", rows=rows, **values)]


class NamesDirective(SphinxDirective):
    """``{library-names} PART``: fields and functions as installed, or the renames."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the part, drawn from the committed answers."""
        part = self.arguments[0]
        if part not in ("fields", "functions", "renames", "versions"):
            raise self.error(f"there is no part {part!r} of names")
        data = answers(self, "renames" if part == "renames" else "names")
        used = used_names(Path(self.env.srcdir)) if part == "fields" else {}
        return [_raw("names.html", part=part, data=data, used=used, span=span)]


def answers(directive: SphinxDirective, subject: str) -> dict[str, Any]:
    """Read committed answers, on which the page then depends."""
    root = Path(directive.env.srcdir)
    directive.env.note_dependency(str(store.path(root, subject)))
    try:
        return store.load(root, subject)
    except AnswersError as error:
        raise directive.error(str(error)) from error


def _raw(template: str, **values: Any) -> nodes.Node:
    return nodes.raw("", html(template, **values), format="html")


def backends(data: Mapping[str, Any]) -> list[str]:
    """Return the backends of an algorithm, its default one first."""
    default = data["signature"]["backend"]["default"]
    return sorted(data["backends"], key=lambda name: (name != default, name))


def table(data: Mapping[str, Any], group: str) -> list[dict[str, Any]]:
    """Return a row for each parameter of a group, in the order of the function."""
    order = backends(data)
    known = data["signature"]
    names = list(data["backends"][order[0]][group])
    rows = []
    for name in sorted(names, key=str.lower):
        said = known.get(name, {})
        required = name in known and said["default"] is None
        seen = {b: data["backends"][b][group][name] for b in order}
        cells = {
            b: distinct([cell(name, one, required) for one in seen[b]]) for b in order
        }
        row = {"name": name, "id": anchor(data["algorithm"], name), "cells": cells}
        if group == "wrong types":
            row["id"] += "-type"
        rows.append(row | {"type": said.get("type"), "default": said.get("default")})
    return rows


def jumps(data: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Return, for each backend, the parameters that it ignores and those it refuses."""
    found: dict[str, dict[str, list[str]]] = {}
    for backend in backends(data):
        told = data["backends"][backend]
        every = told["parameters"] | told["other names"]
        found[backend] = {
            status: sorted(
                name
                for name, seen in every.items()
                if all(one["status"] == status for one in seen)
            )
            for status in ("ignored", "refused")
        }
    return found


def span(found: Mapping[str, Any], package: str) -> str:
    """Say in which releases a name is there: ``4.41.0 and later``."""
    before, came = found["came"]
    last, gone = found["went"]
    start = f"{came}" if before else f"{came} or earlier"
    return f"{start} to {last}" if gone else f"{start}, still there in {last}"
