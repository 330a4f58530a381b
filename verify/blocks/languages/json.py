"""Checks JSON blocks, also line by line, as strictly as a server reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from verify.blocks.found import Block, Problem, Setting

MARK = re.compile(r"\s*//\s*\[!code [^\]]*\]\s*$", re.M)  # rspress shows it as colour


def parses(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find JSON that does not parse, or gives a key twice."""
    for block in blocks:
        if slip := _slip(MARK.sub("", block.code)):
            number, what = slip
            instead = "write JSON that parses, or tag the fence text"
            if number > 1 and _is_lines(block.code):
                instead = "tag it jsonl: it holds one value a line"
            elif re.search(r"\.\.\.|…", block.code):
                instead = "leave the ... out, or tag the fence text"
            yield Problem(block.line(number), "json", what, instead, block)


def lines(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find lines that are not one JSON value each."""
    for block in blocks:
        for number, line in enumerate(block.code.splitlines(), 1):
            if line.strip() and (slip := _slip(line)):
                instead = "write one JSON value a line"
                yield Problem(block.line(number), "json", slip[1], instead, block)


def _slip(text: str) -> tuple[int, str] | None:
    try:
        json.loads(text, object_pairs_hook=_once, parse_constant=_constant)
    except json.JSONDecodeError as error:
        return error.lineno, f"is no JSON: {error.msg}"
    except ValueError as error:
        key = re.escape(str(error).split("'")[1]) if "'" in str(error) else ""
        places = [m.start() for m in re.finditer(rf'"?{key}"?', text)]
        at = places[1] if len(places) > 1 else places[0] if places else 0
        return text.count("\n", 0, at) + 1, str(error)
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key '{key}' is given twice")
        found[key] = value
    return found


def _constant(name: str) -> None:
    raise ValueError(f"is no JSON: '{name}' is no number")


def _is_lines(text: str) -> bool:
    full = [line for line in text.splitlines() if line.strip()]
    return len(full) > 1 and all(_slip(line) is None for line in full)
