"""Checks pages of a small repository: one module of snippets, two sessions."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from verify.blocks import checking
from verify.blocks.found import Setting

TOOLS = os.environ.get("HANDBOOK_TOOLS_PYTHON")
TRAINER = os.environ.get("HANDBOOK_TRAINER_PYTHON")
NO_TOOLS = "no Python with shellcheck and schemas is named: HANDBOOK_TOOLS_PYTHON"
MODULE = '''"""Says hello."""

from dataclasses import dataclass


@dataclass
class Door:
    """A door."""

    width: int
    open: bool = False


def hello(name: str, *, loud: bool = False) -> str:
    """Greet."""
    return name
'''
NOXFILE = '''"""Sessions."""
import nox


@nox.session
def book(session):
    """Build."""


def helper():
    pass
'''


@dataclass
class Small:
    """A small repository, whose pages are checked as those of the book are."""

    root: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def notebook(self, name: str, *cells: str) -> Path:
        """Write a notebook of Markdown cells."""
        rows = [{"cell_type": "markdown", "source": cell} for cell in cells]
        return self.write(name, json.dumps({"cells": rows}))

    def setting(self, **given: object) -> Setting:
        """Return where the checks run; without tools, their place is empty."""
        places = {"tools": TOOLS or "/nowhere/python", "platform": TRAINER or "none"}
        return Setting(self.root, **{**places, "notebooks": sys.executable, **given})

    def check(self, *files: Path, **given: object) -> checking.Result:
        """Check pages."""
        return checking.check(files, self.setting(**given))

    def said(self, text: str, name: str = "page.md", **given: object) -> list[str]:
        """Check one page and return its problems as they are printed."""
        result = self.check(self.write(name, text), **given)
        return [str(problem) for problem in result.problems]


@pytest.fixture
def small(tmp_path):
    """Make the small repository."""
    made = Small(tmp_path)
    made.write("snippets/__init__.py", '"""Snippets."""\n')
    made.write("snippets/greet.py", MODULE)
    made.write("noxfile.py", NOXFILE)
    return made


@pytest.fixture
def tools():
    """Skip where no environment holds shellcheck and the schemas."""
    if not (TOOLS and TRAINER):
        pytest.skip(NO_TOOLS)
