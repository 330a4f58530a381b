"""Computes a run's key, so that a result is reused only while all under it stands.

The key covers the code cells, every module of ``snippets`` that they can reach,
fixtures, injected parameters, the locked versions of what they import, and the
profile. It leaves out prose, outputs, cell ids and metadata, save the two tags that
change what runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify import imports, versions
from verify.catalog import Entry
from verify.source import CatalogError, code_cells, read_notebook
from verify.standalone import build

NOT_FIXTURES = {"__pycache__", ".ipynb_checkpoints", ".DS_Store", "node_modules"}
SANDBOX = ("verify/sandbox", ".ci/locks/sandbox.txt")
SERVER = "mlflow"  # what the sandbox serves, from the notebooks' own lock


@dataclass(frozen=True)
class Key:
    """What a run depends on: one digest, and the parts that it was made from.

    Attributes
    ----------
    digest : str
        The sha256 over all parts.
    parts : mapping
        ``code``: one digest a code cell; ``snippets`` and ``fixtures``: one a file or
        folder; ``parameters``: the injected values; ``versions``: one a package;
        ``profile``: its name; ``standalone``, for a profile that runs the standalone
        copy: the digest of that copy's code; ``sandbox``, for a profile that needs it:
        one digest a file of the sandbox and its lock.
    """

    digest: str
    parts: Mapping[str, Any]


def key(notebook_path: Path | str, entry: Entry, profile: str) -> Key:
    """Compute the key of one notebook under one profile.

    Parameters
    ----------
    notebook_path : path
        The source notebook, with or without outputs.
    entry : Entry
        Its catalog entry; ``entry.root`` is where modules and fixtures are looked up.
    profile : str
        The profile's name in the catalog.

    Raises
    ------
    CatalogError
        When the notebook is not readable, or a profile or fixture does not exist.
    """
    if profile not in entry.profiles:
        known = ", ".join(entry.profiles)
        raise CatalogError(f"{entry.name} has no profile {profile!r}; it has: {known}")
    cells = code_cells(read_notebook(notebook_path))
    reached = imports.reach(entry.root, [source for source, _ in cells])
    packages = {*reached.packages, *entry.packages}
    sandbox = "sandbox" in entry.profiles[profile].needs
    packages |= {SERVER} if sandbox else set()
    parts = {
        "code": [_sha(_canonical(cell)) for cell in cells],
        "snippets": {m: _file_sha(entry.root / m) for m in sorted(reached.modules)},
        "fixtures": _fixtures(entry),
        "parameters": dict(entry.profiles[profile].parameters),
        "versions": versions.locked(entry.root, packages),
        "profile": profile,
    }
    if entry.profiles[profile].alone:
        again = entry.profiles[profile].again
        told = [build.code(entry), again] if again else build.code(entry)
        parts["standalone"] = _sha(_canonical(told))
    if sandbox:
        parts["sandbox"] = _sandbox(entry.root)
    return Key(_sha(_canonical(parts)), parts)


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Name what differs between two keys' parts, in words a maintainer can act on."""
    found = []
    if before.get("code") != after["code"]:
        found.append("the notebook's code cells")
    if before.get("parameters") != after["parameters"]:
        found.append("the injected parameters")
    if before.get("standalone") != after.get("standalone") and not found:
        found.append("the code of the standalone copy")
    for part in ("snippets", "fixtures", "sandbox"):
        found += _differing(before.get(part, {}), after.get(part, {}))
    old, new = before.get("versions", {}), after["versions"]
    for name in _differing(old, new):
        move = f"{old.get(name, 'none')} to {new.get(name, 'none')}"
        found.append(f"the locked version of {name} ({move})")
    return found


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _fixtures(entry: Entry) -> dict[str, str]:
    """Map each fixture to one sha256 over its files' names and bytes."""
    found = {}
    for fixture in entry.fixtures:
        path = entry.root / fixture
        if not path.exists():
            raise CatalogError(f"{entry.name}: fixture {fixture} does not exist")
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        content = {
            file.relative_to(path).as_posix(): _file_sha(file)
            for file in files
            if file.is_file() and not NOT_FIXTURES & set(file.parts)
        }
        found[fixture] = _sha(_canonical(content))
    return found


def _sandbox(root: Path) -> dict[str, str]:
    """Map each file that the sandbox is made of, and its lock, to its sha256."""
    found = {}
    for place in SANDBOX:
        path = root / place
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and not NOT_FIXTURES & set(file.parts):
                found[file.relative_to(root).as_posix()] = file_digest(file)
    return found


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def text_digest(value: Any) -> str:
    """Return the sha256 of a value that JSON can hold, whatever the order of keys."""
    return _sha(_canonical(value))


def _file_sha(path: Path) -> str:
    return file_digest(path) if path.is_file() else "absent"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
