"""Describes the machine of a run: what it offers, and on what a result was proved."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verify.catalog import Profile

SHOWN_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "asimd",
    "bf16",
)
# Starts a program in a namespace that has no network interface that is up.
WITHOUT_NETWORK = (
    "unshare",
    *([] if os.geteuid() == 0 else ["--map-root-user"]),
    "--net",
)
PROBES = {
    "cuda": ["nvidia-smi", "-L"],
    "npu": ["npu-smi", "info", "-l"],
    "cluster": ["kubectl", "version"],
    "sandbox": ["node", "--version"],
    "namespaces": [*WITHOUT_NETWORK, "echo", "yes"],
}
DEVICES = ("cuda", "npu", "cluster")  # needs that say on what a result was proved
# What noxfile.py installs for the MLflow sandbox, and the Node.js that it needs.
SANDBOX = ("HANDBOOK_SANDBOX_PYTHON", "HANDBOOK_SANDBOX_NODE")
OLDEST_NODE = 20
GPU_FIELDS = "name,driver_version,memory.total,compute_cap"
CGROUP = Path("/sys/fs/cgroup")


def unmet(profile: Profile) -> str | None:
    """Say which need of a profile this machine does not meet, or None."""
    for need in profile.needs:
        if found := lacks(need):
            return f"needs {need}, and {found}"
    return None


def lacks(need: str) -> str | None:
    """Say how it shows that this machine has no ``cuda``, ``npu`` or other need."""
    command = PROBES[need]
    if shutil.which(command[0]) is None:
        return f"this machine has no {command[0]}"
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if found.returncode != 0 or not found.stdout.strip():
        return f"`{' '.join(command)}` finds none here"
    return _lacks_sandbox(found.stdout.strip()) if need == "sandbox" else None


def _lacks_sandbox(node: str) -> str | None:
    """Say what the MLflow sandbox misses on a machine with this version of Node.js."""
    major = node.lstrip("v").partition(".")[0]
    if not major.isdigit() or int(major) < OLDEST_NODE:
        return f"node is {node}, and {OLDEST_NODE} or newer is needed"
    if shutil.which("npm") is None:
        return "this machine has no npm"
    for name in SANDBOX:
        if not os.environ.get(name) or not Path(os.environ[name]).exists():
            return f"{name} names no place: run it through python3 noxfile.py"
    return None


def device(profile: Profile, gpu: str | None = None) -> dict[str, Any]:
    """Describe the processor, and the GPUs where the profile needs them.

    Parameters
    ----------
    profile : Profile
        What the run needs.
    gpu : str, optional
        The index of the one GPU that the run was given.
    """
    found: dict[str, Any] = {
        "kind": next((need for need in profile.needs if need in DEVICES), "cpu"),
        "name": _processor(),
        "cores": cores(),
        "memory_gib": round(memory_limit() / 2**30, 1),
        "flags": [flag for flag in SHOWN_FLAGS if flag in all_flags()],
        "system": f"{platform.system()} {platform.machine()}",
    }
    if "cuda" in profile.needs:
        found["gpus"] = _gpus(gpu)
    return found


def cores() -> int:
    """Count the cores that this process may use, a container's quota included."""
    usable = len(os.sched_getaffinity(0)) if _linux() else os.cpu_count() or 1
    quota, _, period = _read(CGROUP / "cpu.max").strip().partition(" ")
    if quota.isdigit() and period.isdigit():
        usable = min(usable, max(1, round(int(quota) / int(period))))
    return usable


def memory_limit() -> int:
    """Return the bytes of memory this machine or container has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *_cgroup_limits()])


def memory_free() -> int:
    """Return the bytes of memory that can be had now without taking any away."""
    free = [memory_limit()]
    available = re.search(r"MemAvailable:\s*(\d+) kB", _read("/proc/meminfo"))
    if available:
        free.append(int(available[1]) * 1024)
    used = _read(CGROUP / "memory.current").strip()
    cached = re.search(r"^inactive_file (\d+)", _read(CGROUP / "memory.stat"), re.M)
    if used.isdigit() and (limits := _cgroup_limits()):
        reclaimable = int(cached[1]) if cached else 0
        free.append(min(limits) - int(used) + reclaimable)
    return max(0, min(free))


def out_of_memory_kills() -> int:
    """Return how often the system has ended a process of this container for memory."""
    found = re.search(r"^oom_kill (\d+)", _read(CGROUP / "memory.events"), re.M)
    if found is None:
        found = re.search(r"^oom_kill (\d+)", _read("/proc/vmstat"), re.M)
    return int(found[1]) if found else 0


def gpu_indices() -> list[str]:
    """List the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    if lacks("cuda"):
        return []
    listed = subprocess.run(PROBES["cuda"], capture_output=True, text=True, check=True)
    return re.findall(r"^GPU (\d+):", listed.stdout, re.MULTILINE)


def peak_memory(pid: int) -> int:
    """Return the most bytes a live process ever had in memory; 0 where none tells."""
    found = re.search(r"VmHWM:\s*(\d+) kB", _read(f"/proc/{pid}/status"))
    return int(found[1]) * 1024 if found else 0


def memory(pid: int) -> int:
    """Return a process's resident bytes, shared pages divided by their users (PSS)."""
    rollup = _read(f"/proc/{pid}/smaps_rollup")
    found = re.search(r"^Pss:\s*(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def missing(packages: tuple[str, ...]) -> list[str]:
    """Return which distributions are not installed."""
    from importlib import metadata  # 20 ms that most commands need not spend

    absent = []
    for name in packages:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            absent.append(name)
    return absent


def commit(root: Path) -> tuple[str | None, bool]:
    """Return the short commit of a checkout, and whether files differ from it."""
    head = git(root, "rev-parse", "--short", "HEAD")
    changes = git(root, "status", "--porcelain")
    return (head or None), changes is None or bool(changes)


def git(root: Path, *arguments: str) -> str | None:
    """Return what git says, or None where there is no git, checkout or answer."""
    if shutil.which("git") is None:
        return None
    command = ["git", "-C", str(root), *arguments]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


@cache
def all_flags() -> frozenset[str]:
    """Return every feature that the processor names."""
    found = re.search(r"(?:flags|Features)\s*:\s*(.+)", _read("/proc/cpuinfo"))
    return frozenset(found[1].split() if found else ())


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo"))
    return found[1].strip() if found else platform.processor() or platform.machine()


def _cgroup_limits() -> list[int]:
    files = (CGROUP / "memory.max", CGROUP / "memory" / "memory.limit_in_bytes")
    texts = [_read(file).strip() for file in files]
    return [int(text) for text in texts if text.isdigit()]


def _gpus(index: str | None) -> list[dict[str, str]]:
    chosen = ["-i", index] if index is not None else []
    command = ["nvidia-smi", *chosen, f"--query-gpu={GPU_FIELDS}"]
    command.append("--format=csv,noheader")
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    keys = ("name", "driver", "memory", "compute_capability")
    rows = [line.split(", ") for line in found.stdout.strip().splitlines()]
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _linux() -> bool:
    return hasattr(os, "sched_getaffinity")


def _read(path: str | Path) -> str:
    """Read a file of the system; what cannot be read says nothing."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
