"""Executes one notebook in a process of its own, so that the parent can always end it.

It reads what to run from a file, writes one line per cell to the job's events file, and
leaves the notebook and a result behind. See ``verify.crew``.
"""

# ruff: noqa: E402  (one line must come before the imports)
from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

# nbformat's validator imports this where it is installed: 1.3 s to build a grammar for
# a kind of field that notebooks do not have.
sys.modules.setdefault("rfc3987_syntax", None)
# papermill loads this, and numpy with it, for notebooks on Hadoop file systems.
sys.modules.setdefault("pyarrow", None)

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.paths import jupyter_runtime_dir
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from verify import machine
from verify.executed import clean, scrub
from verify.source import INJECTED, tags_of
from verify.standalone import sandbox

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
TAIL = 12


class ThisInterpreter(AsyncKernelManager):
    """Starts the kernel with the Python that runs this worker, whatever is registered.

    A kernelspec named python3 in a user's folder may belong to another environment; a
    receipt that lists this environment's versions would then lie. Sockets are files, as
    two kernels that start at once may be given the same TCP port.
    """

    current: ThisInterpreter | None = None
    command: list[str] | None = None  # another one to start the kernel with
    died_of: int | None = None

    def __init__(self, **options: Any) -> None:
        options["transport"] = "ipc"
        options["connection_file"] = f"{jupyter_runtime_dir()}/{os.getpid()}.json"
        super().__init__(**options)
        ThisInterpreter.current = self

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernelspec of this interpreter's own ipykernel."""
        found = KernelSpec(**get_kernel_dict())
        if self.command:
            found.argv = [*self.command, *found.argv[1:]]
        return found

    async def _async_is_alive(self) -> bool:
        code = await self.provisioner.poll() if self.has_kernel else None
        if code is not None:
            self.died_of = code
        return await super()._async_is_alive()

    is_alive = _async_is_alive


class Job:
    """One run: what to execute, and the state that a signal handler can save."""

    def __init__(self, path: Path) -> None:
        given = json.loads(path.read_text(encoding="utf-8"))
        self.notebook = given["notebook"]
        self.root = Path(given["root"])
        self.work = Path(given["work"])
        self.parameters: dict[str, Any] = given["parameters"]
        self.again: dict[str, Any] = given["again"]
        self.workbenches = Path(given["workbenches"])
        self.cell_time_limit: float = given["cell_time_limit"]
        self.environment: dict[str, str] = given["environment"]
        self.alone: bool = given["alone"]
        self.packages: list[str] = given["packages"]
        self.folder = path.parent
        self.nb: nbformat.NotebookNode | None = None
        self.current = 0
        self.began = 0.0
        self.seconds: dict[int, float] = {}  # of each cell, by its place
        self.found: dict[str, Any] = {}  # what a run of a standalone copy showed

    def event(self, **what: Any) -> None:
        """Tell the parent what happens now."""
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")

    def on_notebook_start(self, notebook: nbformat.NotebookNode) -> None:
        """Keep hold of the notebook that is filled while it runs."""
        logging.getLogger("papermill").setLevel(logging.CRITICAL)
        self.nb = notebook

    def on_cell_execute(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        """Note which cell runs."""
        self.current, self.began = cell_index, time.monotonic()
        self.event(event="start", **self.where(cell_index))

    def on_cell_executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """Note how long a cell took."""
        seconds = round(time.monotonic() - self.began, 3)
        self.seconds[cell_index] = seconds
        peak = machine.peak_memory(ThisInterpreter.current.provisioner.pid)
        where = self.where(cell_index)
        self.event(event="end", seconds=seconds, peak=peak, **where)

    def where(self, index: int) -> dict[str, Any]:
        """Name a cell by its place in the source file, without the injected cell."""
        cells = self.nb.cells
        source = cells[index].source.strip()
        is_injected = INJECTED in tags_of(cells[index])
        before = [c for c in cells[:index] if INJECTED not in tags_of(c)]
        own = 0 if is_injected else 1
        return {
            "cell": len(before) + own,
            "code_cell": sum(c.cell_type == "code" for c in before) + own,
            "source": source.splitlines()[0] if source else "",
        }

    def save(self) -> None:
        """Leave the notebook, as far as it got, cleaned for publication."""
        if self.nb is not None:
            clean(self.nb, self.root, self.work)
            text = nbformat.writes(self.nb)
            (self.folder / "executed.ipynb").write_text(text, encoding="utf-8")

    def finish(self, **result: Any) -> None:
        """Leave the result, free of machine paths."""
        text = json.dumps(scrub(result, self.root, self.work))
        (self.folder / "result.json").write_text(text, encoding="utf-8")


def serve(path: Path) -> None:
    """Run one job in this process, as the leader of a session of its own.

    Ctrl-C then reaches only the parent, which decides what becomes of this run. What
    this process and its kernel write outside of any cell goes to the job's log.
    """
    os.setsid()
    log = os.open(path.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    main(path)


def main(path: Path) -> None:
    """Run the job and say how it ended; any other error is the parent's to report."""
    job = Job(path)
    os.chdir(job.folder)
    os.environ.update(job.environment)
    os.environ.pop("MPLBACKEND", None)  # the kernel shows figures in the notebook
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: _stop(job))
    os.environ["PYTHONPATH"] = str(job.root)
    try:
        if job.alone:
            _execute_alone(job)
        else:
            _execute(job)
    except papermill.PapermillExecutionError:
        pass  # the outputs tell more, _first_problem reads them
    except CellTimeoutError:
        job.save()
        job.finish(kind="cell-timeout", **_told(job, job.current))
        return
    except DeadKernelError:
        job.save()
        told = _told(job, job.current)
        job.finish(kind="kernel-died", code=ThisInterpreter.current.died_of, **told)
        return
    clean(job.nb, job.root, job.work)
    problem = _first_problem(job)
    job.save()
    job.finish(**{"kind": "done", **job.found, **(problem or {})})


def _execute_alone(job: Job) -> None:
    """Run a standalone copy twice, each time in a fresh kernel, in the same folder.

    The first run installs what the first cell names, unless the same cell did before;
    the second finds all in place, results too. What the first one showed is judged.
    """
    cell = sandbox.first_cell(job.notebook)
    with sandbox.Sandbox.made(job.folder, job.workbenches, cell) as box:
        ThisInterpreter.command = box.command
        os.environ.pop("PYTHONPATH")
        os.environ.update(box.environment)
        runs: list[Any] = []
        shown = None
        for more in ({}, job.again):
            job.seconds.clear()
            _execute(job, more)
            runs.append(dict(job.seconds))
            if _first_problem(job):
                return
            shown = shown or job.nb
        job.nb = shown
        job.found = box.found(job.work, job.notebook, job.packages, runs)
        job.found["alone"]["again"] = job.again
        box.keep()


def _execute(job: Job, more: Mapping[str, Any] = MappingProxyType({})) -> None:
    papermill.execute_notebook(
        nbformat.read(job.notebook, as_version=4),
        None,
        parameters={**job.parameters, **more},
        kernel_name="python3",
        language="python",
        cwd=job.work,
        request_save_on_cell_execute=False,
        progress_bar=False,
        execution_timeout=math.ceil(job.cell_time_limit),
        record_timing=False,
        # A standalone copy cleans up after itself when its kernel is asked to end.
        shutdown_kernel="graceful" if job.alone else "immediate",
        skip_cells_with_tag="",
        kernel_manager_class=ThisInterpreter,
        on_notebook_start=job.on_notebook_start,
        on_cell_execute=job.on_cell_execute,
        on_cell_executed=job.on_cell_executed,
    )


def _first_problem(job: Job) -> dict[str, Any] | None:
    """Find the first cell that raised unannounced, kept quiet, or did not run.

    Papermill lets ``sys.exit(0)`` pass and skips what follows; here it is an error.
    """
    for index, cell in enumerate(job.nb.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        announced = "raises-exception" in tags_of(cell)
        errors = [o for o in cell.outputs if o.output_type == "error"]
        if errors and not announced:
            what = f"{errors[0].ename}: {errors[0].evalue}".strip(": ")
        elif announced and not errors:
            what = "the cell is tagged raises-exception and raised nothing"
        elif cell.execution_count is None:
            what = "the cell did not run"
        else:
            continue
        return {"kind": "error", "error": what, **_told(job, index)}
    return None


def _told(job: Job, index: int) -> dict[str, Any]:
    """Say where it ended, with the last lines that the cell printed."""
    lines: list[str] = []
    for output in job.nb.cells[index].get("outputs", []):
        text = output.get("text", "") or "\n".join(output.get("traceback", []))
        text = text or output.get("data", {}).get("text/plain", "")
        lines += ANSI.sub("", text).rstrip().splitlines()
    return {**job.where(index), "tail": lines[-TAIL:]}


def _stop(job: Job) -> None:
    """Save what there is and leave at once; the parent ends the kernel."""
    job.save()
    if job.nb is not None:
        job.finish(kind="stopped", **_told(job, job.current))
    os._exit(143)


def _end_with_parent() -> None:
    """Leave when the process that asked for this run is gone; the kernel follows."""
    parent = multiprocessing.parent_process()
    parent.join()
    shutil.rmtree(jupyter_runtime_dir(), ignore_errors=True)
    os._exit(1)
