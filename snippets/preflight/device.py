"""How much room a device has, and how fast it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from snippets import hardware
from snippets.hardware import Hardware

__all__ = ["Room", "Speed", "measure_speed"]

# Bytes of a device that stay free for what no formula sees: a CUDA context and memory
# that cannot be reused, or on a CPU the second process that is killed and resumed.
RESERVE = {"cuda": 3 * 2**29, "npu": 3 * 2**29, "cpu": 2**30}


@dataclass(frozen=True)
class Room:
    """What there is."""

    memory: int  # bytes free on the device
    reserve: int  # bytes of them that no formula sees
    disk: int  # bytes free where results go
    seconds: float

    def holds(self, size: float) -> bool:
        """Tell whether the device has room for so many bytes."""
        return size + self.reserve <= self.memory


def free_memory(device: Hardware) -> int:
    """Count the bytes that are free now: of the GPU, or of RAM in this container."""
    if device.kind == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    if device.kind == "npu":
        import torch_npu

        return torch_npu.npu.mem_get_info()[0]
    return hardware.free_ram() or device.ram_bytes or 0


@dataclass(frozen=True)
class Speed:
    """How fast this device is, as a probe of a second found."""

    flops: float  # a second, of a large matrix product
    call: float  # seconds that a very small operation takes
    dtype: str

    def summary(self) -> str:
        """Say what was measured."""
        return f"{self.flops / 1e9:,.0f} GFLOP/s in {self.dtype}"


def measure_speed(device: Hardware, seconds: float = 0.3) -> Speed:
    """Time a large matrix product and a very small one on this device.

    Parameters
    ----------
    device
        From ``hardware.probe``.
    seconds
        How long each of the two is repeated.
    """
    import torch

    dtype, place = hardware.compute_dtype(device), device.kind
    wait = getattr(torch, place).synchronize if place != "cpu" else lambda: None
    size = 1024 if place == "cpu" else 4096
    large = torch.ones(size, size, dtype=getattr(torch, dtype), device=place)
    small = large[:8, :8].contiguous()
    each = _time_of(lambda: large @ large, wait, seconds)
    call = _time_of(lambda: small @ small, wait, seconds, at_once=50)
    return Speed(2 * size**3 / each, call, dtype)


def _time_of(
    work: Callable[[], Any], wait: Callable[[], Any], seconds: float, at_once: int = 1
) -> float:
    work(), wait()  # the first call sets things up
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(at_once):
            work()
        wait()
        done += at_once
    return (time.perf_counter() - started) / done
