"""Asks for every parameter of an algorithm what each of its backends does with it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from verify.reference import calling, plain
from verify.reference.judging import NOWHERE, observe
from verify.reference.values import ALONE, PLANS, TYPES, VALUES, Call, Plan

# What decides the answers for an algorithm, by the names of the distributions.
LIBRARIES = {
    "sft": ("training-hub", "instructlab-training", "transformers"),
    "osft": ("training-hub", "rhai-innovation-mini-trainer", "transformers"),
    "lora_sft": ("training-hub", "trl", "transformers", "peft"),
}
OPTIONAL = re.compile(r"Optional\[(.+)\]")
DOTTED = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")  # where a class comes from
NOT_SAID = "not annotated"


def ask(algorithm: str, folder: Path) -> dict[str, Any]:
    """Return all that is known of an algorithm's parameters, ready for JSON."""
    plan = PLANS[algorithm]
    return {
        "algorithm": algorithm,
        "versions": versions(LIBRARIES[algorithm]),
        "signature": signature(algorithm),
        "backends": {
            backend: ask_backend(algorithm, backend, plan, folder)
            for backend in calling.backends(algorithm)
        },
    }


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of distributions."""
    return {name: metadata.version(name) for name in names}


def signature(algorithm: str) -> dict[str, dict[str, str | None]]:
    """Return the type and the default of every parameter that the function names."""
    import training_hub

    found = inspect.signature(getattr(training_hub, algorithm)).parameters
    return {
        name: {"type": type_of(parameter), "default": default_of(parameter)}
        for name, parameter in found.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


def type_of(parameter: inspect.Parameter) -> str:
    """Return an annotation as a reader would write it; a None beside it is left out."""
    note = parameter.annotation
    if note is parameter.empty:
        return NOT_SAID
    said = note if isinstance(note, str) else inspect.formatannotation(note)
    said = DOTTED.sub("", said)
    optional = OPTIONAL.fullmatch(said)
    return (optional[1] if optional else said).removesuffix(" | None")


def default_of(parameter: inspect.Parameter) -> str | None:
    """Return a default as text; None where the caller must give a value."""
    return None if parameter.default is parameter.empty else str(parameter.default)


def ask_backend(
    algorithm: str, backend: str, plan: Plan, folder: Path
) -> dict[str, Any]:
    """Return what one backend does with every parameter, probe and wrong type."""
    attempt = remembering(algorithm, backend, folder)
    first = attempt(plan.base)
    if first.error:
        raise RuntimeError(
            f"{algorithm}(backend={backend!r}) refuses the shortest call of "
            f"verify/reference/values.py: {first.error}"
        )
    # One that came with a new release has no value yet: its signature says so.
    named = [name for name in signature(algorithm) if name in VALUES]
    probes = {n: v for n, v in plan.probes.items() if n not in named}
    return {
        "stands in": calling.SPIES[backend][1],
        "shortest call": {n: plain.text(v, NOWHERE) for n, v in plan.base.items()},
        "defaults": defaults(first.given),
        "parameters": _ask(attempt, plan, {n: VALUES[n] for n in named}),
        "other names": _ask(attempt, plan, probes),
        "wrong types": {
            name: [observe(attempt, plan.base, name, value, {})]
            for name, value in TYPES[algorithm].items()
        },
    }


def remembering(
    algorithm: str, backend: str, folder: Path
) -> Callable[[Call], calling.Result]:
    """Return a function that makes each call once, however often it is asked for."""
    known: dict[str, calling.Result] = {}

    def attempt(parameters: Call) -> calling.Result:
        key = repr(sorted(parameters.items()))
        if key not in known:
            known[key] = calling.call(algorithm, backend, parameters, folder)
        return known[key]

    return attempt


def _ask(
    attempt: Callable[[Call], calling.Result], plan: Plan, values: Call
) -> dict[str, Any]:
    return {
        name: [
            observe(attempt, plan.base, name, value, beside)
            for beside in plan.beside.get(name, ALONE)
        ]
        for name, value in values.items()
    }


def defaults(given: plain.Given) -> dict[str, dict[str, str]]:
    """Return what the shortest call hands to the libraries' own configurations."""
    wanted = ("TrainingArgs", "TorchrunArgs", "SFTConfig", "from_pretrained")
    wanted += ("get_peft_model", "LoraConfig")
    return {place: given[place] for place in wanted if place in given}
