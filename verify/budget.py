"""Decides how many notebooks run at once: what the machine has, what each one takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from verify import machine, receipts
from verify.catalog import Entry

GIB = 2**30
KEPT_FREE = 0.1  # of the free memory, for everything else on the machine
UNKNOWN = 2 * GIB  # what a notebook without limit and receipt is taken to need
ROOM = 1.1  # a run may take a little more than the last one did


@dataclass(frozen=True)
class Need:
    """What one notebook takes: seconds, bytes, and whether a GPU of its own."""

    entry: Entry
    seconds: float
    memory: int
    gpu: bool


@dataclass
class Budget:
    """What is left to give: cores, bytes, and GPUs, each of which serves one notebook.

    ``given`` remembers what each running notebook was given, by its name.
    """

    cores: int
    memory: int
    gpus: list[str]
    given: dict[str, tuple[int, str | None]] = field(default_factory=dict)

    @classmethod
    def of_machine(cls, jobs: int | None, accelerated: bool) -> Budget:
        """Read what this machine has; ``jobs`` notebooks at most, where it is given."""
        memory = int(machine.memory_free() * (1 - KEPT_FREE))
        gpus = machine.gpu_indices() if accelerated else []
        cores = machine.cores()
        return cls(min(cores, jobs) if jobs else cores, memory, gpus)

    def take(self, waiting: Sequence[Need]) -> tuple[Need, str | None] | None:
        """Give the first that fits what it needs; return it with its GPU, or None.

        A notebook that needs more memory than there is runs when nothing else does:
        its own limit then decides.
        """
        for need in waiting:
            alone = not self.given
            fits = need.memory <= self.memory or alone
            free = not need.gpu or bool(self.gpus) or alone
            if len(self.given) < self.cores and fits and free:
                gpu = self.gpus.pop(0) if need.gpu and self.gpus else None
                self.memory -= need.memory
                self.given[need.entry.name] = (need.memory, gpu)
                return need, gpu
        return None

    def give_back(self, name: str) -> None:
        """Take back what a notebook was given; it has ended."""
        memory, gpu = self.given.pop(name)
        self.memory += memory
        if gpu is not None:
            self.gpus.append(gpu)

    def words(self) -> str:
        """Say what there is to give."""
        gpus = f", {len(self.gpus)} GPU" if self.gpus else ""
        return f"{self.cores} at once, {self.memory / GIB:.1f} GiB free{gpus}"


def needs(entries: Sequence[Entry], profile: str) -> list[Need]:
    """Say what each notebook takes, the longest first; an unknown one counts longest.

    Durations and memory come from the last receipt. Without one, memory comes from the
    limit in the catalog.
    """
    found = [_need(entry, profile) for entry in entries]
    return sorted(found, key=lambda need: need.seconds, reverse=True)


def _need(entry: Entry, profile: str) -> Need:
    limit = entry.peak_rss_gib
    seconds, memory = math.inf, int(limit * GIB) if limit else UNKNOWN
    path = receipts.receipt_path(entry.root, entry.name, profile)
    try:
        last = receipts.read(path)
    except receipts.ReceiptError:
        last = None
    if last is not None and last.status == "passed":
        seconds = last.seconds
        memory = int((last.peak_rss_gib or 0) * ROOM * GIB) or memory
    gpu = any(need in ("cuda", "npu") for need in entry.profiles[profile].needs)
    return Need(entry, seconds, memory, gpu)
