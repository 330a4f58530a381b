"""Builds small handbooks in temporary folders and runs the real command on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

LOCKED = ("nbformat", "packaging")
REPOSITORY = Path(__file__).resolve().parents[2]
PROOF = '''
"""Stands in for snippets.proof: records an outcome the way notebooks do."""

from IPython.display import display

MIME = "application/vnd.handbook.outcome+json"


def record(name, value):
    """Emit one outcome."""
    text = f"recorded {name} = {value}"
    bundle = {MIME: {"name": name, "value": value}, "text/plain": text}
    display(bundle, raw=True)
'''


@dataclass(frozen=True)
class Done:
    """What one command printed and how it ended."""

    code: int
    text: str


@dataclass(frozen=True)
class Handbook:
    """A temporary repository with notebooks, a catalog and snippets."""

    root: Path

    def notebook(self, name: str, *cells: str | tuple[str, str]) -> Path:
        """Write a notebook: a text is a code cell, (tag, text) a tagged one, a text
        that opens with '# ' and a capital letter is prose."""
        made = [_cell(number, cell) for number, cell in enumerate(cells)]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.root / "notebooks" / f"{name}.ipynb"
        data = {
            "cells": made,
            "metadata": {"kernelspec": kernel},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path.write_text(json.dumps(data, indent=1), encoding="utf-8")
        return path

    def catalog(self, **entries: Mapping[str, Any]) -> None:
        """Write the catalog; what an entry leaves out gets a plain value."""
        plain = {"time_limit": 600, "profiles": {"cpu": {}}, "expect": {}}
        notebooks = {
            name.replace("_", "-"): {"title": name, **plain, **entry}
            for name, entry in entries.items()
        }
        text = yaml.safe_dump({"notebooks": notebooks}, sort_keys=False)
        (self.root / "notebooks" / "catalog.yml").write_text(text, encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """Write any file of the repository."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start the command as a shell would."""
        return subprocess.Popen(
            [sys.executable, "-m", "verify", "--root", str(self.root), *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def verify(self, *arguments: str) -> Done:
        """Run the command to its end."""
        process = self.start(*arguments)
        text, _ = process.communicate(timeout=900)
        return Done(process.returncode, text)

    def receipt(self, name: str, profile: str = "cpu") -> dict[str, Any]:
        """Read a receipt as any consumer would."""
        path = self.root / "_build" / "receipts" / f"{name}.{profile}.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def executed(self, name: str) -> Path:
        """Return the place of an executed copy."""
        return self.root / "_build" / "executed" / "notebooks" / f"{name}.ipynb"

    def failed(self, name: str) -> Path:
        """Return the place of what a failed run left."""
        return self.root / "_build" / "failed" / f"{name}.ipynb"


@pytest.fixture(scope="session")
def make_handbook(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Handbook]:
    """Makes an empty handbook, with a ``record`` function and a lock, at each call."""
    return lambda: _new_handbook(tmp_path_factory.mktemp("handbook"))


@pytest.fixture
def handbook(make_handbook: Callable[[], Handbook]) -> Handbook:
    """An empty handbook for one test."""
    return make_handbook()


def _new_handbook(root: Path) -> Handbook:
    made = Handbook(root)
    made.write("snippets/__init__.py", '"""Snippets."""\n')
    made.write("snippets/proof.py", PROOF)
    pins = [f"{name}=={metadata.version(name)}\n" for name in LOCKED]
    made.write(".ci/locks/notebooks.txt", "".join(pins))
    (made.root / "notebooks").mkdir()
    return made


def _cell(number: int, cell: str | tuple[str, str]) -> dict[str, Any]:
    tag, source = cell if isinstance(cell, tuple) else (None, cell)
    common = {
        "id": f"cell-{number}",
        "metadata": {"tags": [tag]} if tag else {},
        "source": source.splitlines(keepends=True),
    }
    if source.startswith("# ") and source[2].isupper():
        return {"cell_type": "markdown", **common}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **common}
