"""Says on what a bench ran: a time means nothing without its machine and versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

TOOLS = (
    "papermill",
    "nbclient",
    "ipykernel",
    "jupyter-cache",
    "nbmake",
    "pytest",
    "pytest-xdist",
)
ASK = "from importlib.metadata import version; print(version('jupyter-book'))"


def machine() -> dict[str, Any]:
    """Describe the processor, and how busy it was before the bench began."""
    import psutil

    usable = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu(),
        "cores": len(usable(0)) if usable else os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_before": round(psutil.getloadavg()[0], 2),
    }


def versions(book_python: str) -> dict[str, str]:
    """Return the versions of everything that takes part."""
    command = [book_python, "-c", ASK]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found = {name: metadata.version(name) for name in TOOLS}
    return {**found, "jupyter-book": answer.stdout.strip()}


def commit(root: Path) -> tuple[str | None, bool]:
    """Return the commit that is checked out, and whether files differ from it."""
    try:
        head = _git(root, "rev-parse", "--short", "HEAD")
        return head, bool(_git(root, "status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return None, True


def _git(root: Path, *words: str) -> str:
    command = ["git", *words]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
