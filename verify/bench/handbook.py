"""Makes the small handbook that every tool of the bench runs, so that all run the same.

Half of its notebooks import one module, half another, as pages share snippets. Each
prints an answer that depends on its module, and the moment at which it ran.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = ("alpha", "beta")
WAITS = (2.0, 3.0, 2.5, 1.5, 3.0, 2.0, 2.5, 1.5, 2.0, 2.5)
MODULE = '''"""Answers."""


def answer():
    """Answer."""
    return {value}
'''
IMPORTS = """import time

from snippets import {module}
from snippets.proof import record"""
LOCKS = {  # what is installed where the bench runs, is this handbook's lock
    ".ci/locks/bench.txt": ".ci/locks/notebooks.txt",
    ".ci/locks/requires.yml": ".ci/locks/requires.yml",
}
LOOP = "x = 0\nfor i in range({rounds}):\n    x += i * i % 7"


@dataclass(frozen=True)
class Handbook:
    """A repository in a temporary folder; ``names`` are its notebooks in order."""

    root: Path
    names: tuple[str, ...]

    def answers(self, module: str, value: int) -> None:
        """Write a snippets module whose only function returns ``value``."""
        path = self.root / "snippets" / f"{module}.py"
        path.write_text(MODULE.format(value=value), encoding="utf-8")

    def module_of(self, name: str) -> str:
        """Return the module that a notebook imports."""
        return MODULES[self.names.index(name) % len(MODULES)]

    def right(self, **values: int) -> dict[str, int]:
        """Return the answer each notebook must show when modules return ``values``."""
        return {name: values[self.module_of(name)] for name in self.names}


def generate(root: Path, loads: Sequence[str]) -> Handbook:
    """Write a handbook with one notebook for each load, a piece of Python source."""
    names = tuple(f"nb-{number:02d}" for number in range(1, len(loads) + 1))
    book = Handbook(root, names)
    for folder in ("snippets", "notebooks", ".ci/locks"):
        (root / folder).mkdir(parents=True)
    (root / "snippets/__init__.py").write_text('"""Snippets."""\n', encoding="utf-8")
    shutil.copy(REPOSITORY / "snippets/proof.py", root / "snippets/proof.py")
    for source, target in LOCKS.items():
        shutil.copy(REPOSITORY / source, root / target)
    for module in MODULES:
        book.answers(module, 1)
    for name, load in zip(names, loads, strict=True):
        cells = _cells(name, book.module_of(name), load)
        write_json(root / "notebooks" / f"{name}.ipynb", _notebook(cells))
    # JSON is YAML too, and needs no library here.
    write_json(root / "notebooks/catalog.yml", {"notebooks": _entries(names)})
    _for_jupyter_book(book)
    _commit(root)
    return book


def waiting(seconds: Sequence[float] = WAITS) -> list[str]:
    """Return loads that wait, as notebooks do for a GPU, a disk or a network."""
    return [f"time.sleep({number})" for number in seconds]


def busy(count: int, rounds: int) -> list[str]:
    """Return equal loads that keep one core busy."""
    return [LOOP.format(rounds=rounds)] * count


def write_json(path: Path, data: object) -> None:
    """Write a file of the handbook."""
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _cells(name: str, module: str, load: str) -> list[dict]:
    prose = {
        "cell_type": "markdown",
        "id": "title",
        "metadata": {},
        "source": f"# Notebook {name}",
    }
    code = [
        IMPORTS.format(module=module),
        load,
        f'print("{name} answers", {module}.answer())',
        f'record("answer", {module}.answer())',
        f'print("{name} ran at", time.time_ns())',
    ]
    empty = {"cell_type": "code", "metadata": {}, "execution_count": None}
    return [
        prose,
        *(
            {**empty, "id": f"cell-{number}", "outputs": [], "source": source}
            for number, source in enumerate(code, 1)
        ),
    ]


def _notebook(cells: list[dict]) -> dict:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _entries(names: Sequence[str]) -> dict[str, dict]:
    entry = {
        "time_limit": 120,
        "profiles": {"cpu": {}},
        "expect": {"answer": {"min": 1}},
    }
    return {name: {"title": f"Notebook {name}", **entry} for name in names}


def _for_jupyter_book(book: Handbook) -> None:
    """Add what Jupyter Book asks for, with its own cache switched on."""
    config = {
        "title": "Bench",
        "only_build_toc_files": True,
        "exclude_patterns": ["_build/**", "_jupyter_book/**"],
        "execute": {"execute_notebooks": "cache", "timeout": 120},
    }
    chapters = [{"file": f"notebooks/{name}"} for name in book.names]
    contents = {"format": "jb-book", "root": "index", "chapters": chapters}
    write_json(book.root / "_config.yml", config)
    write_json(book.root / "_toc.yml", contents)
    (book.root / "index.md").write_text("# Bench\n\nThe bench.\n", encoding="utf-8")


def _commit(root: Path) -> None:
    """Make it a git repository, as every real one is: asking git costs time too."""
    ignored = "_build/\n_jupyter_book/\n.jupyter_cache/\n__pycache__/\n"
    (root / ".gitignore").write_text(ignored, encoding="utf-8")
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Start the bench"]):
        subprocess.run(["git", *who, *words], cwd=root, check=True)
