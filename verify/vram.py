"""Watches the memory of one GPU while a notebook has it alone."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

EVERY_MS = 250
MIB = 2**20


@dataclass
class Watch:
    """A running ``nvidia-smi`` that writes the memory in use, a line of MiB each."""

    file: Path
    before: int
    process: subprocess.Popen

    def peak(self) -> int:
        """Return the most bytes in use above what was in use before the run."""
        samples = _numbers(self.file.read_text(encoding="utf-8"))
        return max(0, max(samples, default=self.before) - self.before) * MIB

    def end(self) -> None:
        """Stop watching."""
        self.process.kill()
        self.process.wait()


def watch(gpu: str, file: Path) -> Watch | None:
    """Start to watch one GPU; None where nvidia-smi cannot tell, as for a MIG slice.

    A sample each quarter of a second sees what a training run holds: PyTorch keeps the
    memory that it once took. What is taken and given back between two samples is not
    seen.

    Parameters
    ----------
    gpu : str
        The GPU's index or UUID.
    file : Path
        Where samples go.
    """
    ask = ["nvidia-smi", "-i", gpu, "--query-gpu=memory.used"]
    ask.append("--format=csv,noheader,nounits")
    first = _numbers(subprocess.run(ask, capture_output=True, text=True).stdout)
    if not first:
        return None
    with file.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [*ask, "-lms", str(EVERY_MS)], stdout=out, stderr=subprocess.DEVNULL
        )
    return Watch(file, first[0], process)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^\s*(\d+)\s*$", text, re.MULTILINE)]
