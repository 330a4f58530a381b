"""Runs one notebook in a worker process: starts it, watches it, ends it for certain."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil

from verify import crew, ending, machine, receipts, vram
from verify.beside import Beside, owns
from verify.catalog import Entry
from verify.receipts import Receipt
from verify.source import read_notebook
from verify.standalone import origin

SAMPLE_EVERY = (0.2, 1.0)  # seconds: short runs often, long ones at most a second
GRACE = 5.0
GIB = 2**30
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass
class Flight:
    """One notebook in flight: its worker, and what was seen of it so far.

    ``expected`` is how long the last run took, in seconds; infinite when unknown.
    """

    entry: Entry
    receipt: Receipt
    work: Path
    folder: Path
    process: ForkServerProcess
    began: float
    expected: float
    cells: int
    gpu: vram.Watch | None = None
    beside: Beside | None = None
    tree: dict[int, psutil.Process] = field(default_factory=dict)
    peak: int = 0
    sampled: float = 0.0
    stopped: str | None = None
    stopped_at: float = 0.0
    oom_kills: int = field(default_factory=machine.out_of_memory_kills)

    @property
    def seconds(self) -> float:
        """Wall time since the worker was started."""
        return time.monotonic() - self.began

    @property
    def ended(self) -> bool:
        """Whether the worker has left."""
        return not self.process.is_alive()

    def at(self) -> int:
        """Return the number of the cell that runs, 0 before the first."""
        return ending.current_cell(self.folder).get("cell", 0)


def start(
    entry: Entry,
    receipt: Receipt,
    *,
    sockets: Path,
    expected: float,
    gpu: str | None,
    threads: int,
    beside: Beside | None = None,
    workbenches: Path | None = None,
) -> Flight:
    """Start a worker in a fresh folder.

    Parameters
    ----------
    entry, receipt : Entry, Receipt
        What runs, and its receipt as far as it is known.
    sockets : Path
        A folder with a short path, for the kernel's sockets.
    expected : float
        How long it took last time, in seconds.
    gpu : str, optional
        The one GPU it may see.
    threads : int
        How many threads its libraries may start.
    beside : Beside, optional
        The sandbox that the notebook needs; only such a kernel is told of it.
    workbenches : Path, optional
        Where a standalone copy finds what the same first cell has installed before.
    """
    root, name, profile = entry.root, entry.name, receipt.profile
    alone = entry.profiles[profile].alone
    folder = root / "_build" / "jobs" / f"{name}.{profile}"
    work = folder / "empty" if alone else root / "_build" / "work" / name
    for fresh in (folder, work):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    environment = _environment(folder, sockets, gpu, threads)
    if receipt.device["kind"] == "cpu" and not alone:
        environment["HF_HUB_OFFLINE"] = "1"
    if beside is not None:
        environment |= beside.environment
        receipt = replace(receipt, sandbox=beside.told)
    source = origin.source(entry, profile)
    job = {
        "notebook": str(source),
        "alone": alone,
        "packages": list(receipt.key_parts["versions"]),
        "root": str(root),
        "work": str(work),
        "workbenches": str(workbenches or folder),
        "parameters": dict(entry.profiles[profile].parameters),
        "again": dict(entry.profiles[profile].again),
        "cell_time_limit": entry.cell_time_limit,
        "environment": environment,
    }
    receipts.write_text(folder / "job.json", json.dumps(job))
    (folder / "log.txt").touch()
    return Flight(
        entry=entry,
        receipt=receipt,
        work=work,
        folder=folder,
        process=crew.start(folder / "job.json"),
        began=time.monotonic(),
        expected=expected,
        cells=len(read_notebook(source)["cells"]),
        gpu=None if gpu is None else vram.watch(gpu, folder / "vram.txt"),
        beside=beside,
    )


def watch(one: Flight) -> None:
    """Sample memory, and end a run that goes over the notebook's limits."""
    often, seldom = SAMPLE_EVERY
    every = min(seldom, max(often, one.seconds / 100))
    if one.seconds - one.sampled >= every or not one.tree:
        one.sampled = one.seconds
        _sample(one)
    if one.stopped is None:
        limit = one.entry.peak_rss_gib
        most = limit * GIB if limit else machine.memory_limit()
        if one.seconds > one.entry.time_limit:
            _stop(one, "notebook-timeout")
        elif one.peak > most:
            _stop(one, "out-of-memory")
    elif one.seconds > one.stopped_at + GRACE:
        one.process.kill()


def land(one: Flight) -> Receipt:
    """End what is left of a run and have it judged."""
    seconds = one.seconds
    end(one)
    return ending.finish(
        ending.Ended(
            entry=one.entry,
            receipt=one.receipt,
            folder=one.folder,
            work=one.work,
            seconds=seconds,
            peak=one.peak,
            code=one.process.exitcode,
            stopped=one.stopped,
            vram=one.gpu.peak() if one.gpu else None,
            oom_kills=machine.out_of_memory_kills() - one.oom_kills,
            secrets=one.beside.secrets() if one.beside else None,
        )
    )


def end(one: Flight) -> None:
    """End the worker, its kernel and whatever the notebook started and left behind."""
    if not one.ended:
        _sample(one)
    _kill_tree(one)
    one.process.kill()
    one.process.join()
    if one.gpu:
        one.gpu.end()


def _kill_tree(one: Flight) -> None:
    for process in one.tree.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _environment(
    folder: Path, sockets: Path, gpu: str | None, threads: int
) -> dict[str, str]:
    """Return what the kernel's environment has beside that of this process."""
    own = str(Path(sys.executable).parent)
    environment = {
        **dict.fromkeys(THREADS, str(threads)),
        "PATH": os.pathsep.join([own, os.environ.get("PATH", "")]),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(sockets),
        "TOKENIZERS_PARALLELISM": "false",
    }
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    return environment


def _stop(one: Flight, kind: str) -> None:
    """Ask the worker to save what it has; end a kernel that eats memory at once."""
    one.stopped, one.stopped_at = kind, one.seconds
    one.process.terminate()
    if kind == "out-of-memory":
        _kill_tree(one)


def _sample(one: Flight) -> None:
    """Add up the resident memory of the kernel and everything below it.

    A page that processes share counts once: a kernel that starts a program is two
    processes with the same pages for a moment. A single process's own high mark, which
    no sampling can miss, counts too.
    """
    pids, total = [], 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(one.process.pid).children(recursive=True):
            if one.beside and process.pid not in one.tree and owns(process):
                continue  # a part of the sandbox that the notebook has started again
            one.tree.setdefault(process.pid, process)
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
                one.peak = max(one.peak, machine.peak_memory(process.pid))
                pids.append(process.pid)
    if total > one.peak:  # only then is the slower look worth it
        one.peak = max(one.peak, sum(map(machine.memory, pids)))
