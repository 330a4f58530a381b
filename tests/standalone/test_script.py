"""A download is plain Python: as a script, and for an older Python that opens it."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from verify import catalog
from verify.source import source_of

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    e.name for e in catalog.load(ROOT) if any(p.alone for p in e.profiles.values())
]
FIRST = "standalone-packages"
PATIENCE = 600  # seconds, on a machine that does other things too
TOO_OLD = "RuntimeError: this needs Python 3.11 or newer: choose another kernel"
# Reads files of code and compiles each; what Python only warns of is an error here.
COMPILE = """
import sys, warnings
warnings.simplefilter("error")
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        compile(file.read(), name, "exec")
"""


def upto(notebook: dict[str, Any], cell_id: str) -> dict[str, Any]:
    """Return a notebook that ends with a cell."""
    ids = [cell["id"] for cell in notebook["cells"]]
    assert cell_id in ids, f"no cell {cell_id!r} among {ids}"
    return {**notebook, "cells": notebook["cells"][: ids.index(cell_id) + 1]}


def first_cell(notebook: dict[str, Any]) -> str:
    [found] = [cell for cell in notebook["cells"] if cell["id"] == FIRST]
    return source_of(found)


def converted(
    python: str, folder: Path, notebooks: dict[str, dict[str, Any]], env: dict[str, str]
) -> list[str]:
    """Write notebooks and convert them to scripts; return the names of those."""
    for name, notebook in notebooks.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    command = [python, "-m", "jupyter", "nbconvert", "--log-level", "WARN"]
    command += ["--to", "script", *(f"{name}.ipynb" for name in notebooks)]
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".ipynb")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return an empty folder with a name that careless code trips over."""
    made = tmp_path / "ein leerer Größenordner"
    made.mkdir()
    return made


@pytest.fixture(scope="session")
def code_of(downloads):
    """Return a function that lists all code of a download, that of its modules too."""

    def listed(name: str) -> dict[str, str]:
        found = {}
        for cell in downloads[name]["cells"]:
            if cell["cell_type"] == "code":
                found[cell["id"]] = without_magics(source_of(cell))
        for cell_id in [known for known in found if known.startswith("module-")]:
            [call] = ast.parse(found[cell_id]).body
            module, _, source = map(ast.literal_eval, call.value.args)
            found[module] = source
        return found

    return listed


def without_magics(source: str) -> str:
    return re.sub(r"^( *)%pip .*$", r"\1pass", source, flags=re.MULTILINE)


def interpreter(minor: int) -> str:
    """Return a Python 3.x of this machine that starts, from path or pyenv, or skip."""
    name = f"python3.{minor}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = sorted(map(str, pyenv.glob(f"versions/3.{minor}.*/bin/{name}")))
    ask = ["-I", "-c", "import sys; print(sys.version_info[1])"]
    for path in filter(None, [shutil.which(name), *kept]):
        done = subprocess.run([path, *ask], capture_output=True, text=True)
        if done.stdout.strip() == str(minor):
            return path
    pytest.skip(f"no Python 3.{minor} on this machine")


@pytest.mark.parametrize("name", NAMES)
def test_a_download_becomes_a_script_that_imports_up_to_its_imports(
    name, downloads, folder, lab_python, kernel_python, stranger
):
    both = {"whole": downloads[name], "part": upto(downloads[name], "imports")}
    assert converted(lab_python, folder, both, stranger) == ["part.py", "whole.py"]
    ast.parse((folder / "whole.py").read_text("utf-8"), feature_version=(3, 11))
    for path in folder.glob("*.ipynb"):
        path.unlink()
    done = subprocess.run(
        [kernel_python, "-c", "import part; print(part.hardware.__file__)"],
        cwd=folder,
        env=stranger,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "in the version that was proven" in done.stdout
    home = Path(stranger["TMPDIR"])
    assert Path(done.stdout.splitlines()[-1]).is_relative_to(home)
    assert [path.name for path in home.glob("handbook-*")] == []
    left = {path.name for path in folder.iterdir()}
    assert left == {"part.py", "whole.py", "__pycache__"}


def test_a_script_installs_nothing_and_says_what_is_missing(
    downloads, folder, lab_python, kernel_python, stranger
):
    first = upto(downloads[NAMES[0]], FIRST)
    *before, last = first["cells"]
    source = source_of(last).replace('PROVEN = """', 'PROVEN = """not-there==1, ')
    first = {**first, "cells": [*before, {**last, "source": source}]}
    assert converted(lab_python, folder, {"first": first}, stranger) == ["first.py"]
    done = subprocess.run(
        [kernel_python, "first.py"],
        cwd=folder,
        env=stranger,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "RuntimeError: missing or too old. Run this, then this cell again:\n"
        "%pip install --no-deps  not-there==1"
    )


def test_a_notebook_that_does_not_tell_its_language_becomes_no_python(
    downloads, folder, lab_python, stranger
):
    """The canary of the name: what the source notebooks tell is not enough."""
    poor = upto(downloads[NAMES[0]], FIRST)
    poor = {**poor, "metadata": {"language_info": {"name": "python"}}}
    assert converted(lab_python, folder, {"poor": poor}, stranger) == ["poor.txt"]
    assert "\n    %pip install" in (folder / "poor.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_download_declares_the_oldest_format_that_holds_it(name, downloads):
    notebook = downloads[name]
    major, minor = notebook["nbformat"], notebook["nbformat_minor"]
    nbformat.validate(notebook, version=major, version_minor=minor)
    with pytest.raises(nbformat.ValidationError, match="'id' was unexpected"):
        nbformat.validate(notebook, version=major, version_minor=minor - 1)


@pytest.mark.parametrize("name", NAMES)
def test_all_code_of_a_download_is_code_for_the_oldest_python(name, code_of):
    found = code_of(name)
    assert len([known for known in found if known.endswith(".py")]) > 10
    for source in found.values():
        ast.parse(source, feature_version=(3, 11))


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
@pytest.mark.parametrize("name", NAMES)
def test_every_supported_python_at_hand_compiles_all_code(
    name, minor, code_of, tmp_path
):
    python, files = interpreter(minor), []
    for number, source in enumerate(code_of(name).values()):
        (file := tmp_path / f"{number}.py").write_text(source, encoding="utf-8")
        files.append(str(file))
    done = subprocess.run(
        [python, "-I", "-c", COMPILE, *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("slip", ["def f(x):\n    x +\n", "pattern = '\\d'\n"])
def test_compiling_notices_what_is_no_code_and_what_will_be_none(slip, tmp_path):
    (file := tmp_path / "slip.py").write_text(slip, encoding="utf-8")
    command = [sys.executable, "-I", "-c", COMPILE, str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"slip\.py.*(SyntaxError|invalid escape)", done.stderr, re.DOTALL)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_is_code_for_a_python_that_is_too_old(name, downloads):
    ast.parse(without_magics(first_cell(downloads[name])), feature_version=(3, 8))


def test_that_grammar_refuses_what_an_old_python_does_not_know():
    with pytest.raises(SyntaxError, match="only supported in Python 3.10"):
        ast.parse("match 1:\n    case 1: pass\n", feature_version=(3, 8))


@pytest.mark.parametrize("minor", [8, 9, 10])
@pytest.mark.parametrize("name", NAMES)
def test_a_python_that_is_too_old_is_told_so_in_one_sentence(
    name, minor, downloads, folder, stranger
):
    python = interpreter(minor)
    source = without_magics(first_cell(downloads[name]))
    (folder / "first.py").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [python, "first.py"],
        cwd=folder,
        env=stranger,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == TOO_OLD
