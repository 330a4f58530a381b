"""Times what the project promises about time: medians of several runs, never one.

Run as ``python3 noxfile.py -s bench`` (``-- --runs 5`` for more runs). Every notebook
is executed alone, then the book is built again with nothing changed. The table is
printed and written to ``_build/bench.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from verify import catalog, execute

ROOT = Path(__file__).resolve().parents[1]
Figure = dict[str, object]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="repetitions (3)")
    parser.add_argument("--profile", default="cpu")
    options = parser.parse_args(argv)
    figures = notebooks(options.runs, options.profile) + [unchanged_book(options.runs)]
    for figure in figures:
        print(row(figure))
    out = ROOT / "_build" / "bench.json"
    beside = out.with_suffix(".part")
    beside.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, out)
    return 0


def notebooks(runs: int, profile: str) -> list[Figure]:
    """Execute every notebook ``runs`` times, one at a time, from scratch."""
    known = catalog.load(ROOT)
    seen: dict[str, list[execute.Receipt]] = {}
    for _ in range(runs):
        done = execute.run(known, profile=profile, force=True, jobs=1)
        for name, receipt in done.items():
            if receipt.status != "passed":
                sys.exit(f"{name} did not pass, so its time means nothing")
            seen.setdefault(name, []).append(receipt)
    figures = []
    for name, receipts in seen.items():
        figures.append(figure(f"{name}, s", [r.seconds for r in receipts]))
        peaks = [r.peak_rss_gib for r in receipts]
        figures.append(figure(f"{name}, peak RSS GiB", peaks))
    return figures


def unchanged_book(runs: int) -> Figure:
    """Build the book again with nothing changed, environments and all."""
    command = [sys.executable, str(ROOT / "noxfile.py"), "-s", "book"]
    times = []
    for _ in range(runs + 1):
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - began)
    return figure("book, nothing changed, s", times[1:])  # the first one may change


def figure(name: str, values: list[float]) -> Figure:
    """Summarize one measured quantity."""
    return {
        "name": name,
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "runs": len(values),
    }


def row(f: Figure) -> str:
    """Return one line of the table."""
    spread = f"{f['min']:.2f} to {f['max']:.2f}"
    return f"{f['name']:48s} {f['median']:8.2f}   ({spread}, {f['runs']} runs)"


if __name__ == "__main__":
    sys.exit(main())
