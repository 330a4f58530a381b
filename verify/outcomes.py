"""Takes outcomes and warnings out of an executed notebook and judges them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verify.catalog import Allowed, Expectation, is_number
from verify.source import INJECTED, tags_of

MIME = "application/vnd.handbook.outcome+json"
COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LOST = ("nan", "inf", "-inf")  # what a kernel makes of numbers that JSON cannot hold


class OutcomeError(ValueError):
    """A notebook recorded an outcome in a way that cannot be judged."""


@dataclass(frozen=True)
class Outcome:
    """One recorded value and its judgement.

    Attributes
    ----------
    name : str
        The name given to ``record``.
    value : bool, int, float, str, list of numbers, or None
        None when the notebook did not record an outcome that the catalog expects.
    expect : mapping or None
        The catalog's rule, for example ``{"min": 0.95}``; None when it has none.
    ok : bool
        False when the rule does not hold or the value is missing.
    why : str or None
        The catalog's words on what the number means.
    """

    name: str
    value: Any
    expect: Mapping[str, Any] | None
    ok: bool
    why: str | None

    def problem(self) -> str | None:
        """Say in one sentence what is wrong, or None."""
        if self.ok or self.expect is None:
            return None
        wanted = Expectation(self.expect).words()
        why = f" ({self.why})" if self.why else ""
        if self.value is None:
            return f"outcome {self.name!r} was not recorded; expected {wanted}{why}"
        return f"outcome {self.name} = {self.value!r}, expected {wanted}{why}"


def collect(notebook: Mapping) -> dict[str, Any]:
    """Read the outcomes that an executed notebook recorded, in order.

    Parameters
    ----------
    notebook : mapping
        The executed notebook as plain JSON.

    Raises
    ------
    OutcomeError
        When a name is recorded twice or a value is not of an allowed kind; it names the
        cell, counted over all cells of the file from 1.
    """
    found: dict[str, Any] = {}
    for number, cell in numbered(notebook):
        for output in cell.get("outputs", []):
            bundle = output.get("data", {}).get(MIME)
            if bundle is None:
                continue
            name, value = _unpack(bundle, number)
            if name in found:
                raise OutcomeError(f"cell {number}: outcome {name!r} is recorded twice")
            found[name] = value
    return found


def judge(
    recorded: Mapping[str, Any], expect: Mapping[str, Expectation]
) -> tuple[Outcome, ...]:
    """Hold recorded values against the catalog; what was not recorded comes last."""
    outcomes = []
    for name, value in recorded.items():
        rule = expect.get(name)
        if rule is None:
            outcomes.append(Outcome(name, value, None, True, None))
        else:
            ok = rule.holds(value)
            outcomes.append(Outcome(name, value, dict(rule.rule), ok, rule.why))
    for name, rule in expect.items():
        if name not in recorded:
            outcomes.append(Outcome(name, None, dict(rule.rule), False, rule.why))
    return tuple(outcomes)


def problems(outcomes: Sequence[Outcome]) -> list[str]:
    """List what is wrong with a set of outcomes, one sentence each."""
    return [found for outcome in outcomes if (found := outcome.problem())]


def _unpack(bundle: Any, number: int) -> tuple[str, Any]:
    if not isinstance(bundle, Mapping) or set(bundle) != {"name", "value"}:
        raise OutcomeError(f"cell {number}: an outcome must carry a name and a value")
    name, value = bundle["name"], bundle["value"]
    if not isinstance(name, str) or not name:
        raise OutcomeError(f"cell {number}: an outcome's name is {name!r}, not a text")
    if value in LOST:
        value = float(value)
    numbers = isinstance(value, list) and all(is_number(item) for item in value)
    if not (isinstance(value, (bool, str)) or is_number(value) or numbers):
        raise OutcomeError(
            f"cell {number}: outcome {name!r} is {value!r}; record a finite number, a "
            "bool, a text or a list of finite numbers"
        )
    return name, value


def stderr(notebook: Mapping, allow: Sequence[Allowed]) -> list[dict[str, Any]]:
    """List what cells wrote to stderr, each message with the reason that allows it.

    A message is a line and the indented lines below it; a progress bar's states are
    lines too. ``cell`` counts all cells of the file from 1.
    """
    found: list[dict[str, Any]] = []
    for number, cell in numbered(notebook):
        for output in cell.get("outputs", []):
            if output.get("name") != "stderr":
                continue
            text = output.get("text", "")
            text = text if isinstance(text, str) else "".join(text)
            for said in _messages(COLOR.sub("", text)):
                why = allowed(said, allow)
                found.append({"cell": number, "text": said, "allowed": why})
    return found


def allowed(text: str, allow: Sequence[Allowed]) -> str | None:
    """Return why a message may appear on stderr, or None when nobody allowed it."""
    return next((a.why for a in allow if a.match.search(text)), None)


def stderr_problems(said: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the messages on stderr that nobody allowed, a sentence each."""
    return [
        f"cell {one['cell']} wrote to stderr what nobody allowed: "
        f"{one['text'].splitlines()[0][:200]!r}; mend its cause, or allow it with a "
        "reason under allow_stderr in the catalog"
        for one in said
        if one["allowed"] is None
    ]


def numbered(notebook: Mapping) -> Iterator[tuple[int, Mapping]]:
    """Count cells as the source does: an injected one has its predecessor's number."""
    number = 0
    for cell in notebook["cells"]:
        number += INJECTED not in tags_of(cell)
        yield number, cell


def _messages(text: str) -> Iterator[str]:
    message: list[str] = []
    for line in re.split(r"[\r\n]+", text):
        if message and not line.startswith((" ", "\t")):
            yield "\n".join(message)
            message = []
        if line.strip():
            message.append(line.rstrip())
    if message:
        yield "\n".join(message)
