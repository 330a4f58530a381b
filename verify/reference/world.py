"""The folder that calls are tried in: the tiny base and a few rows of every kind."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from datasets import config

from snippets.data import write_jsonl

BASE = Path(__file__).resolve().parents[2] / "snippets" / "fixtures" / "tiny-base"
ROWS = 48
OURS = ("MLFLOW_", "WANDB_", "TRAINING_HUB_", "TENSORBOARD_")  # set by the call
LAUNCHERS = ("PET_", "MASTER_", "WORLD_SIZE", "RANK", "LOCAL_RANK", "TRUST_REMOTE_CODE")
INSTRUCTIONS = ("instruction", "input", "output", "question", "given", "answer")


@contextmanager
def workspace() -> Iterator[Path]:
    """Make the folder, hide the caller's own settings, and put all back afterwards."""
    before = dict(os.environ)
    hidden = [name for name in before if name.startswith((*OURS, *LAUNCHERS))]
    with tempfile.TemporaryDirectory(prefix="reference-") as made:
        folder = Path(made).resolve()
        write_models(folder)
        write_rows(folder)
        for name in hidden:
            del os.environ[name]
        os.environ["HF_HUB_OFFLINE"] = "1"
        try:
            with patch.object(config, "HF_DATASETS_CACHE", folder / "cache"):
                yield folder
        finally:
            os.environ.clear()
            os.environ.update(before)


def write_models(folder: Path) -> None:
    """Copy the base as MODEL and OTHER, and as VISION, which only says it can see."""
    for name in ("MODEL", "OTHER", "VISION"):
        shutil.copytree(BASE, folder / name)
    config = folder / "VISION" / "config.json"
    said = json.loads(config.read_text(encoding="utf-8"))
    said["architectures"] = ["Qwen3ForConditionalGeneration"]
    config.write_text(json.dumps(said), encoding="utf-8")


def write_rows(folder: Path) -> None:
    """Write conversations, documents and instructions that are long enough to keep."""
    write_jsonl(folder / "DATA.jsonl", [{"messages": turns(n)} for n in range(ROWS)])
    write_jsonl(folder / "EVAL.jsonl", [{"messages": turns(n)} for n in range(9)])
    dialogs = [{"messages": turns(n), "dialog": turns(n + 1)[:2]} for n in range(ROWS)]
    write_jsonl(folder / "DIALOGS.jsonl", dialogs)
    documents = [
        {"messages": turns(n), "document": text(n), "text": text(n) * 2}
        for n in range(ROWS)
    ]
    write_jsonl(folder / "DOCUMENTS.jsonl", documents)
    rows = [{name: f"{name} {n}" for name in INSTRUCTIONS} for n in range(ROWS)]
    write_jsonl(folder / "ALPACA.jsonl", rows)


def text(number: int) -> str:
    """Return a sentence of about 30 tokens."""
    return f"Job {number} of the queue waits for a card, runs, and writes its log. " * 2


def turns(number: int) -> list[dict[str, str]]:
    """Return a conversation of four turns; every eighth is longer than the others."""
    asked = {"role": "user", "content": f"What does job {number} do?"}
    told = {"role": "assistant", "content": text(number) * (1 if number % 8 else 6)}
    thanks = {"role": "user", "content": "And what comes after it has ended?"}
    return [asked, told, thanks, {"role": "assistant", "content": text(number + 1)}]


def placed(value: Any, folder: Path) -> Any:
    """Put the folder before every path of a call's value."""
    if isinstance(value, str) and value.split("/")[0].split(".")[0] in NAMES:
        return str(folder / value)
    if value == "CALLBACK":
        from verify.reference.callback import Silent

        return Silent()
    return value


NAMES = {"MODEL", "OTHER", "VISION", "DATA", "EVAL", "DIALOGS", "DOCUMENTS", "ALPACA"}
NAMES |= {"OUT"}


@contextmanager
def settings_undone() -> Iterator[None]:
    """Undo what a call sets in the environment."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def settings() -> dict[str, str]:
    """Return what the call has set for trackers and Training Hub so far."""
    return {name: v for name, v in os.environ.items() if name.startswith(OURS)}
