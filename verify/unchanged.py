"""Answers ``verify run`` in milliseconds when not one byte under it has changed.

A run that reused everything leaves what it said beside one digest over all files that
could have changed its mind: notebooks, snippets, locks, receipts, executed copies and
verify itself. While the digest stays, so does the answer. Otherwise all is judged anew.
Nothing but hashlib, json and os is imported: that is the point.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
UNDER = (
    "notebooks",
    "snippets",
    ".ci/locks",
    "receipts",
    "_build/receipts",
    "_build/executed",
    "pyproject.toml",
    "book.yml",
)
NOT_READ = ("__pycache__", ".ipynb_checkpoints")


def recall(words: list[str]) -> list[str] | None:
    """Return what an earlier, same command said, if all is as it was then; else None.

    Parameters
    ----------
    words : list of str
        The command line. Only ``run`` without ``--force`` is ever recalled.
    """
    root = root_of(words)
    if root is None:
        return None
    try:
        with open(_place(root, words), encoding="utf-8") as file:
            kept = json.load(file)
    except (OSError, ValueError):
        return None
    return kept["said"] if kept["state"] == state(root, words) else None


def remember(words: list[str], before: str | None, said: list[str]) -> None:
    """Keep what a command said that reused everything.

    Parameters
    ----------
    words : list of str
        The command line.
    before : str or None
        The state when the command began; if it moved meanwhile, nothing is kept.
    said : list of str
        The lines that the command printed.
    """
    root = root_of(words)
    if root is None or before is None or state(root, words) != before:
        return
    place = _place(root, words)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    beside = f"{place}.{os.getpid()}.tmp"
    with open(beside, "w", encoding="utf-8") as file:
        json.dump({"state": before, "said": said}, file)
    os.replace(beside, place)


def root_of(words: list[str]) -> str | None:
    """Return the repository of a command that may be recalled, else None."""
    root, rest = ROOT, words
    if words[:1] == ["--root"]:
        root, rest = os.path.abspath(words[1]), words[2:]
    return root if rest[:1] == ["run"] and "--force" not in rest else None


def state(root: str, words: list[str]) -> str:
    """Return one digest over the command and every file that it could depend on."""
    whole = hashlib.sha256(json.dumps([words, sys.version]).encode())
    for folder in (HERE, *(os.path.join(root, name) for name in UNDER)):
        for path in _files(folder):
            with open(path, "rb") as file:
                content = hashlib.sha256(file.read()).digest()
            whole.update(path.encode() + b"\0" + content)
    return whole.hexdigest()


def _files(folder: str) -> list[str]:
    if os.path.isfile(folder):
        return [folder]
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_READ]
        found += [os.path.join(place, name) for name in names]
    return sorted(found)


def _place(root: str, words: list[str]) -> str:
    name = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]
    return os.path.join(root, "_build", "cache", f"unchanged-{name}.json")
