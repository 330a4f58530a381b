"""Times the handbook itself: every notebook alone, and the book left unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from verify.bench.clock import say, timed

Figure = dict[str, Any]


def measure(root: Path, python: str, runs: int) -> list[Figure]:
    """Return every figure; ``python`` is the notebooks' Python."""
    return [*notebooks(root, python, runs), unchanged_book(root, runs)]


def notebooks(root: Path, python: str, runs: int) -> list[Figure]:
    """Run every notebook ``runs`` times, one at a time, from scratch."""
    seen: dict[str, list[tuple[float, float]]] = {}
    for number in range(runs):
        command = [python, "-m", "verify", "run", "--force", "--jobs", "1"]
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
        for path in sorted((root / "notebooks").glob("*.ipynb")):
            receipt = root / "_build/receipts" / f"{path.stem}.cpu.json"
            data = json.loads(receipt.read_text(encoding="utf-8"))
            found = (data["seconds"], data["peak_rss_gib"] or 0.0)
            seen.setdefault(path.stem, []).append(found)
        say(f"every notebook alone, {number + 1} of {runs}")
    figures = []
    for name, pairs in seen.items():
        seconds, peaks = zip(*pairs, strict=True)
        figures.append(figure(f"{name}, s", list(seconds)))
        figures.append(figure(f"{name}, peak RSS GiB", list(peaks)))
    return figures


def unchanged_book(root: Path, runs: int) -> Figure:
    """Build the book again with nothing changed, environments and all."""
    command = [sys.executable, str(root / "noxfile.py"), "-s", "book"]
    times = []
    for number in range(runs + 1):
        times.append(timed(command, root).seconds)
        say(f"book, nothing changed, {number} of {runs}: {times[-1]:.1f} s")
    return figure("book, nothing changed, s", times[1:])  # the first one may change


def figure(name: str, values: list[float]) -> Figure:
    """Summarize one measured quantity."""
    return {
        "name": name,
        "median": median(values),
        "min": min(values),
        "max": max(values),
        "runs": len(values),
    }


def row(found: Figure) -> str:
    """Return one line of the table."""
    spread = f"{found['min']:.2f} to {found['max']:.2f}"
    head = f"{found['name']:48s} {found['median']:8.2f}"
    return f"{head}   ({spread}, {found['runs']} runs)"
