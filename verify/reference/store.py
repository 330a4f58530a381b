"""The committed answers, one JSON file a subject: read, write, compare.

Pages are built from these files where no library is installed, so nothing here imports
one.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path("receipts", "reference")
ALGORITHMS = ("sft", "osft", "lora_sft")
SUBJECTS = (*ALGORITHMS, "names", "renames")
SCHEMA = 1


class AnswersError(ValueError):
    """The committed answers are missing or of another kind."""


def path(root: Path, subject: str) -> Path:
    """Return where the answers to a subject lie."""
    return root / FOLDER / f"{subject}.json"


def load(root: Path, subject: str) -> dict[str, Any]:
    """Read the answers to a subject.

    Raises
    ------
    AnswersError
        If there are none, or they are of another schema.
    """
    file = path(root, subject)
    if not file.exists():
        raise AnswersError(
            f"{FOLDER / file.name} is missing: python3 noxfile.py -s reference makes it"
        )
    data = json.loads(file.read_text(encoding="utf-8"))
    if data.get("schema") != SCHEMA:
        raise AnswersError(
            f"{FOLDER / file.name} is not of schema {SCHEMA}: "
            "python3 noxfile.py -s reference makes it anew"
        )
    return data


def as_text(data: Mapping[str, Any]) -> str:
    """Return answers as JSON that differs in as few lines as they do."""
    whole = {"schema": SCHEMA, **data}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def save(root: Path, subject: str, data: Mapping[str, Any]) -> bool:
    """Write answers beside and move them into place; say whether they changed."""
    file, text = path(root, subject), as_text(data)
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(file.name + ".part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, file)
    return True


def difference(root: Path, subject: str, data: Mapping[str, Any]) -> list[str]:
    """Return the lines of a unified diff from the committed answers to these."""
    name = str(FOLDER / f"{subject}.json")
    old = as_text(load(root, subject)).splitlines()
    new = as_text(data).splitlines()
    return list(
        difflib.unified_diff(old, new, f"committed/{name}", f"installed/{name}", "", "")
    )


def without_versions(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return answers without the versions that gave them."""
    left_out = ("versions", "schema")
    return {name: value for name, value in data.items() if name not in left_out}
