"""Runs a standalone copy as a stranger would: a bare workbench, an empty folder, no
network, and nothing of this repository on the path.

The workbench has torch and a kernel. Everything else comes from what the notebook's
first cell installs, out of a folder of wheels. Where two notebooks have the same first
cell, to the byte, one command installs once: the later run begins with a copy of the
workbench that the earlier one left, once that had passed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify import machine, versions
from verify.catalog import Entry
from verify.receipts import Receipt
from verify.source import read_notebook, source_of

ORIGIN = "origin"  # names the run that filled a shared workbench, and where
QUICK = 3.0  # seconds: what the first cell may take when nothing is missing
ALLOWED = ("outputs",)  # what a notebook with its published parameters writes
LIST = """
import json
from importlib.metadata import distributions
print(json.dumps({one.name: one.version for one in reversed([*distributions()])}))
"""  # of two with one name, the first on the path is the one that is imported
VARIABLES = ("HANDBOOK_WORKBENCH_PYTHON", "HANDBOOK_WHEELS")


def lacking() -> str | None:
    """Say what forbids such a run on this machine, or None."""
    for name in VARIABLES:
        if not Path(os.environ.get(name, "")).exists() or not os.environ.get(name):
            return f"{name} names no place: run python3 noxfile.py -s standalone"
    found = machine.lacks("namespaces")
    return f"the network cannot be cut: {found}" if found else None


@dataclass(frozen=True)
class Sandbox:
    """A workbench of its own, which goes when the run ends.

    Attributes
    ----------
    home : Path
        Holds the virtual environment and the home folder.
    template : Path
        The bare workbench.
    shared : Path
        Where runs with the same first cell leave their workbench to each other.
    installed_by : str or None
        The run that had installed what this one found installed.
    """

    home: Path
    template: Path
    shared: Path
    installed_by: str | None = None

    @classmethod
    def made(cls, folder: Path, workbenches: Path, first_cell: str) -> Sandbox:
        """Copy a workbench into a job's folder; files are links where possible.

        It is the one that the same first cell filled before, else the bare one.
        """
        template = Path(os.environ["HANDBOOK_WORKBENCH_PYTHON"]).parents[1]
        shared = workbenches / hashlib.sha256(first_cell.encode()).hexdigest()
        told = shared / ORIGIN
        origin = told.read_text("utf-8").splitlines() if told.is_file() else None
        box = cls(folder / "sandbox", template, shared, origin and origin[0])
        box._remove()  # a killed run may have left one
        box.home.mkdir(parents=True)
        base = shared / "venv" if origin else template
        shutil.copytree(base, box.venv, symlinks=True, copy_function=_link)
        if origin:
            _move_scripts(box.venv, origin[1])
        for place in (box.home / "home", box.temporary):
            place.mkdir()
        return box

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        for place in (self.home, self.temporary):
            shutil.rmtree(place, ignore_errors=True)

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.home / "venv"

    @property
    def temporary(self) -> Path:
        """Its temporary folder, which stands outside the checkout to be short.

        Worker processes meet at sockets in there, and a socket's path may have 107
        bytes. In a checkout's ``_build`` it would depend on the checkout's own path.
        """
        name = hashlib.sha256(str(self.home.absolute()).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"workbench-{name}"

    @property
    def command(self) -> list[str]:
        """What starts this workbench's Python without a network."""
        return [*machine.WITHOUT_NETWORK, str(self.venv / "bin" / "python")]

    @property
    def environment(self) -> dict[str, str]:
        """What its kernel's environment has beside, or other than, that of verify."""
        return {
            "PATH": os.pathsep.join([str(self.venv / "bin"), os.environ["PATH"]]),
            "HOME": str(self.home / "home"),
            "TMPDIR": str(self.temporary),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            # What is imported is compiled then. All of it takes 45 s (measured: 63 s of
            # processor time to install 117 packages, 18 s without).
            "PIP_COMPILE": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_FIND_LINKS": os.environ["HANDBOOK_WHEELS"],
            "PYTHONNOUSERSITE": "1",
        }

    def found(
        self,
        work: Path,
        notebook: str,
        packages: Sequence[str],
        runs: Sequence[Mapping[int, float]],
    ) -> dict[str, Any]:
        """Return what a receipt says of the runs, and the versions that were there.

        Parameters
        ----------
        work : Path
            The folder that was empty before the first run.
        notebook : str
            The file that ran.
        packages : sequence of str
            The distributions that the run rests on.
        runs : sequence of mapping
            For each run, the seconds of each cell by its place.
        """
        here, before = _distributions(self.venv), _distributions(self.template)
        cells = read_notebook(notebook)["cells"]
        first = next(n for n, cell in enumerate(cells) if cell["cell_type"] == "code")
        size = Path(notebook).stat().st_size
        alone = {
            "runs": len(runs),
            "installed_by": self.installed_by,
            "seconds": [round(sum(run.values()), 1) for run in runs],
            "first_cell_seconds": [run[first] for run in runs],
            "installed": len(here.keys() - before.keys()),
            "moved": sorted(n for n in before if here.get(n) != before[n]),
            "kib": round(size / 1024, 1),
            "left": _names(work),
            "left_in_tmp": [n for n in _names(self.temporary) if "handbook" in n],
            "network": "none",
        }
        return {
            "alone": alone,
            "packages": {name: here[name] for name in packages if name in here},
        }

    def keep(self) -> None:
        """Leave this workbench, which has proven itself, to runs that begin later."""
        beside = self.home / "shared"
        beside.mkdir()
        told = f"{self.home.parent.name.partition('.')[0]}\n{self.venv}\n"
        (beside / ORIGIN).write_text(told, encoding="utf-8")
        os.replace(self.venv, beside / "venv")
        with contextlib.suppress(OSError):  # another one was faster: both are as good
            os.replace(beside, self.shared)


@contextlib.contextmanager
def shared(root: Path, entries: Sequence[Entry], profile: str) -> Iterator[Path | None]:
    """Give a command a folder in which its runs leave workbenches to each other."""
    if not any(entry.profiles[profile].alone for entry in entries):
        yield None
        return
    jobs = root / "_build" / "jobs"
    with tempfile.TemporaryDirectory(prefix="workbenches-", dir=jobs) as folder:
        yield Path(folder)


def first_cell(notebook: Path | str) -> str:
    """Return the code of a notebook's first code cell."""
    cells = read_notebook(notebook)["cells"]
    return next(source_of(cell) for cell in cells if cell["cell_type"] == "code")


def problem(receipt: Receipt) -> str | None:
    """Say what a standalone run did that it may not do, or None."""
    found = receipt.alone
    if found is None:
        return None
    if others := [name for name in found["left"] if name not in ALLOWED]:
        return f"it left behind what nobody asked for: {', '.join(others)}"
    if found["left_in_tmp"]:
        return f"its modules outlived the kernel: {', '.join(found['left_in_tmp'])}"
    if found["moved"]:
        return f"it changed what was installed before: {', '.join(found['moved'])}"
    if found["first_cell_seconds"][-1] > QUICK:
        took = found["first_cell_seconds"][-1]
        return f"the first cell took {took:.1f} s with nothing missing, not {QUICK:g}"
    wanted = receipt.key_parts["versions"]
    differing = versions.differing(wanted, receipt.packages)
    return f"not the proven packages: {'; '.join(differing)}" if differing else None


def _link(source: str, target: str) -> None:
    """Link a file into its copy; copy it where the file system cannot."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _move_scripts(venv: Path, origin: str) -> None:
    """Have the scripts of a copied environment start its own Python."""
    old, new = origin.encode(), str(venv).encode()
    for path in (venv / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        text = path.read_bytes()
        if text.startswith(b"#!") and old in text:
            mode = path.stat().st_mode
            path.unlink()  # the file is a link to the one that it was copied from
            path.write_bytes(text.replace(old, new))
            path.chmod(mode)


def _distributions(venv: Path) -> dict[str, str]:
    """Ask a virtual environment's own Python what is installed."""
    python = str(venv / "bin" / "python")
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", LIST], capture_output=True, text=True, check=True, env=clean
    )
    found: dict[str, str] = json.loads(done.stdout)
    return {versions.distribution(name): version for name, version in found.items()}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
