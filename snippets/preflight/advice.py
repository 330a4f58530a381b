"""What is missing where a run does not fit, and what to change until it does."""

from __future__ import annotations

import shutil
from pathlib import Path

from snippets.memory import in_units
from snippets.preflight.bill import SMALL_FILES, Bill, duration
from snippets.preflight.device import Room
from snippets.preflight.request import MAIN

__all__ = ()  # steps of preflight.check


def too_large(bill: Bill, room: Room) -> list[str]:
    """Say how much memory is missing, and what to change until it fits."""
    need = bill.memory().total
    if room.holds(need):
        return []
    said, smallest = _ladder(bill, room)
    problem = (
        f"training needs {in_units(need)} and {in_units(room.reserve)} to spare, but "
        f"{in_units(room.memory)} of memory are free on this {bill.kind}"
    )
    advice = "; ".join(said)
    if room.holds(smallest.memory().total):
        return [f"{problem}: {advice}; then it fits."]
    return [f"{problem}: {advice + '; ' if said else ''}{_more(smallest, room)}."]


def _ladder(bill: Bill, room: Room) -> tuple[list[str], Bill]:
    """Climb until it fits; every rung says what it saves."""
    said: list[str] = []
    length = "block_size" if bill.packed else "max_seq_len"
    while not room.holds(bill.memory().total):
        rung = _next_rung(bill, length)
        if rung is None:
            break
        text, changed = rung
        saved = bill.memory().total - changed.memory().total
        said.append(f"{text} saves {in_units(saved)}")
        bill = changed
    return said, bill


def _next_rung(bill: Bill, length: str) -> tuple[str, Bill] | None:
    """Return the cheapest change that is left: first those that keep the result."""
    run = bill.run
    if run.micro_batch_size > 1:
        return "micro_batch_size = 1", bill.changed(micro_batch_size=1)
    if not run.gradient_checkpointing:
        text = "gradient_checkpointing = True"
        return text, bill.changed(gradient_checkpointing=True)
    if run.max_seq_len >= 1024:
        shorter = run.max_seq_len // 2
        return f"{length} = {shorter}", bill.changed(max_seq_len=shorter)
    if run.method != "qlora":
        text = "QLoRA instead of " + ("all weights" if run.method == "full" else "LoRA")
        return text, bill.changed(method="qlora")
    if run.lora_r > 8:
        return "lora_r = 8", bill.changed(lora_r=8)
    return None


def _more(bill: Bill, room: Room) -> str:
    """Say which model would fit, and which device."""
    need = bill.memory()
    a_parameter = (need.weights + need.workspace) / bill.geometry.parameters
    rest = need.total - need.weights - need.workspace
    left = max(0, room.memory - room.reserve - rest) / a_parameter
    total = in_units(need.total + room.reserve)
    smaller = f"of at most about {left / 1e9:.1f} B parameters, " if left > 5e7 else ""
    return f"then take a smaller model, {smaller}or a device with {total} free"


def too_long(bill: Bill, room: Room) -> list[str]:
    """Say what is missing of disk and time for the main run alone."""
    problems = []
    disk, seconds = SMALL_FILES + bill.disk(MAIN), bill.seconds(MAIN)
    if disk > room.disk:
        problems.append(
            f"the main run writes {in_units(disk)} and {in_units(room.disk)} are free: "
            "make room, or name a folder on another disk in output_dir."
        )
    if seconds > room.seconds:
        share = room.seconds / seconds
        rows = max(1, int(share * len(bill.lengths)))
        problems.append(
            f"the main run takes about {duration(seconds)}, and max_minutes allows "
            f"{duration(room.seconds)}: set max_rows to {rows}, or num_epochs to "
            f"{share * bill.run.num_epochs:.2g}, or allow more."
        )
    return problems


def no_room_for(download: int) -> list[str]:
    """Say where the download of a model would not fit."""
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE)
    folder = next(place for place in (cache, *cache.parents) if place.is_dir())
    free = shutil.disk_usage(folder).free
    if download <= free:
        return []
    return [
        f"the model takes about {in_units(download)} to download and {in_units(free)} "
        f"are free in {cache}: make room, or point HF_HOME to another disk."
    ]
