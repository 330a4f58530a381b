"""Makes small books in temporary folders and builds them with the real Jupyter Book."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from verify import catalog, digest, history, outcomes, receipts
from verify.source import published_parameters, read_notebook

REPOSITORY = Path(__file__).resolve().parents[2]
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfz0AEYBxVSF+F"
    "AAhKDveksOjmAAAAAElFTkSuQmCC"
)
MODULE = '''"""Greets."""

LIMIT = 3


# region: greeting
def hello(name: str) -> str:
    """Return a greeting."""
    # region: inner
    return f"Hello, {name}"
    # endregion: inner


# endregion: greeting


class Door:
    """Opens."""

    @property
    def open(self) -> bool:
        """Whether it is open."""
        return True


def twice() -> int:
    """Return one."""
    return 1


def twice() -> int:  # noqa: F811
    """Return two."""
    return 2


# region: both
def both() -> None:
    """Do nothing."""


# endregion: both
'''


@dataclass(frozen=True)
class Built:
    """What a build printed, how it ended and where the site is."""

    code: int
    log: str
    site: Path

    def lines(self, text: str) -> list[str]:
        """Return the lines of the log that hold a text."""
        return [line for line in self.log.splitlines() if text in line]

    def html(self, page: str) -> str:
        """Return one built page."""
        return (self.site / f"{page}.html").read_text(encoding="utf-8")


class Cells:
    """The cells and outputs that notebooks of these tests are made of."""

    @staticmethod
    def code(source: str, *tags: str) -> dict[str, Any]:
        """Return a code cell without outputs."""
        return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}}

    @staticmethod
    def prose(source: str) -> dict[str, Any]:
        """Return a Markdown cell."""
        return {"cell_type": "markdown", "source": source}

    @staticmethod
    def outcome(name: str, value: Any) -> dict[str, Any]:
        """Return the output that ``record(name, value)`` leaves."""
        return _display({outcomes.MIME: {"name": name, "value": value}})

    @staticmethod
    def text(text: str) -> dict[str, Any]:
        """Return a printed output."""
        return {"output_type": "stream", "name": "stdout", "text": text}

    @staticmethod
    def html(text: str) -> dict[str, Any]:
        """Return an HTML output."""
        return _display({"text/html": text})

    @staticmethod
    def image(alt: str | None) -> dict[str, Any]:
        """Return an image output, with or without its text."""
        return _display(
            {"image/png": PIXEL}, {"image/png": {"alt": alt}} if alt else {}
        )


def _display(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> dict:
    bundle = {"text/plain": "plain", **data}
    return {"output_type": "display_data", "data": bundle, "metadata": metadata or {}}


@dataclass
class Book(Cells):
    """A project with its own pages and notebooks, and this repository's extension."""

    root: Path
    python: str
    pages: list[str] = field(default_factory=list)
    entries: dict[str, Any] = field(default_factory=dict)

    def write(self, path: str, text: str) -> Path:
        """Write any file of the project."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def page(self, name: str, text: str) -> None:
        """Write a Markdown page and list it in the contents."""
        self.write(f"docs/{name}.md", text)
        self.pages.append(f"docs/{name}")

    def notebook(self, name: str, *cells: dict[str, Any], **entry: Any) -> None:
        """Write a notebook source, its catalog entry and its place in the contents."""
        data = notebook_of([self.prose(f"# Notebook {name}"), *cells])
        self.write(f"notebooks/{name}.ipynb", json.dumps(data))
        plain = {"title": f"Notebook {name}", "time_limit": 60, "expect": {}}
        self.entries[name] = {**plain, "profiles": {"cpu": {}}, **entry}
        text = yaml.safe_dump({"notebooks": self.entries}, sort_keys=False)
        self.write("notebooks/catalog.yml", text)
        self.pages.append(f"notebooks/{name}")

    def ran(self, name: str, outputs: list[dict] = (), **facts: Any) -> None:
        """Leave behind what a run leaves: the executed copy and the receipt.

        Stands in for ``python -m verify run``, which needs a kernel and seconds.
        """
        entry = catalog.load(self.root).entry(name)
        profile = facts.pop("profile", "cpu")
        executed = read_notebook(entry.path)
        code = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
        code[-1]["outputs"] = list(outputs)
        copy = receipts.executed_path(self.root, name, profile)
        receipts.write_text(copy, json.dumps(executed))
        receipt = receipt_of(entry, profile, copy, executed, facts)
        receipts.write(receipts.receipt_path(self.root, name, profile), receipt)
        history.remember(self.root, receipt)

    def skipped(self, name: str, profile: str = "cpu") -> None:
        """Leave behind what a skipped run leaves: a receipt, and no executed copy."""
        skip = catalog.load(self.root).entry(name).profiles[profile].skip
        told = skip.told("the test's machine has none")
        facts = {"skip": told, "reason": "it is skipped", "executed_digest": None}
        nothing = {"outcomes": (), "slowest_cells": [], "peak_rss_gib": None}
        self.ran(name, profile=profile, status="skipped", **facts, **nothing)
        receipts.executed_path(self.root, name, profile).unlink()

    def commit(self) -> str:
        """Commit all files; return the short hash."""
        git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com"]
        if not (self.root / ".git").exists():
            self.write(".gitignore", "_build/\n__pycache__/\n")
            self._git("init", "--quiet")
        self._git("add", "--all")
        subprocess.run([*git, "commit", "-qm", "x"], cwd=self.root, check=True)
        return self._git("rev-parse", "--short", "HEAD")

    def _git(self, *arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def build(self) -> Built:
        """Build the site the way the front door does, with warnings as errors."""
        chapters = [{"file": page} for page in self.pages]
        toc = {"format": "jb-book", "root": "docs/index"}
        toc |= {"chapters": chapters} if chapters else {}
        self.write("docs/_toc.yml", yaml.safe_dump(toc))
        run = "from jupyter_book.cli.main import main; main()"
        inputs = ["--config", "book.yml", "--toc", "docs/_toc.yml"]
        strict = ["-W", "-n", "--keep-going", "--path-output", "_build/stage"]
        done = subprocess.run(
            [self.python, "-c", run, "build", ".", *inputs, *strict],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root), "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        site = self.root / "_build/stage/_build/html"
        return Built(done.returncode, done.stdout, site)


DEVICE = {
    "kind": "cpu",
    "name": "Test CPU",
    "cores": 2,
    "memory_gib": 8.0,
    "flags": ["avx2"],
    "system": "Linux x86_64",
}


def notebook_of(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a valid notebook of these cells."""
    made = []
    for number, cell in enumerate(cells):
        whole = {"id": f"cell-{number}", "metadata": {}, **cell}
        if cell["cell_type"] == "code":
            whole |= {"outputs": [], "execution_count": None}
        made.append(whole)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def receipt_of(
    entry: catalog.Entry, profile: str, copy: Path, executed: dict, facts: dict
) -> receipts.Receipt:
    """Return the receipt of a run that went well, changed by the given facts."""
    key = digest.key(entry.path, entry, profile)
    injected = dict(entry.profiles[profile].parameters)
    judged = outcomes.judge(outcomes.collect(executed), entry.expect)
    slow = {"cell": 2, "seconds": 3.0, "source": "work()"}
    published = published_parameters(executed)
    plain = {
        "notebook": entry.name,
        "profile": profile,
        "status": "passed",
        "reason": None,
        "failure": None,
        "started": "2026-11-23T20:50:00Z",
        "seconds": 41.0,
        "slowest_cells": [slow],
        "peak_rss_gib": 1.25,
        "commit": "abc1234",
        "dirty": False,
        "key": key.digest,
        "key_parts": dict(key.parts),
        "device": DEVICE,
        "python": platform.python_version(),
        "packages": {"numpy": "2.4.0", "torch": "2.13.0"},
        "parameters": {"published": published, "injected": injected},
        "outcomes": judged,
        "executed_digest": digest.file_digest(copy),
    }
    return receipts.Receipt(**{**plain, **facts})


@pytest.fixture(scope="session")
def book_python() -> str:
    """Return the Python that has Jupyter Book."""
    python = os.environ.get("HANDBOOK_BOOK_PYTHON")
    if not python:
        pytest.skip("HANDBOOK_BOOK_PYTHON is not set: no Python with Jupyter Book")
    return python


@pytest.fixture(scope="session")
def new_book(book_python, tmp_path_factory):
    """Return a function that makes an empty project with this repository's look."""

    def make() -> Book:
        book = Book(tmp_path_factory.mktemp("book"), book_python)
        no_cache = shutil.ignore_patterns("__pycache__")
        for folder in ("verify", "docs/_static", "docs/_templates"):
            target = book.root / folder
            shutil.copytree(REPOSITORY / folder, target, ignore=no_cache)
        shutil.copy(REPOSITORY / "book.yml", book.root)
        book.write(".ci/locks/notebooks.txt", "torch==2.13.0\n")
        book.write("snippets/__init__.py", '"""Snippets."""\n')
        book.write("snippets/greet.py", MODULE)
        test = "from snippets.greet import hello\n\nassert hello('you')\n"
        book.write("tests/snippets/test_greet.py", test)
        book.write("docs/index.md", "# Home\n\nWelcome.\n")
        return book

    return make


@pytest.fixture(scope="session")
def good_book(new_book) -> Book:
    """Return a book in which everything holds, with one of each thing."""
    book = new_book()
    judged = {"match": {"min": 0.95, "why": "it learned"}, "same": {"equals": True}}
    profiles = {"cpu": {"parameters": {"rank": 4}}, "cuda": {"needs": ["cuda"]}}
    book.notebook(
        "tiny",
        book.code("rank = 16\nsteps = 100", "parameters"),
        book.prose("Prose, and {outcome}`tiny:match|.3f`."),
        book.code("from snippets.greet import hello\nhello('you')"),
        expect=judged,
        profiles=profiles,
        packages=["torch"],
        unproven={"rank": "a small one stands in for it"},
        allow_stderr=[{"match": "old name", "why": "the library warns itself"}],
    )
    judged_outputs = [book.outcome("match", 0.9876), book.outcome("same", True)]
    others = [book.outcome("shown", [1, 2]), book.text("Hello, you\n")]
    images = [book.image("A single pixel"), book.html(FIGURE)]
    shown = [*judged_outputs, *others, *images]
    said = {"cell": 3, "text": "old name: use the new one", "allowed": None}
    book.ran("tiny", shown, started="2026-11-20T08:00:00Z", seconds=104.0)
    book.ran("tiny", shown, stderr=(said,))
    book.page("guide", GUIDE)
    book.page("machines", "# Machines\n\n```{machines}\n```\n")
    return book


FIGURE = (
    f'<figure><img alt="A drawn pixel" src="data:image/png;base64,{PIXEL}"></figure>'
)
GUIDE = """# Guide

```{verified}
```

```{receipts}
```

Exactly {outcome}`tiny:match|.2f` in {receipt}`tiny:duration` on {receipt}`tiny:device`.

```{snippet} snippets/greet.py#hello
:caption: Greet someone
```

```{snippet} snippets/greet.py#region:inner
```

```{snippet} snippets/greet.py#Door.open
```

```{snippet} snippets/greet.py#LIMIT
```
"""


@pytest.fixture(scope="session")
def good_site(good_book) -> Built:
    """Return the built good book."""
    return good_book.build()
