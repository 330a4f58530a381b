"""Describes the machine of a run, so that a receipt says on what it was proved."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from verify.catalog import Entry, Profile

SHOWN_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd")
PROBES = {
    "cuda": ["nvidia-smi", "-L"],
    "npu": ["npu-smi", "info", "-l"],
    "cluster": ["kubectl", "version"],
}
GPU_FIELDS = "name,driver_version,memory.total,compute_cap"


def unmet(profile: Profile) -> str | None:
    """Say which need of a profile this machine does not meet, or None."""
    for need in profile.needs:
        command = PROBES[need]
        if shutil.which(command[0]) is None:
            return f"needs {need}, and this machine has no {command[0]}"
        found = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if found.returncode != 0 or not found.stdout.strip():
            return f"needs {need}, and `{' '.join(command)}` finds none here"
    return None


def device(profile: Profile) -> dict[str, Any]:
    """Describe the processor, and the GPUs where the profile needs them."""
    found: dict[str, Any] = {
        "kind": profile.needs[0] if profile.needs else "cpu",
        "name": _processor(),
        "cores": len(os.sched_getaffinity(0)) if _linux() else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "flags": _flags(),
    }
    if "cuda" in profile.needs:
        found["gpus"] = _gpus()
    return found


def peak_memory(pid: int) -> int:
    """Return the most bytes a live process ever had in memory; 0 where none tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def memory(pid: int) -> int:
    """Return a process's resident bytes, shared pages divided by their users (PSS)."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"^Pss:\s*(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def packages(entry: Entry) -> tuple[dict[str, str], list[str]]:
    """Return the versions of an entry's packages, and those that are not installed."""
    versions, missing = {}, []
    for name in entry.packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    return versions, missing


def commit(root: Path) -> tuple[str | None, bool]:
    """Return the short commit of a checkout, and whether files differ from it."""
    head = _git(root, "rev-parse", "--short", "HEAD")
    changes = _git(root, "status", "--porcelain")
    return (head or None), changes is None or bool(changes)


def _git(root: Path, *arguments: str) -> str | None:
    if shutil.which("git") is None:
        return None
    command = ["git", "-C", str(root), *arguments]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo"))
    return found[1].strip() if found else platform.processor() or platform.machine()


def _flags() -> list[str]:
    found = re.search(r"(?:flags|Features)\s*:\s*(.+)", _read("/proc/cpuinfo"))
    present = found[1].split() if found else []
    return [flag for flag in SHOWN_FLAGS if flag in present]


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _gpus() -> list[dict[str, str]]:
    command = ["nvidia-smi", f"--query-gpu={GPU_FIELDS}", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    keys = ("name", "driver", "memory", "compute_capability")
    rows = [line.split(", ") for line in found.stdout.strip().splitlines()]
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _linux() -> bool:
    return hasattr(os, "sched_getaffinity")


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
