"""Run a notebook of the API tour the same way everywhere, and rewrite it on request."""

import contextlib
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import nbformat
import pytest
from pytest_notebook import execution
from pytest_notebook.nb_regression import NBRegressionError
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 900  # seconds for a cell, on a machine that does other things too
SAME_EVERYWHERE = {
    "PYTHONPATH": str(ROOT),
    "CUDA_VISIBLE_DEVICES": "",  # a tour runs on the CPU, also beside a GPU
    "HF_HUB_OFFLINE": "1",
    "COLUMNS": "80",
}
NO_OUTPUT = (
    "/metadata",
    "/cells/*/metadata",
    "/cells/*/execution_count",
    "/cells/*/outputs/*/execution_count",
)


@pytest.fixture
def sockets():
    """Return settings with which a kernel is reached at files in a folder of its own.

    Two kernels that start at once, in two workers, may choose the same TCP port.
    """
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        ipc = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
        yield Config(KernelManager=ipc)


@pytest.fixture
def regression(nb_regression, sockets, tmp_path, monkeypatch):
    """Compare the outputs of a notebook; it runs in an empty folder."""
    client = execution.CoverageNotebookClient
    # A kernel that has imported torch takes 2 s to end by itself.
    patient = {"config": sockets, "startup_timeout": PATIENCE}
    at_once = partial(client, shutdown_kernel="immediate", **patient)
    monkeypatch.setattr(execution, client.__name__, at_once)
    empty = tmp_path / "run"
    empty.mkdir()
    nb_regression.exec_cwd = str(empty)
    nb_regression.exec_env = SAME_EVERYWHERE
    nb_regression.exec_timeout = PATIENCE
    nb_regression.diff_ignore = NO_OUTPUT
    nb_regression.diff_use_color = False
    return nb_regression


@pytest.fixture
def tidy():
    """Give the text of a notebook in the shape in which tours are stored."""
    return _tidy


@pytest.fixture
def rewrite(regression, tmp_path):
    """Run a notebook and store what it prints; say whether the file changed."""

    def run(path: Path) -> bool:
        copy = tmp_path / path.name
        shutil.copyfile(path, copy)
        regression.force_regen = True
        with contextlib.suppress(NBRegressionError):  # says that it wrote the copy
            regression.check(str(copy))
        return _replace(path, _tidy(copy))

    return run


def _replace(path: Path, text: str) -> bool:
    if text == path.read_text(encoding="utf-8"):
        return False
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
    return True


def _tidy(path: Path) -> str:
    notebook = nbformat.read(path, as_version=4)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
        for output in cell.get("outputs", []):
            output.pop("execution_count", None)
            if output.output_type == "execute_result":
                output.execution_count = None
    return nbformat.writes(notebook) + "\n"
