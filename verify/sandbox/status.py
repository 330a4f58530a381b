"""Prints what each part of a sandbox is, where it is, and whether it works."""

from __future__ import annotations

from verify.sandbox import processes
from verify.sandbox.life import healthy
from verify.sandbox.parts import PARTS
from verify.sandbox.state import Sandbox

HEAD = ("part", "real or double", "pid", "address", "RSS MB", "PSS MB", "healthy")
MEGABYTE = 1_000_000


def table(sandbox: Sandbox) -> str:
    """Return one line for each address, and the memory of all together."""
    living = processes.living(sandbox.folder)
    rows = [HEAD]
    total = 0
    for part in PARTS.values():
        mine = living.get(part.name, [])
        sizes = [processes.memory(process) for process in mine]
        rss, pss = (sum(size[kind] for size in sizes) for kind in (0, 1))
        total += pss
        well = "yes" if healthy(sandbox, part.name) else "no"
        pids = " ".join(str(process.pid) for process in mine) or "-"
        for place, (address, kind, what) in enumerate(part.about):
            shared = (part.name, f"{what} ({kind})", pids, getattr(sandbox, address))
            sizes = (mb(rss), mb(pss)) if place == 0 else ("", "")
            rows.append((*shared, *sizes, well))
    return f"{_aligned(rows)}\n\nIn all {mb(total)} MB (PSS); logs in {sandbox.logs}"


def mb(size: int) -> str:
    """Write bytes as megabytes."""
    return f"{size / MEGABYTE:.0f}"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in padded)
