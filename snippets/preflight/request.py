"""A training run as it is asked for, and the error that says it cannot start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Rows = Sequence[dict[str, Any]]
SHORTEST = 20  # tokens; Training Hub drops shorter conversations


class PreflightError(ValueError):
    """The run cannot start or would not fit; the message says what to change."""


@dataclass(frozen=True)
class Run:
    """One training run as it is asked for; 0 or None lets the check choose."""

    method: str  # full, lora or qlora
    num_epochs: float = 1
    effective_batch_size: int = 16  # rows or blocks an optimizer step
    micro_batch_size: int = 0  # of them in a forward pass; 0: the most that fit
    max_seq_len: int = 0  # tokens a row, or a block; 0: the longest row
    gradient_checkpointing: bool | None = None  # None: on GPUs only
    lora_r: int = 16
    held_out: int = 0  # rows that are not trained on
    answered: int = 0  # rows that every evaluation answers


@dataclass(frozen=True)
class Extra:
    """A part of a tutorial that is left out where time, disk or memory is short."""

    name: str
    runs: float = 1  # trainings as long as the main one
    results: float = 1  # adapters or models it writes
    checkpoints: int = 0  # with the state of the optimizer
    merged: int = 0  # whole models, which are built in memory, one at a time
    evaluations: float = 1
    processes: int = 0  # that start anew and import everything again


MAIN = Extra("the main run", evaluations=3)  # before, after, and three answers to read
