"""Finds the releases in which a name came and went, from wheels nobody installs.

A release is downloaded without what it needs and its source is parsed. The two releases
between which a name appears or disappears are searched by halves, which rests on one
thing: a name does not come back once it is gone. Each answer names both releases.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from packaging.version import Version

from verify.reference.renames import OLDEST, RENAMES, Name


class HistoryError(RuntimeError):
    """The index gave no answer that a history can be read from."""


@dataclass(frozen=True)
class Shelf:
    """A folder of wheels; what is not in it comes from the index that pip is set to."""

    folder: Path

    def releases(self, package: str) -> list[str]:
        """Return the final releases of a package, from the oldest looked at on."""
        command = [sys.executable, "-m", "pip", "index", "versions", package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HistoryError(f"pip index versions {package}: {done.stderr.strip()}")
        listed = done.stdout.partition("Available versions: ")[2].partition("\n")[0]
        found = sorted(Version(word) for word in listed.split(", "))
        oldest = Version(OLDEST[package])
        return [str(v) for v in found if v >= oldest and not v.is_prerelease]

    def wheel(self, package: str, version: str) -> Path:
        """Return the wheel of a release, downloaded when it is not there yet."""
        name = package.replace("-", "_")
        pattern = f"{name}-{version}-*.whl"
        if not list(self.folder.glob(pattern)):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--no-cache-dir", "--only-binary", ":all:", "--dest"]
            command += [str(self.folder), f"{package}=={version}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise HistoryError(f"{package} {version}: {done.stderr.strip()[-300:]}")
        return next(self.folder.glob(pattern))


def ask(shelf: Shelf) -> dict[str, Any]:
    """Return what is known of every rename and the releases it was read from."""
    releases = {package: shelf.releases(package) for package in OLDEST}
    rows = []
    for rename in RENAMES:
        row: dict[str, Any] = {"what": rename.what, "old": str(rename.old)}
        row |= {"package": rename.old.package}
        row |= {"old was": span(shelf, releases, rename.old)}
        if rename.new:
            row |= {"new": str(rename.new), "new is": span(shelf, releases, rename.new)}
        rows.append(row | ({"note": rename.note} if rename.note else {}))
    newest = {package: found[-1] for package, found in releases.items()}
    return {"looked at": {"oldest": OLDEST, "newest": newest}, "renames": rows}


def span(shelf: Shelf, releases: dict[str, list[str]], name: Name) -> dict[str, Any]:
    """Return between which releases a name came and went.

    ``[None, "0.9.2"]`` says that the oldest release looked at has it already, and
    ``["1.15.0", None]`` that the newest one still has it.
    """
    known = releases[name.package]

    def there(at: int) -> bool:
        return has(shelf, name, known[at])

    seen = next(at for at in _probes(len(known)) if there(at))
    came = first(lambda at: there(at), 0, seen)
    gone = first(lambda at: not there(at), seen, len(known))
    return {
        "came": [known[came - 1] if came else None, known[came]],
        "went": [known[gone - 1], known[gone] if gone < len(known) else None],
    }


def _probes(count: int) -> Iterable[int]:
    """Return places to look for a release with a name: the ends, then finer steps."""
    yield from (0, count - 1)
    parts = 2
    while parts <= 2 * count:
        yield from (count * odd // parts for odd in range(1, parts, 2))
        parts *= 2
    raise HistoryError("no release that was looked at has the name")


def first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the first place where something holds that holds ever after; else high."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def has(shelf: Shelf, name: Name, version: str) -> bool:
    """Say whether a release has a field, a parameter, or a class or function."""
    known = definitions(shelf.wheel(name.package, version))
    if name.member is None:
        return name.owner in known
    return name.member in members(known, name.owner)


@cache
def definitions(wheel: Path) -> dict[str, ast.ClassDef | ast.FunctionDef]:
    """Return the top-level classes and functions of the parts that are looked at."""
    found: dict[str, ast.ClassDef | ast.FunctionDef] = {}
    with zipfile.ZipFile(wheel) as archive:
        for inside in archive.namelist():
            if inside.endswith(".py") and _looked_at(inside):
                tree = ast.parse(archive.read(inside))
                for node in tree.body:
                    if isinstance(node, ast.ClassDef | ast.FunctionDef):
                        found.setdefault(node.name, node)
    return found


PARTS = (
    "transformers/training_args.py",
    "transformers/trainer.py",
    "transformers/modeling_utils.py",
    "transformers/utils/quantization_config.py",
    "trl/",
    "peft/",
)


def _looked_at(inside: str) -> bool:
    return inside.startswith(PARTS) and "/tests/" not in inside


def members(known: dict[str, Any], owner: str) -> set[str]:
    """Return the fields and parameters of a class with its bases, or of a function."""
    name, _, method = owner.partition(".")
    node = known.get(name)
    if isinstance(node, ast.FunctionDef):
        return parameters(node)
    if node is None:
        return set()
    found = fields(node, method or "__init__")
    for base in node.bases:
        below = ast.unparse(base).rsplit(".", 1)[-1]
        if below != name and below in known:
            found |= members(known, f"{below}.{method}" if method else below)
    return found


def fields(node: ast.ClassDef, method: str) -> set[str]:
    """Return the annotated fields of a class and the parameters of one method."""
    found: set[str] = set()
    for part in node.body:
        plain = isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
        if plain and method == "__init__":
            found.add(part.target.id)
        if isinstance(part, ast.FunctionDef) and part.name == method:
            found |= parameters(part)
    return found


def parameters(node: ast.FunctionDef) -> set[str]:
    """Return the parameters of a function and the names it takes out of ``kwargs``."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    taken = {
        call.args[0].value
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "kwargs.pop"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    return {argument.arg for argument in every} | taken
