"""Knows how each tool of the bench is called, and where it shows what it printed."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verify.bench.clock import BenchError, Done, say, timed
from verify.bench.handbook import REPOSITORY, Handbook

SILENT = "Kernel didn't respond in 60 seconds"  # what jupyter_client says
JCACHE_ADD = """
import sys
from jupyter_cache import get_cache
cache = get_cache(".jupyter_cache")
for path in sys.argv[1:]:
    cache.add_nb_to_project(path)
"""
JCACHE_API = """
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
cache = get_cache(".jupyter_cache")
load_executor("local-serial", cache).run_and_cache()
"""
JCACHE_SHOW = """
from jupyter_cache import get_cache
cache = get_cache(".jupyter_cache")
for record in cache.list_project_records():
    source = cache.get_project_notebook(record.pk).nb
    for cell in cache.merge_match_into_notebook(source)[1].cells:
        for output in cell.get("outputs", []):
            print(output.get("text", ""))
"""
NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
source, target = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
NotebookClient(notebook, timeout=120).execute()
nbformat.write(notebook, target)
"""
PARSE = """
import sys, time
from pathlib import Path
from verify.mdx import translate
text = Path(sys.argv[1]).read_text(encoding="utf-8")
began, busy = time.perf_counter(), time.process_time()
page = translate(text)
print(time.perf_counter() - began, time.process_time() - busy)
sys.exit("\\n".join(error.what for error in page.errors) or None)
"""
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"


@dataclass(frozen=True)
class Shown:
    """What one tool shows: each notebook's answer, and the moment at which it ran."""

    answers: dict[str, int]
    moments: dict[str, int]

    @classmethod
    def of(cls, text: str, book: Handbook, tool: str) -> Shown:
        """Find the printed lines in a text; raise BenchError where one is missing."""
        answers, moments = {}, {}
        for name in book.names:
            answer = re.findall(rf"{name} answers (\d+)", text)
            moment = re.findall(rf"{name} ran at (\d+)", text)
            if not answer or not moment:
                raise BenchError(f"{tool} shows no output of {name}")
            answers[name], moments[name] = int(answer[-1]), int(moment[-1])
        return cls(answers, moments)


@dataclass(frozen=True)
class Verify:
    """The command of this project, on a handbook."""

    book: Handbook
    name = "verify"

    def run(self, names: Sequence[str] = (), *words: str) -> float:
        """Run notebooks, all by default; return seconds."""
        where = ["--root", str(self.book.root)]
        command = [sys.executable, "-m", "verify", *where, "run", *words, *names]
        return timed(command, REPOSITORY, PYTHONPATH=str(REPOSITORY)).seconds

    def forget(self) -> None:
        """Drop everything that earlier runs left."""
        shutil.rmtree(self.book.root / "_build", ignore_errors=True)

    def shown(self) -> Shown:
        """Read the executed copies, which the pages are built from."""
        folder = self.book.root / "_build/executed/notebooks"
        texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")]
        return Shown.of("\n".join(texts), self.book, self.name)


@dataclass(frozen=True)
class JupyterCache:
    """jupyter-cache by itself: its command line, and its Python calls."""

    book: Handbook
    name = "jupyter-cache"

    def add(self) -> None:
        """Make a project of all notebooks."""
        files = [f"notebooks/{name}.ipynb" for name in self.book.names]
        self._timed(sys.executable, "-c", JCACHE_ADD, *files)

    def run(self, *words: str) -> float:
        """Execute what the cache lacks, from the command line; return seconds."""
        return self._timed(_script("jcache"), "project", "execute", *words).seconds

    def run_by_calls(self) -> float:
        """Do the same by the Python calls, in a fresh process; return seconds."""
        return self._timed(sys.executable, "-c", JCACHE_API).seconds

    def shown(self) -> Shown:
        """Merge the cached outputs into the sources, as its users do."""
        text = self._timed(sys.executable, "-c", JCACHE_SHOW).text
        return Shown.of(text, self.book, self.name)

    def _timed(self, *command: str):
        return timed(command, self.book.root, PYTHONPATH=str(self.book.root))


@dataclass(frozen=True)
class JupyterBook:
    """Jupyter Book with ``execute_notebooks: cache``, in its own environment."""

    book: Handbook
    python: str
    name = "jupyter-book"

    def run(self) -> float:
        """Build all pages, reading every source again; return seconds."""
        inputs = ["--all", "--path-output", "_jupyter_book"]
        command = [self.python, "-c", JUPYTER_BOOK, "build", ".", *inputs]
        return timed(command, self.book.root, PYTHONPATH=str(self.book.root)).seconds

    def shown(self) -> Shown:
        """Read the pages, as a reader does."""
        folder = self.book.root / "_jupyter_book/_build/html/notebooks"
        texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.html")]
        return Shown.of("\n".join(texts), self.book, self.name)


def nbmake(book: Handbook, names: Sequence[str]) -> float:
    """Run notebooks with ``pytest --nbmake -n 2``; return seconds.

    A kernel that never answers fails its run after a minute; such a run has no time,
    and is made again once.
    """
    files = [f"notebooks/{name}.ipynb" for name in names]
    command = [sys.executable, "-m", "pytest", "--nbmake", "-n", "2", "-q", *files]
    try:
        return timed(command, book.root, PYTHONPATH=str(book.root)).seconds
    except BenchError as error:
        if SILENT not in str(error):
            raise
    say("a kernel of nbmake's never answered: that run does not count")
    return timed(command, book.root, PYTHONPATH=str(book.root)).seconds


def nbclient(book: Handbook, name: str) -> float:
    """Run one notebook with nothing but nbclient; return seconds."""
    place = book.root / "_build/bare"
    place.mkdir(parents=True, exist_ok=True)
    source = book.root / "notebooks" / f"{name}.ipynb"
    files = [str(source), str(place / source.name)]
    command = [sys.executable, "-c", NBCLIENT, *files]
    return timed(command, book.root, PYTHONPATH=str(book.root)).seconds


def book(root: Path, python: str) -> Done:
    """Build a book from nothing, as ``nox -s book`` does: a warning is an error."""
    out = root / "_build"
    shutil.rmtree(out, ignore_errors=True)
    inputs = ["--config", "book.yml", "--toc", "docs/_toc.yml"]
    strict = ["-W", "-n", "--keep-going", "--path-output", str(out)]
    command = [python, "-c", JUPYTER_BOOK, "build", ".", *inputs, *strict]
    return timed(command, root, PYTHONPATH=str(REPOSITORY))


def blocks(python: str) -> Done:
    """Check every code block of this repository's book."""
    command = [python, "-m", "verify.blocks"]
    return timed(command, REPOSITORY, PYTHONPATH=str(REPOSITORY))


def parse(file: Path, python: str) -> Done:
    """Read a file of MDX; the times are those of the reading, without the imports."""
    command = [python, "-c", PARSE, str(file)]
    done = timed(command, REPOSITORY, PYTHONPATH=str(REPOSITORY))
    seconds, cpu = map(float, done.text.split())
    return Done(seconds, done.text, cpu)


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts"), name))
