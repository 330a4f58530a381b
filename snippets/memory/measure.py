"""Counts the bytes that a training step really allocates, so that a plan can be held
against them; a CPU is enough, because tensors have the same size everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any


# region: peak
def peak_bytes(work: Callable[[], Any]) -> int:
    """Run something and return the most bytes torch held at once beyond the start.

    Every allocation of torch's CPU allocator counts, those inside kernels too, as its
    profiler reports them. Memory that other libraries take does not.

    Parameters
    ----------
    work
        Called once, for example a forward and a backward pass.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or it tells of each start and stop
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = [
        e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"
    ]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate((event.nbytes() for event in events), initial=0))


# endregion: peak


# region: saved
@dataclass
class Saved:
    """Storages that autograd keeps for a backward pass, and what they take."""

    sizes: dict[int, int] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)  # a freed one would give its place on

    @property
    def total(self) -> int:
        """The sum in bytes; a storage that is saved twice counts once."""
        return sum(self.sizes.values())


@contextmanager
def saved_tensors(model: Any) -> Iterator[Saved]:
    """Count what autograd saves inside the block; weights and buffers are left out.

    Parameters
    ----------
    model
        Its own tensors do not count, because they are there anyway.

    Yields
    ------
    Saved
        ``total`` in bytes. This is also what offloading activations would move.
    """
    import torch

    own = {
        t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]
    }
    saved = Saved()

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved.kept.append(tensor)
            saved.sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved


# endregion: saved


# region: states
def tensor_bytes(tensors: Iterable[Any]) -> int:
    """Add up the bytes of tensors; those that share a storage count once."""
    storages = (tensor.untyped_storage() for tensor in tensors if tensor is not None)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def gradient_bytes(model: Any) -> int:
    """Add up the gradients that a model holds after a backward pass."""
    return tensor_bytes(parameter.grad for parameter in model.parameters())


def optimizer_bytes(optimizer: Any, least: int = 64) -> int:
    """Add up what an optimizer remembers after its first step.

    Counters, and look-up tables that all parameters share, are left out: they are
    smaller than ``least`` bytes, or the same few kilobytes for any model.
    """
    tables = ("qmap1", "qmap2")
    tensors = [
        value
        for state in optimizer.state.values()
        for name, value in state.items()
        if hasattr(value, "untyped_storage") and name not in tables
    ]
    return tensor_bytes(one for one in tensors if one.nbytes >= least)


# endregion: states
