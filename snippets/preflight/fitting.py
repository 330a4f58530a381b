"""What the check chooses: the micro batch, and the extras there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from snippets.hardware import Hardware
from snippets.memory import in_units
from snippets.preflight.bill import SMALL_FILES, Bill, duration
from snippets.preflight.device import Room
from snippets.preflight.request import MAIN, SHORTEST, Extra, PreflightError, Run

__all__ = ()  # steps of preflight.check


def settle(run: Run, lengths: Sequence[int], config: Any, device: Hardware) -> Run:
    """Fill in what was left to the check, but for the micro batch."""
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    longest = max(lengths) + 1  # Training Hub drops a row that reaches the limit
    chosen = run.max_seq_len or min(longest, limit or longest)
    checkpointing = run.gradient_checkpointing
    if checkpointing is None:
        checkpointing = device.kind != "cpu"
    return replace(run, max_seq_len=chosen, gradient_checkpointing=checkpointing)


def require_rows(run: Run, lengths: Sequence[int]) -> None:
    """Raise when Training Hub would drop every conversation without a word."""
    if any(SHORTEST <= n < run.max_seq_len for n in lengths):
        return
    raise PreflightError(
        f"all {len(lengths)} rows would be dropped: they have {min(lengths)} to "
        f"{max(lengths)} tokens, and only {SHORTEST} <= tokens < {run.max_seq_len} "
        "is kept; raise max_seq_len, or change the length of the conversations"
    )


def with_micro_batch(bill: Bill, room: Room) -> Bill:
    """Choose the most rows in a pass that fit and divide the effective batch."""
    size, given = bill.run.effective_batch_size, bill.run.micro_batch_size
    if given and size % given:
        raise PreflightError(
            f"micro_batch_size {given} does not divide effective_batch_size {size}: "
            "choose a divisor, or 0 for the most that fit"
        )
    if given:
        return bill
    sizes = [n for n in range(size, 0, -1) if size % n == 0]
    tried = (bill.changed(micro_batch_size=n) for n in sizes)
    smallest = bill.changed(micro_batch_size=1)
    return next((one for one in tried if room.holds(one.memory().total)), smallest)


def choose(
    extras: Iterable[Extra], bill: Bill, room: Room
) -> tuple[list[Extra], dict[str, str]]:
    """Take extras in order while there is room; say why one is left out."""
    chosen: list[Extra] = []
    left_out: dict[str, str] = {}
    for extra in extras:
        parts = [MAIN, *chosen, extra]
        seconds = sum(map(bill.seconds, parts))
        disk = SMALL_FILES + sum(map(bill.disk, parts))
        if extra.merged and not room.holds(bill.merged()):
            need = in_units(bill.merged() + room.reserve)
            why = f"needs {need} of memory, {in_units(room.memory)} are free"
        elif disk > room.disk:
            need = in_units(bill.disk(extra))
            why = f"needs {need} of disk, and with it there would not be enough"
        elif seconds > room.seconds:
            need = duration(bill.seconds(extra))
            why = f"takes about {need}, and max_minutes leaves no time for it"
        else:
            chosen.append(extra)
            continue
        left_out[extra.name] = why
    return chosen, left_out
