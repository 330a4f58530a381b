"""What every part of a run costs on one device: memory, disk and seconds.

Sources: 6 floating point operations a parameter and token for a training step, 2 of
them forward, and the term of attention, Kaplan et al. 2020 (arXiv:2001.08361, section
2.1); one more forward pass under activation checkpointing, Chen et al. 2016
(arXiv:1604.06174).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from snippets import memory
from snippets.memory import Breakdown, Geometry
from snippets.preflight.device import Speed
from snippets.preflight.request import SHORTEST, Extra, Run

__all__ = ["Bill"]

# Shares and counts that the estimate rests on, set by timing both tutorials on a CPU.
UTILIZATION = 0.5  # of the large matrix product's speed
CALLS = 150  # small operations a layer and forward pass, three times that with backward
ADAPTED = 1.5  # adapters and NF4 make layers slower: LitGPT measured 1.56 to 1.62
IMPORTS = 10.0  # seconds until a new process has imported everything
SPREAD = 2.5  # the range is a factor of this to both sides
SMALL_FILES = 64 * 2**20  # tokenizers, logs, data and the MLflow file of a tutorial


@dataclass(frozen=True)
class Bill:
    """What every part costs on one device."""

    geometry: Geometry
    run: Run
    lengths: tuple[int, ...]  # tokens of every row or document
    new_tokens: int
    speed: Speed
    kind: str  # of the device
    packed: bool = False  # documents, cut into blocks

    def changed(self, method: str = "", **changes: Any) -> Bill:
        """Return the bill of another run."""
        method = method or self.run.method
        return replace(self, run=replace(self.run, method=method, **changes))

    @property
    def samples(self) -> int:
        """Rows or blocks that are trained on in an epoch."""
        share = 1 - self.run.held_out / len(self.lengths)
        limit = self.run.max_seq_len
        if self.packed:
            return max(1, math.ceil(share * sum(self.lengths) / limit))
        return max(1, round(share * sum(SHORTEST <= n < limit for n in self.lengths)))

    @property
    def steps(self) -> int:
        """Optimizer steps of one training."""
        an_epoch = math.ceil(self.samples / self.run.effective_batch_size)
        return math.ceil(self.run.num_epochs * an_epoch)

    def memory(self) -> Breakdown:
        """Return the bytes at the peak of a training step."""
        run, on_cpu = self.run, self.kind == "cpu"
        return memory.estimate(
            self.geometry,
            run.method,
            r=run.lora_r,
            micro_batch=run.micro_batch_size,
            seq_len=run.max_seq_len,
            checkpointing=run.gradient_checkpointing,
            compute_dtype_bytes=4 if on_cpu else 2,
            weights_dtype_bytes=4 if on_cpu or run.method == "qlora" else None,
        )

    def merged(self) -> int:
        """Return the bytes of the whole model in the dtype that it computes in."""
        return self.geometry.parameters * (4 if self.kind == "cpu" else 2)

    def disk(self, part: Extra) -> int:
        """Return the bytes that a part of the tutorial leaves on disk."""
        geometry, run = self.geometry, self.run
        tokenizer = 128 * geometry.vocabulary  # bytes; Gemma 3 has 126 a token
        if run.method == "full":
            trained, result = geometry.parameters, 2 * geometry.parameters
        else:
            trained = memory.lora_parameters(geometry, run.lora_r)
            result = 4 * trained
        whole = part.merged * (2 * geometry.parameters + tokenizer)
        kept = part.checkpoints * (12 * trained + tokenizer)
        return int(part.results * (result + tokenizer) + kept + whole)

    def seconds(self, part: Extra) -> float:
        """Estimate how long a part of the tutorial takes."""
        training = part.runs * (self._training() + 2)  # 2 to load and to save
        answers = part.evaluations * self._evaluation()
        return training + answers + part.processes * IMPORTS

    def _training(self) -> float:
        run = self.run
        lengths = [n for n in self.lengths if n < run.max_seq_len]
        each = run.max_seq_len if self.packed else sum(lengths) / max(1, len(lengths))
        tokens = run.num_epochs * self.samples * each
        times = (3 if run.method == "full" else 2) + run.gradient_checkpointing
        passes = self.steps * run.effective_batch_size / run.micro_batch_size
        return tokens * times * self._forward() + 3 * passes * self._calls()

    def _evaluation(self) -> float:
        batches = math.ceil(self.run.answered / 64)
        asked = min(sum(self.lengths) / len(self.lengths), self.run.max_seq_len)
        tokens = self.run.answered * (asked + self.new_tokens)
        return tokens * self._forward() + batches * self.new_tokens * self._calls()

    def _forward(self) -> float:
        """Seconds a token: two operations a weight, and attention over the row."""
        geometry = self.geometry
        head = geometry.vocabulary * geometry.hidden
        attention = geometry.layers * self.run.max_seq_len * geometry.attention
        operations = 2 * (geometry.linear_parameters + head + attention)
        return operations / (UTILIZATION * self.speed.flops)

    def _calls(self) -> float:
        """Seconds that the many small operations of one forward pass take."""
        slower = 1.0 if self.run.method == "full" else ADAPTED
        return self.geometry.layers * CALLS * slower * self.speed.call

    def model(self) -> str:
        """Say how large the model is."""
        geometry = self.geometry
        return (
            f"{geometry.parameters:,} parameters in {geometry.layers} layers, "
            f"vocabulary of {geometry.vocabulary:,}"
        )

    def data(self) -> str:
        """Say what is trained on."""
        lengths, limit = self.lengths, self.run.max_seq_len
        span = f"{len(lengths)} of {min(lengths)} to {max(lengths)} tokens"
        if self.packed:
            return f"documents: {span}, in blocks of {limit}"
        long = sum(n >= limit for n in lengths)
        return f"rows: {span}" + (f", {long} too long are dropped" if long else "")

    def plan(self) -> str:
        """Say how it is trained."""
        run = self.run
        method = run.method + (
            "" if run.method == "full" else f" with r = {run.lora_r}"
        )
        checkpointing = ", checkpointing" if run.gradient_checkpointing else ""
        return (
            f"{method}, {self.steps} steps of {run.effective_batch_size}, "
            f"{run.micro_batch_size} in a pass{checkpointing}"
        )


def duration(seconds: float) -> str:
    """Say seconds as a reader says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def spread(seconds: float) -> tuple[float, float]:
    """Return the least and the most that an estimate stands for."""
    return seconds / SPREAD, seconds * SPREAD
