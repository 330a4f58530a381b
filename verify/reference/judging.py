"""Says what became of one parameter, from two calls that differ in nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from verify.reference import plain
from verify.reference.calling import Result
from verify.reference.values import Call

HOLDER = "TrainingArgs"  # a field of it that no worker is told of has no effect
STATUSES = ("forwarded", "renamed", "honoured", "ignored", "refused")
Changes = dict[str, list[str | None]]  # "place: name" -> [without it, with it]
Try = Callable[[Call], Result]


def observe(
    attempt: Try, base: Call, name: str, value: Any, beside: Call
) -> dict[str, Any]:
    """Say what becomes of a parameter; of a switch that changes nothing, try both ways.

    One of the two ways is the default of some library, and changes nothing there.
    """
    found = _observe(attempt, base, name, value, beside)
    if found["status"] != "ignored" or not isinstance(value, bool):
        return found
    other = _observe(attempt, base, name, not value, beside)
    return found | {"value": "True, False"} if other["status"] == "ignored" else other


def _observe(
    attempt: Try, base: Call, name: str, value: Any, beside: Call
) -> dict[str, Any]:
    """Call without the parameter and with it, and say what the difference means.

    A parameter of the shortest call is left out for the first of the two; where that
    is refused, it is needed in fact, and keeps the value of the shortest call.
    """
    with_base = {**base, **beside}
    without = {n: v for n, v in with_base.items() if n != name}
    before, needed = attempt(without), None
    if before.error and name in with_base:
        needed, before = before.error, attempt(with_base)
    after = attempt({**with_base, name: value})
    found: dict[str, Any] = {"value": plain.text(value, NOWHERE)}
    if beside:
        found["beside"] = {n: plain.text(v, NOWHERE) for n, v in beside.items()}
    if needed:
        found["left out"] = needed
    return found | verdict(name, found["value"], before, after)


NOWHERE = plain.Path("/nowhere")


def verdict(name: str, value: str, before: Result, after: Result) -> dict[str, Any]:
    """Return the status of a parameter, what arrived, and under which names.

    forwarded
        It arrives under its own name.
    renamed
        It arrives under another name.
    honoured
        It arrives nowhere as it is, and changes what is handed on.
    ignored
        Nothing changes, or only a field that no worker is told of.
    refused
        The call raises.
    """
    if after.error:
        return {"status": "refused", "error": after.error}
    changed = changes(before.given, after.given)
    effective = [key for key in changed if not key.startswith(f"{HOLDER}: ")]
    if not any(place != HOLDER for place in after.given):
        raise ValueError(f"{name}: the call reached nothing but {HOLDER}")
    if not effective:
        return {"status": "ignored"} | ({"arrives": changed} if changed else {})
    same = [key for key, (_, now) in changed.items() if now in (value, _switch(value))]
    own = [key for key in same if bare(key) == name]
    others = sorted({bare(key) for key in same})
    status = "forwarded" if own else "renamed" if others else "honoured"
    found: dict[str, Any] = {"status": status, "arrives": changed}
    return found | ({"as": others} if status == "renamed" else {})


def changes(before: plain.Given, after: plain.Given) -> Changes:
    """Return what differs between two calls; None is for what is not there.

    A place that only the first call reached says nothing: the second went another way.
    """
    flat = flatten({place: named for place, named in before.items() if place in after})
    now = flatten(after)
    pairs = {key: [flat.get(key), now.get(key)] for key in sorted(flat | now)}
    return {key: pair for key, pair in pairs.items() if _differs(*pair)}


def _differs(old: str | None, new: str | None) -> bool:
    return (None if old == "None" else old) != (None if new == "None" else new)


def flatten(given: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return ``place: name`` to value."""
    return {
        f"{place}: {name}": value
        for place, named in given.items()
        for name, value in named.items()
    }


def bare(key: str) -> str:
    """Return the name of ``place: name``, without the signs of a command line."""
    return key.split(": ", 1)[1].lstrip("-").replace("-", "_")


def _switch(value: str) -> str | None:
    return "on" if value == "True" else None
