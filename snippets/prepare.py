"""Rows in other people's formats become conversations, before anything is checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from snippets.data import DataError

# region: from_alpaca
ALPACA = ("instruction", "input", "output")


def from_alpaca(row: Mapping[str, Any]) -> dict[str, list[dict]]:
    """Turn a row with ``instruction``, ``input`` and ``output`` into a conversation.

    The input may be missing or empty; otherwise it follows the instruction after an
    empty line. The long preamble of the Alpaca prompt is left out: the chat template
    of your model says where a turn begins.

    Raises
    ------
    DataError
        If the instruction or the output is missing or empty.
    """
    asked, given, answer = (str(row.get(name) or "").strip() for name in ALPACA)
    if not asked or not answer:
        missing = "output" if asked else "instruction"
        raise DataError(f'no "{missing}" in a row with {_names(row)}')
    question = f"{asked}\n\n{given}" if given else asked
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


# endregion: from_alpaca


# region: from_sharegpt
SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "tool": "tool",
}


def from_sharegpt(row: Mapping[str, Any], field: str = "conversations") -> dict:
    """Turn a list of ``from`` and ``value`` into ``role`` and ``content``.

    Raises
    ------
    DataError
        For a speaker that is not known: guessing a role would train the wrong turn.
    """
    if field not in row:
        raise DataError(f'no "{field}" in a row with {_names(row)}')
    turns = []
    for number, turn in enumerate(row[field]):
        speaker = turn.get("from")
        if speaker not in SPEAKERS:
            known = ", ".join(SPEAKERS)
            raise DataError(f'{field}[{number}]: unknown speaker "{speaker}"; {known}')
        content = str(turn.get("value") or "").strip()
        turns.append({"role": SPEAKERS[speaker], "content": content})
    return {"messages": turns}


# endregion: from_sharegpt


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(f'"{name}"' for name in row) or "no fields at all"


# region: personal
PERSONAL = {
    "e-mail address": r"[\w.+-]+@[\w-]+\.[\w.-]+\w",
    "phone number": r"(?<![\w.-])(?:\+|0)\d[\d ()/-]{6,}\d(?![\w-])",
    "card or account number": r"(?<!\d)(?:\d[ -]?){13,19}(?!\d)",
    "IP address": r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])",
    "secret": r"(?i)(?:password|passwd|token|api[_-]?key|secret)\s*[:=]\s*\S{6,}",
}


def personal(texts: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """Find what looks like personal data or a secret; names are not found.

    These patterns find the obvious, so that you know whether to look closer. Nothing
    found does not mean that nothing is there.

    Returns
    -------
    dict
        For each kind that was found, the places: ``(index of the text, match)``.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for index, text in enumerate(texts):
        for kind, pattern in PERSONAL.items():
            for match in re.finditer(pattern, text):
                found.setdefault(kind, []).append((index, match.group()))
    return found


# endregion: personal
