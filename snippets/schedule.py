"""How many steps a run takes and which learning rate each one uses, known before it."""

from __future__ import annotations

import math
from dataclasses import dataclass

NAMES = {"wsd": "warmup_stable_decay"}
FOLLOW_THE_LOSS = {"reduce_lr_on_plateau", "greedy"}


class ScheduleError(ValueError):
    """The run would not train as its parameters promise."""


# region: schedule
@dataclass(frozen=True)
class Schedule:
    """Every optimizer step of a run, before it starts.

    ``learning_rates[i]`` and ``samples_per_step[i]`` belong to step ``i``,
    counted from 0. ``peak`` is the learning rate that was asked for.
    """

    learning_rates: tuple[float, ...]
    samples_per_step: tuple[int, ...]
    peak: float
    warmup_steps: int
    name: str

    @property
    def steps(self) -> int:
        """The number of optimizer steps."""
        return len(self.learning_rates)

    @property
    def highest(self) -> float:
        """The highest learning rate that a step really uses."""
        return max(self.learning_rates)

    def require_peak(self) -> Schedule:
        """Return the schedule, or raise when no step reaches the peak.

        Raises
        ------
        ScheduleError
            When the warm-up is as long as the run or longer, or when the
            scheduler stays below the peak for another reason.
        """
        if self.highest >= 0.999 * self.peak:
            return self
        reached = f"{self.highest / self.peak:.0%}".replace("%", " %")
        peaks = f"peak at {reached} of {self.peak:g} ({self.highest:.2g})"
        if self.warmup_steps < self.steps:
            raise ScheduleError(
                f"the learning rate would {peaks}: scheduler {self.name} never "
                "reaches the value you asked for. Check lr_scheduler_kwargs."
            )
        longer = "longer than" if self.warmup_steps > self.steps else "as long as"
        raise ScheduleError(
            f"warm-up of {_steps(self.warmup_steps)} is {longer} the run of "
            f"{_steps(self.steps)}: the learning rate would {peaks}. "
            f"Lower warmup_steps below {self.steps} or train longer."
        )

    def summary(self) -> str:
        """Say in two lines what the optimizer will do."""
        samples = self.samples_per_step
        last = f", {min(samples)} in the last of an epoch"
        return (
            f"{_steps(self.steps)} of {max(samples)} samples"
            f"{last if min(samples) < max(samples) else ''}\n"
            f"  {self.name}, warm-up {_steps(self.warmup_steps)}, highest learning "
            f"rate {self.highest:.3g} of {self.peak:g}"
        )


def _steps(count: int) -> str:
    return f"{count} step" if count == 1 else f"{count} steps"


# endregion: schedule


# region: plan
def plan(
    num_samples: int,
    effective_batch_size: int,
    num_epochs: float,
    learning_rate: float,
    warmup_steps: float = 0,
    lr_scheduler: str = "cosine",
    **scheduler_kwargs,
) -> Schedule:
    """Work out the steps and learning rates of a run, as transformers.Trainer does.

    Parameters
    ----------
    num_samples
        Rows, or packed blocks for continued pretraining.
    effective_batch_size
        Samples an optimizer step: micro-batch x accumulation x processes.
    learning_rate
        The peak.
    warmup_steps
        Steps of linear warm-up; below 1 it is a share of all steps.
    lr_scheduler
        A name that transformers knows, or ``wsd`` for ``warmup_stable_decay``.
    scheduler_kwargs
        What the scheduler needs beside, for example ``num_decay_steps``.

    Raises
    ------
    ScheduleError
        When no step would be taken or the scheduler cannot be made.
    """
    sizes = _samples_per_step(num_samples, effective_batch_size, num_epochs)
    warmup = _warmup_steps(warmup_steps, len(sizes))
    if learning_rate <= 0:
        raise ScheduleError(f"learning_rate is {learning_rate}; it must be above 0")
    name = NAMES.get(lr_scheduler, lr_scheduler)
    if name in FOLLOW_THE_LOSS:
        raise ScheduleError(f"{name} follows the loss, so no plan can be made for it")
    rates = _learning_rates(name, learning_rate, warmup, len(sizes), scheduler_kwargs)
    return Schedule(rates, sizes, learning_rate, warmup, name)


def _warmup_steps(warmup: float, steps: int) -> int:
    if warmup < 0:
        raise ScheduleError(f"warmup_steps is {warmup}; it must not be below 0")
    return math.ceil(steps * warmup) if warmup < 1 else int(warmup)


def _samples_per_step(samples: int, batch: int, epochs: float) -> tuple[int, ...]:
    """The last step of an epoch takes what is left; an epoch never shares a step."""
    if samples <= 0 or batch <= 0 or epochs <= 0:
        raise ScheduleError(
            f"{samples} samples, effective_batch_size {batch} and {epochs} epochs "
            "make no step; all three must be above 0"
        )
    per_epoch = math.ceil(samples / batch)
    epoch = [batch] * (per_epoch - 1) + [samples - batch * (per_epoch - 1)]
    return tuple(
        epoch[step % per_epoch] for step in range(math.ceil(epochs * per_epoch))
    )


def _learning_rates(
    name: str, peak: float, warmup: int, steps: int, kwargs: dict
) -> tuple[float, ...]:
    """Step transformers' own scheduler with an optimizer that trains nothing."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    try:
        scheduler = get_scheduler(name, optimizer, warmup, steps, kwargs or None)
    except (TypeError, ValueError) as error:
        raise ScheduleError(f"scheduler {name} cannot be made: {error}") from error
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return tuple(rates)


# endregion: plan


def pretraining_blocks(num_tokens: int, block_size: int) -> int:
    """Count the blocks that a corpus is cut into; the last one is padded.

    Training Hub joins all documents and cuts every ``block_size`` tokens, so a
    block, not a document, is a sample of the schedule
    (``instructlab.training.sampler.PretrainingBlockDataset``).

    Raises
    ------
    ScheduleError
        When there is no token or no room in a block.
    """
    if num_tokens <= 0 or block_size <= 0:
        raise ScheduleError(
            f"{num_tokens} tokens in blocks of {block_size} make no block; "
            "both must be above 0"
        )
    return math.ceil(num_tokens / block_size)
