"""Turns what a library was given into short text that is the same on every machine."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LONGEST = 80
Given = dict[str, dict[str, str]]  # place -> name there -> value as text


def text(value: Any, folder: Path, longest: int = LONGEST) -> str:
    """Return a value as short text; paths of the folder lose what lies above them."""
    said = _said(value).replace(f"{folder}/", "").replace(str(folder), "")
    return said if len(said) <= longest else f"{said[: longest - 1]}…"


def _said(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | set):
        return "[" + ", ".join(_said(item) for item in value) + "]"
    if isinstance(value, Mapping):
        inner = (f"{name}: {_said(item)}" for name, item in value.items())
        return "{" + ", ".join(inner) + "}"
    if value is None or isinstance(value, bool | int | float) or _is_dtype(value):
        return str(value)
    return type(value).__name__


def _is_dtype(value: Any) -> bool:
    return str(value).startswith("torch.") and type(value).__name__ == "dtype"


def fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass or pydantic model, one level, nested by dots."""
    if dataclasses.is_dataclass(value):
        pairs = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    else:
        pairs = {name: getattr(value, name) for name in type(value).model_fields}
    flat: dict[str, Any] = {}
    for name, item in pairs.items():
        if hasattr(type(item), "model_fields") or dataclasses.is_dataclass(item):
            inner = fields(item).items()
            flat |= {f"{name}.{below}": found for below, found in inner}
        else:
            flat[name] = item
    return flat


def command(words: list[str]) -> dict[str, str]:
    """Return the options of a command line; one without a value is ``on``."""
    found = {}
    for word in words:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            found[name] = value if "=" in word else "on"
    return found


def given(places: Mapping[str, Mapping[str, Any]], folder: Path) -> Given:
    """Return what every place was given, as text."""
    return {
        place: {name: text(value, folder) for name, value in named.items()}
        for place, named in places.items()
        if named
    }
