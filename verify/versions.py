"""Says which locked versions a notebook rests on, and whether those are installed.

The locks list one pin a line. ``requires.yml`` beside them tells which package asked
for which, so that a change in ``tokenizers`` is a change under ``transformers``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

LOCKS = ".ci/locks"
FILES = ("torch.txt", "notebooks.txt")
REQUIRES = "requires.yml"
HASHED = "hashed/notebooks.txt"  # notebooks.txt with the sha256 of every file
KERNEL = "ipykernel"  # what every run goes through
NOT_LOCKED = "not locked"
PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==([^\s;]+)(?:\s*;\s*(.+))?")

# Import name -> distribution, where they differ by more than the sign between words.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "dateutil": "python-dateutil",
    "instructlab": "instructlab-training",
    "mini_trainer": "rhai-innovation-mini-trainer",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def locked(root: Path, packages: Iterable[str]) -> dict[str, str]:
    """Return the locked versions of packages and of everything they require.

    Parameters
    ----------
    root : Path
        The repository root.
    packages : iterable of str
        Import names or distribution names; the notebooks' kernel counts always.

    Returns
    -------
    dict
        Distribution to version, sorted. Where a version depends on the platform, all
        of them with their conditions. ``"not locked"`` for what no lock has.
    """
    pins = _pins(root)
    waiting = {distribution(name) for name in packages}
    waiting |= {KERNEL} & set(pins)
    requires = _requires(root)
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = pins.get(name, NOT_LOCKED)
            waiting |= requires.get(name, set()) & set(pins)
    return dict(sorted(found.items()))


def installed(versions: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return what is installed of locked versions, and what differs, a sentence each.

    A package that the lock holds for another platform only may be absent.
    """
    from importlib import metadata  # 20 ms that most commands need not spend

    found = {}
    for name in versions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found, differing(versions, found)


def differing(versions: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Say, a sentence each, where what was found is not what is locked."""
    said = []
    for name, wanted in versions.items():
        if wanted == NOT_LOCKED:
            continue
        choices = [choice.split(";")[0].strip() for choice in wanted.split("|")]
        if name not in found and ";" not in wanted:
            said.append(f"{name} {wanted} is locked and not installed")
        elif name in found and found[name].split("+")[0] not in choices:
            said.append(f"{name} {found[name]} is installed, {wanted} is locked")
    return said


def distribution(name: str) -> str:
    """Return the distribution that brings an import name, in its normal spelling."""
    return re.sub(r"[-_.]+", "-", DISTRIBUTIONS.get(name, name)).lower()


def _pins(root: Path) -> dict[str, str]:
    return _read_pins("\n".join(_text(root / LOCKS / file) for file in FILES))


def _requires(root: Path) -> dict[str, set[str]]:
    return _read_requires(_text(root / LOCKS / REQUIRES))


@cache
def _read_pins(text: str) -> dict[str, str]:
    pins: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = PIN.fullmatch(line.strip())
        if found:
            name, version, marker = found.groups()
            pin = f"{version} ; {marker}" if marker else version
            pins.setdefault(distribution(name), []).append(pin)
    return {name: " | ".join(versions) for name, versions in pins.items()}


@cache
def _read_requires(text: str) -> dict[str, set[str]]:
    """Read ``name: what it requires``, one package a line."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    rows = [line.split(":") for line in lines]
    return {name: set(needed.split()) for name, needed in rows}


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
