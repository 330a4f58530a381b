"""What this machine can train with is found out before anything is loaded."""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import os
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

GIB = 1024**3

# region: capability
# NVIDIA compute capability that bitsandbytes asks for:
# huggingface.co/docs/bitsandbytes/v0.50.2/en/installation
NF4_CAPABILITY = (6, 0)  # NF4 and FP4: Pascal (P100) and newer
INT8_CAPABILITY = (7, 5)  # LLM.int8(): Turing (T4) and newer
BF16_CAPABILITY = (8, 0)  # bfloat16 in hardware: Ampere (A100) and newer

# Oldest GPU in the Linux x86-64 wheels of bitsandbytes, from a CUDA version on.
OLDEST_GPU_IN_WHEEL = (
    ((11, 8), (6, 0)),  # 11.8 to 12.6: P100 and newer
    ((12, 8), (7, 0)),  # 12.8 and 12.9: V100 and newer
    ((13, 0), (7, 5)),  # 13.x: T4 and newer
)


def wheel_supports(capability: tuple[int, int], cuda_version: str) -> bool:
    """Tell whether the published wheel for a CUDA version runs on a GPU.

    Parameters
    ----------
    capability
        Compute capability of the GPU, for example ``(6, 0)`` for a P100.
    cuda_version
        The CUDA version that torch was built for (``torch.version.cuda``).
    """
    cuda = tuple(int(part) for part in cuda_version.split(".")[:2])
    oldest = [gpu for since, gpu in OLDEST_GPU_IN_WHEEL if cuda >= since]
    return bool(oldest) and tuple(capability) >= oldest[-1]


# endregion: capability


# region: hardware
@dataclass(frozen=True)
class Hardware:
    """The device that training runs on, and what it can do.

    ``nf4`` and ``int8`` say that bitsandbytes is installed and its kernels run on
    this device. ``bf16_fast`` says that bfloat16 is computed in hardware.
    """

    kind: str  # cuda, npu or cpu
    name: str
    count: int
    capability: tuple[int, int] | None
    memory_bytes: int | None
    bf16_fast: bool
    nf4: bool
    int8: bool
    torch: str | None
    bitsandbytes: str | None
    bitsandbytes_library: str | None
    cpu_flags: tuple[str, ...]
    cores: int
    ram_bytes: int | None


def probe() -> Hardware:
    """Look at the machine; a package that is missing is reported, never an error."""
    device = _cuda() or _npu() or _cpu()
    library = _bitsandbytes_library(device)
    return Hardware(
        **device,
        nf4=_kernels_run(device, library, NF4_CAPABILITY),
        int8=_kernels_run(device, library, INT8_CAPABILITY),
        torch=_version("torch"),
        bitsandbytes=_version("bitsandbytes"),
        bitsandbytes_library=library,
        cpu_flags=cpu_flags(),
        cores=_cores(),
        ram_bytes=_ram(),
    )


def compute_dtype(hardware: Hardware | None = None) -> str:
    """Name the dtype to compute in: the fastest one that is safe on this device.

    On a CPU that is ``float32``, the one that is slow nowhere: without AVX512-BF16
    or AMX, ``bfloat16`` takes five times as long. On CUDA it
    is ``bfloat16`` from compute capability 8.0 on, else ``float16``.
    """
    hardware = hardware or probe()
    if hardware.kind == "cpu":
        return "float32"
    return "bfloat16" if hardware.bf16_fast else "float16"


# endregion: hardware


def describe(hardware: Hardware | None = None) -> str:
    """Return a short table of what this machine can train with."""
    found = hardware or probe()
    name = found.name if found.count == 1 else f"{found.count} x {found.name}"
    bitsandbytes = found.bitsandbytes or "not installed"
    if found.bitsandbytes_library:
        bitsandbytes += f", {found.bitsandbytes_library} library"
    rows = {
        "device": f"{found.kind} ({name})",
        "memory": _gib(found.memory_bytes),
        "CPU": f"{found.cores} cores, {' '.join(found.cpu_flags) or 'no AVX2'}",
        "RAM": _gib(found.ram_bytes),
        "torch": found.torch or "not installed",
        "bitsandbytes": bitsandbytes,
        "NF4 (QLoRA)": "yes" if found.nf4 else "no",
        "LLM.int8()": "yes" if found.int8 else "no",
        "compute in": compute_dtype(found),
    }
    if found.capability:
        rows["device"] += ", compute capability {}.{}".format(*found.capability)
    if found.kind == "cpu":
        del rows["memory"]
    width = max(map(len, rows))
    return "\n".join(f"{key:<{width}}  {value}" for key, value in rows.items())


def _gib(size: int | None) -> str:
    return f"{size / GIB:.1f} GiB" if size else "unknown"


# region: devices
def _cuda() -> dict | None:
    torch = _torch()
    if torch is None or not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    capability = (properties.major, properties.minor)
    return {
        "kind": "cuda",
        "name": properties.name,
        "count": torch.cuda.device_count(),
        "capability": capability if torch.version.cuda else None,  # ROCm has none
        "memory_bytes": properties.total_memory,
        "bf16_fast": not torch.version.cuda or capability >= BF16_CAPABILITY,
    }


def _npu() -> dict | None:
    """Ascend; 4-bit kernels exist there only as a community build of bitsandbytes."""
    if _torch() is None or importlib.util.find_spec("torch_npu") is None:
        return None
    import torch_npu

    if not torch_npu.npu.is_available():
        return None
    name = torch_npu.npu.get_device_name(0)
    return {
        "kind": "npu",
        "name": name,
        "count": torch_npu.npu.device_count(),
        "capability": None,
        "memory_bytes": torch_npu.npu.get_device_properties(0).total_memory,
        "bf16_fast": "910A" not in name,
    }


def _cpu() -> dict:
    flags = cpu_flags()
    return {
        "kind": "cpu",
        "name": _cpu_name(),
        "count": 1,
        "capability": None,
        "memory_bytes": _ram(),
        "bf16_fast": "avx512_bf16" in flags or "amx_bf16" in flags,
    }


def _kernels_run(device: dict, library: str | None, needed: tuple[int, int]) -> bool:
    if device["kind"] == "npu" or library is None:
        return False
    return device["capability"] is None or _gpu_runs(device["capability"], needed)


def _gpu_runs(capability: tuple[int, int], needed: tuple[int, int]) -> bool:
    return capability >= needed and wheel_supports(capability, _torch().version.cuda)


def _bitsandbytes_library(device: dict) -> str | None:
    """Name the native library that bitsandbytes will load, without importing it."""
    spec = importlib.util.find_spec("bitsandbytes")
    if spec is None or not spec.submodule_search_locations:
        return None
    kind = "cpu"
    if device["kind"] == "cuda":
        kind = "cuda" if device["capability"] else "rocm"
    folder = Path(spec.submodule_search_locations[0])
    names = [file.stem for file in folder.glob(f"libbitsandbytes_{kind}*")]
    found = {name.removeprefix("libbitsandbytes_") for name in names}
    if kind != "cuda":
        return max(found, default=None)
    return _nearest(found, _torch().version.cuda.replace(".", ""))


def _nearest(found: set[str], wanted: str) -> str | None:
    """Pick as bitsandbytes does: this version, else the next older, else the newer."""
    same_major = sorted(lib for lib in found if lib[4:6] == wanted[:2])
    older = [lib for lib in same_major if lib[4:] <= wanted]
    return older[-1] if older else next(iter(same_major), None)


# endregion: devices


# region: machine
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")


def cpu_flags() -> tuple[str, ...]:
    """Name the instruction sets that decide how fast a CPU trains (Linux only)."""
    present = _cpuinfo("flags").split()
    return tuple(flag for flag in FLAGS if flag in present)


def _cpu_name() -> str:
    return _cpuinfo("model name") or "unknown"


def _cpuinfo(key: str) -> str:
    file = Path("/proc/cpuinfo")
    if not file.is_file():
        return ""
    line = re.search(rf"^{key}\s*:(.*)$", file.read_text(), re.MULTILINE)
    return line.group(1).strip() if line else ""


def _cores() -> int:
    """Count the cores that this process may use, not those of the whole machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

CGROUP_USED = (
    Path("/sys/fs/cgroup/memory.current"),
    Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def _ram() -> int | None:
    """Count the bytes this process may use; a container may have less than its node."""
    names = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    if not all(name in getattr(os, "sysconf_names", ()) for name in names):
        return None
    sizes = [os.sysconf(names[0]) * os.sysconf(names[1])]
    limits = [file.read_text().strip() for file in CGROUP_LIMITS if file.is_file()]
    return min(sizes + [int(limit) for limit in limits if limit.isdigit()])


def free_ram() -> int | None:
    """Count the bytes that are free now for this process and those it starts.

    That is what Linux calls available, and no more than the container may still take.
    """
    file = Path("/proc/meminfo")
    found = file.read_text() if file.is_file() else ""
    available = re.search(r"^MemAvailable:\s*(\d+) kB", found, re.MULTILINE)
    free = [int(available.group(1)) * 1024] if available else []
    for limit, used in zip(CGROUP_LIMITS, CGROUP_USED, strict=True):
        if limit.is_file() and limit.read_text().strip().isdigit():
            free.append(max(0, int(limit.read_text()) - int(used.read_text())))
    return min(free, default=None)


def release() -> None:
    """Give back the memory of models that no name holds any more, also on the GPU."""
    gc.collect()  # a trainer and its model hold each other
    torch = _torch()
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch():
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return torch


# endregion: machine


# region: one-thread
def one_thread() -> None:
    """Let every kernel use one thread, here and in processes started from here.

    Call it before torch does any work. Two OpenMP threads gain at most 1.75x on a
    quiet machine; on a busy one they wait for each other and run 3 to 34 times
    slower. Run one notebook a core instead.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["MKL_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch = _torch()
    if torch is not None:
        torch.set_num_threads(1)


# endregion: one-thread


# region: torchvision
def broken_torchvision() -> str | None:
    """Say what to uninstall when a CUDA torchvision lies beside a CPU torch.

    ``timm``, which Training Hub requires and nothing imports, pulls the CUDA build
    of torchvision. Beside a CPU build of torch every import of transformers then
    fails with ``operator torchvision::nms does not exist``.

    Returns
    -------
    str or None
        What is wrong and the command that mends it, or None when all is well.
    """
    torch, torchvision = _build("torch"), _build("torchvision")
    if torch is None or torchvision is None or torch == torchvision:
        return None
    names = "timm torchvision" if _on_path("timm") else "torchvision"
    return (
        f"torchvision is built for {torchvision} and torch for {torch}, so importing "
        f"transformers fails; run: python -m pip uninstall -y {names}"
    )


def _build(package: str) -> str | None:
    """Read which device a torch package was built for, without importing it."""
    folder = _on_path(package)
    file = folder / "version.py" if folder else None
    if file is None or not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    cuda = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return f"CUDA {cuda.group(1)}" if cuda else "CPU"


def _on_path(package: str) -> Path | None:
    spec = importlib.machinery.PathFinder.find_spec(package, sys.path)
    return Path(spec.origin).parent if spec and spec.origin else None


# endregion: torchvision


# region: quiet
def quiet_libraries() -> None:
    """Silence messages that say nothing about your run. Call it before importing.

    bitsandbytes asks for the ``kernels`` package on CPUs with AVX512-BF16 while it
    is imported; the package would reach for the network and gain nothing. The
    progress bars of datasets and transformers fill a page, and tqdm warns when
    ipywidgets is missing, which only makes them plainer. MLflow reports every
    table of a new database.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="IProgress not found")
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    if "datasets" in sys.modules:
        sys.modules["datasets"].disable_progress_bars()
    if "transformers" in sys.modules:
        transformers_logging = sys.modules["transformers"].logging
        transformers_logging.disable_progress_bar()
        for handler in transformers_logging.get_logger().handlers:
            handler.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop two messages: a tied head is no missing key, dequantizing is on request."""
    text = record.getMessage()
    return not ("lm_head.weight" in text or "modules are dequantized" in text)


# endregion: quiet
