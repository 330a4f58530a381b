"""Puts standalone copies where a stranger has them: far from this repository."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from verify import catalog
from verify.standalone import build

ROOT = Path(__file__).resolve().parents[2]
# What this process has of the repository, of pip's sources and of Jupyter's settings.
OURS = ("HANDBOOK_", "IPYTHON", "JUPYTER", "MLFLOW_", "PIP_", "PYTHON", "XDG_")
NOWHERE = "http://127.0.0.1:9"  # a proxy that is not there: outside requests fail


def python_of(name: str, what: str) -> str:
    """Return the Python of an environment that noxfile.py names, or skip."""
    python = os.environ.get(f"HANDBOOK_{name}_PYTHON")
    if not python:
        pytest.skip(f"HANDBOOK_{name}_PYTHON is not set: no Python with {what}")
    return python


@pytest.fixture(scope="session")
def lab_python() -> str:
    """Return the Python that has JupyterLab and nbconvert, and no torch."""
    return python_of("LAB", "JupyterLab and nbconvert")


@pytest.fixture(scope="session")
def kernel_python(tmp_path_factory) -> str:
    """Return a Python that has what notebooks need and installs into its own folder.

    Stands in for a workbench's: it sees the packages of the notebooks' environment, and
    what a first cell installs goes into a virtual environment of these tests.
    """
    below = python_of("NOTEBOOKS", "torch and a kernel")
    home = tmp_path_factory.mktemp("kernel") / "venv"
    subprocess.run([below, "-m", "venv", "--without-pip", str(home)], check=True)
    python = str(home / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    seen, own = packages_of(below), packages_of(python)
    (own / "notebooks.pth").write_text(f"{seen}\n", encoding="utf-8")
    return python


def packages_of(python: str) -> Path:
    """Return the folder that a Python installs packages into."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [python, "-I", "-c", ask]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def stranger_at():
    """Return a function that gives the environment of someone who lives elsewhere.

    Such a one has no network, nothing of this repository, and a home in that folder.
    """
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(OURS)}
    kept = {k: v for k, v in kept.items() if not k.lower().endswith("_proxy")}

    def environment(home: Path) -> dict[str, str]:
        folders = {name: home / name.lower() for name in ("HOME", "TMPDIR")}
        for folder in folders.values():
            folder.mkdir()
        return {
            **kept,
            **{name: str(folder) for name, folder in folders.items()},
            **{f"{name}_proxy": NOWHERE for name in ("http", "https")},
            "no_proxy": "127.0.0.1,localhost",
            "OMP_NUM_THREADS": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PYTHONNOUSERSITE": "1",
        }

    return environment


@pytest.fixture
def stranger(stranger_at, tmp_path) -> dict[str, str]:
    """Return the environment of a stranger who comes for one test."""
    return stranger_at(tmp_path)


@pytest.fixture(scope="session")
def downloads() -> dict[str, dict[str, Any]]:
    """Return the standalone copy of each notebook, built from the files as they are."""
    alone = [e for e in catalog.load(ROOT) if any(p.alone for p in e.profiles.values())]
    texts = {e.name: build.text(build.build(e, build.Provenance())) for e in alone}
    return {name: json.loads(text) for name, text in texts.items()}
