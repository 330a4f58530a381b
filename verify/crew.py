"""Starts workers that have loaded what a run needs: each serves one notebook and ends.

Loading papermill takes almost as long as starting a kernel. The standard library's fork
server loads it once, while this process still looks at the machine, and every worker is
a fresh copy of it. The kernel is never prepared: it is a new Python in its own folder,
with its own environment.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
WORKER = "verify.worker"


def prepare() -> None:
    """Begin to load what every worker needs, in the background."""
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    multiprocessing.get_context("forkserver").set_forkserver_preload([WORKER])
    forkserver.ensure_running()


def start(job: Path) -> ForkServerProcess:
    """Start a worker on a job; see ``verify.worker.serve``."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_serve, args=(str(job),))
    process.start()
    return process


def _serve(job: str) -> None:
    """Run in the worker, where all of this is loaded already."""
    from verify import worker

    worker.serve(Path(job))
