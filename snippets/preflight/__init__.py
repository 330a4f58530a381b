"""Whether a run fits this device, and how long it takes, before it costs anything."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snippets import hardware
from snippets.preflight import advice, fitting, model, tokens
from snippets.preflight.bill import SMALL_FILES, Bill, spread
from snippets.preflight.device import RESERVE, Room, Speed, free_memory, measure_speed
from snippets.preflight.flight import Flight
from snippets.preflight.folder import require_writable
from snippets.preflight.request import MAIN, Extra, PreflightError, Rows, Run

__all__ = [
    "Bill",
    "Extra",
    "Flight",
    "PreflightError",
    "Room",
    "Run",
    "Speed",
    "check",
    "measure_speed",
    "require_writable",
]


# region: check
def check(
    model_path: str,
    rows: Rows,
    output_dir: str | Path,
    *,
    extras: Iterable[Extra] = (),
    max_minutes: float = 0,
    warn_only: bool = False,
    free_bytes: int | None = None,
    **run: Any,
) -> Flight:
    """Hold a training run against this device before it costs anything.

    Parameters
    ----------
    model_path
        Folder or hub name. Its configuration and tokenizer are read, not its weights.
    rows
        Conversations (``messages``) or documents (``document``), held-out ones too.
    output_dir
        Where results will go; it is made, and a file is written there and removed.
    extras
        Parts that may be left out, the most important one first.
    max_minutes
        Extras that would take longer are left out; 0 sets no limit.
    warn_only
        Warn where memory, disk or time does not suffice, instead of raising.
    free_bytes
        Memory of the device to plan for; None asks what is free on this one.
    run
        Fields of ``Run``, for example ``method="qlora", num_epochs=3``.

    Raises
    ------
    PreflightError
        With one sentence: what is wrong or too small, by how much, what to change.
    """
    asked, device = Run(**run), hardware.probe()
    if len(rows) < 2:
        raise PreflightError(f"{len(rows)} rows: two are needed, one to hold out")
    require_writable(output_dir)
    config, tokenizer = model.read(model_path)
    geometry = model.geometry_of(config)
    warnings = tokens.check(tokenizer, geometry, rows)
    lengths = tokens.lengths_of(rows, tokenizer)
    free = free_memory(device) if free_bytes is None else free_bytes
    disk = shutil.disk_usage(output_dir).free
    room = Room(free, RESERVE[device.kind], disk, 60 * max_minutes or math.inf)
    asked = fitting.settle(asked, lengths, config, device)
    if "messages" in rows[0]:
        fitting.require_rows(asked, lengths)
    new_tokens = tokens.new_tokens(rows, tokenizer)
    speed = measure_speed(device)
    packed = "messages" not in rows[0]
    bill = Bill(geometry, asked, lengths, new_tokens, speed, device.kind, packed)
    bill = fitting.with_micro_batch(bill, room)
    download = 0 if Path(model_path).is_dir() else 2 * geometry.parameters
    problems = [*advice.too_large(bill, room), *advice.too_long(bill, room)]
    problems += advice.no_room_for(download)
    if problems and not warn_only:
        raise PreflightError(" ".join(problems))
    chosen, left_out = fitting.choose(extras, bill, room)
    return Flight(
        bill, room, left_out,
        seconds=spread(sum(bill.seconds(part) for part in (MAIN, *chosen))),
        disk=SMALL_FILES + sum(bill.disk(part) for part in (MAIN, *chosen)),
        download=download,
        warnings=(*warnings, *problems),
    )  # fmt: skip


# endregion: check
