"""Remembers how each run went, so that a page can show more than the last one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from verify import receipts
from verify.receipts import Receipt

KEPT = 60  # runs a notebook and profile, the newest
FIELDS = ("started", "status", "seconds", "peak_rss_gib", "commit", "dirty")


def path(root: Path, name: str, profile: str) -> Path:
    """Where runs on this machine are remembered, one line each."""
    return root / "_build" / "history" / f"{name}.{profile}.jsonl"


def committed_path(root: Path, name: str, profile: str) -> Path:
    """Where the repository remembers runs."""
    return root / "receipts" / name / f"{profile}.history.jsonl"


def remember(root: Path, receipt: Receipt) -> None:
    """Add a run to the history of this machine."""
    place = path(root, receipt.notebook, receipt.profile)
    runs = [*_lines(place), line(receipt)]
    _write(place, runs)


def keep(root: Path, name: str, profile: str) -> int:
    """Take what this machine remembers into the repository; return how many runs."""
    runs = read(root, name, profile)
    _write(committed_path(root, name, profile), runs)
    return len(runs)


def read(root: Path, name: str, profile: str) -> list[dict[str, Any]]:
    """Return the remembered runs of both places, oldest first, none twice."""
    places = (committed_path(root, name, profile), path(root, name, profile))
    runs = {run["started"]: run for place in places for run in _lines(place)}
    return sorted(runs.values(), key=lambda run: run["started"])[-KEPT:]


def line(receipt: Receipt) -> dict[str, Any]:
    """Return what is remembered of a run."""
    processor = receipt.device.get("name", "")
    gpus = [gpu["name"] for gpu in receipt.device.get("gpus", [])]
    told = {field: getattr(receipt, field) for field in FIELDS}
    return {**told, "device": ", ".join(gpus) or processor}


def _lines(place: Path) -> list[dict[str, Any]]:
    """Read a history; a line that was cut off by a crash is left out."""
    lines = place.read_text("utf-8").splitlines() if place.is_file() else []
    return [json.loads(text) for text in lines if text.endswith("}")]


def _write(place: Path, runs: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(run) + "\n" for run in runs[-KEPT:])
    receipts.write_text(place, text)
