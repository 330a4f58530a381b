"""Searches what a run left for secrets; it names the place and never the value."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verify.outcomes import numbered

SHORTEST = 6  # characters: a shorter line is no secret that one could search for
REDACTED = "[secret]"
TOKEN = "a JSON web token"
PRIVATE = ("d", "p", "q", "dp", "dq", "qi")
# Three parts with dots between them, or five where it is encrypted; the first is JSON
# in base64url and so begins with eyJ. RFC 7515 section 3.1 and RFC 7516 section 3.1.
COMPACT = re.compile(
    r"eyJ[\w-]{8,}\.(?:eyJ[\w-]{5,}\.[\w-]*|[\w-]*\.[\w-]{8,}\.[\w-]{4,}\.[\w-]{8,})"
)


@dataclass(frozen=True)
class Secret:
    """One secret: the file that holds it, and the texts that would give it away."""

    name: str
    texts: tuple[str, ...] = field(repr=False)


def secrets(*folders: Path) -> tuple[Secret, ...]:
    """Read every secret in some folders.

    Of a file with several lines each one counts, of a JSON file each text whose key
    says that it is a token, or a private part of a key (RFC 7518, 6.3.2).
    """
    found = []
    for path in (path for folder in folders for path in sorted(folder.glob("*"))):
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            lines = _tokens(text) if path.suffix == ".json" else text.splitlines()
            texts = [line for line in map(str.strip, lines) if _is_secret(line)]
            hidden = [one for text in texts for one in in_base64(text)]
            found.append(Secret(path.name, (*texts, *hidden)))
    return tuple(found)


def in_base64(text: str) -> Iterator[str]:
    """Yield what of a text stands in base64, wherever it begins in what is encoded.

    A character holds 6 bits (RFC 4648, 4), so there are three places to begin at. Those
    at the edges hold bits of what is before and after, and are left out.
    """
    for before in range(3):
        data = bytes(before) + text.encode()
        coded = base64.b64encode(data).decode().rstrip("=")
        inner = coded[(0, 2, 3)[before] : len(data) * 8 // 6]
        yield from {inner, inner.translate(str.maketrans("+/", "-_"))}


def _tokens(text: str) -> list[str]:
    """Return what a file of tokens or a key keeps to itself, by the names within."""
    try:
        kept = json.loads(text)
    except json.JSONDecodeError:  # a file that is being written holds no whole token
        return []
    values = {key: value for key, value in kept.items() if isinstance(value, str)}
    return [v for k, v in values.items() if k.endswith("_token") or k in PRIVATE]


def names(text: str, known: Sequence[Secret]) -> list[str]:
    """Name the secrets that a text shows, tokens of any kind among them."""
    shown = [one.name for one in known if any(t in text for t in one.texts)]
    return [*shown, TOKEN] if COMPACT.search(text) else shown


def in_notebook(notebook: Mapping, known: Sequence[Secret]) -> list[str]:
    """Say which cells of a notebook show which secrets, a phrase each."""
    found = []
    for number, cell in numbered(notebook):
        text = "\n".join(_texts(cell))
        found += [f"cell {number} shows {name}" for name in names(text, known)]
    return found


def in_files(folder: Path, known: Sequence[Secret]) -> list[str]:
    """Say which files of a run's folder show which secrets, a phrase each."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix != ".ipynb":
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{path.name} shows {name}" for name in names(text, known)]
    return found


def redacted(value: Any, known: Sequence[Secret]) -> Any:
    """Return a value of JSON with every secret in its texts replaced."""
    if isinstance(value, str):
        for text in sorted((t for one in known for t in one.texts), key=len)[::-1]:
            value = value.replace(text, REDACTED)
        return COMPACT.sub(REDACTED, value)
    if isinstance(value, list):
        return [redacted(item, known) for item in value]
    if isinstance(value, dict):
        return {key: redacted(item, known) for key, item in value.items()}
    return value


def redact_files(folder: Path, known: Sequence[Secret]) -> None:
    """Take the secrets out of a run's files, so that nobody publishes them later."""
    for path in folder.iterdir():
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".ipynb":
            text = json.dumps(redacted(json.loads(text), known), indent=1)
        else:
            text = redacted(text, known)
        path.write_text(text, encoding="utf-8")


def _is_secret(line: str) -> bool:
    """Say whether a line could be a secret; the frame of a PEM file is none."""
    return len(line) >= SHORTEST and not line.startswith("-----")


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a cell; a source in several lines is one text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        joined = all(isinstance(item, str) for item in value)
        yield from ["".join(value)] if joined else _all(value)
    elif isinstance(value, Mapping):
        yield from _all(value.values())


def _all(values: Any) -> Iterator[str]:
    for value in values:
        yield from _texts(value)
