"""The folder of a run: whose it is, where to resume, its log, and how results land."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

RUN_FILE = "run.json"
LOG_FILE = "training_metrics.jsonl"
RESULTS = ("adapter_model.safetensors", "hf_format", LOG_FILE)
CHECKPOINT = re.compile(r"checkpoint-(\d+)$")


class RunFolderError(ValueError):
    """The output folder belongs to something else."""


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quick_digest(path: Path, ends: int = 2**24) -> str:
    """Tell large files apart in no time: their size, first and last 16 MiB."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(ends))
        file.seek(max(0, size - ends))
        digest.update(file.read())
    return digest.hexdigest()[:16]


# region: claim
def claim(folder: str | Path, run: dict[str, Any]) -> str | None:
    """Take the output folder for this run; return the checkpoint to resume from.

    Parameters
    ----------
    folder
        ``ckpt_output_dir``.
    run
        What decides the result: algorithm, parameters, digests of data and model.

    Returns
    -------
    str or None
        The newest complete checkpoint of an unfinished run with the same parameters.

    Raises
    ------
    RunFolderError
        If the folder holds another run; the message names the first difference.
    """
    folder = Path(folder)
    record = folder / RUN_FILE
    if not record.exists():
        found = [n for n in RESULTS if (folder / n).exists()]
        if found or any(folder.glob("checkpoint-*")):
            raise RunFolderError(
                f"{folder} holds the results of another program "
                f"({(found or ['checkpoints'])[0]}): name an empty ckpt_output_dir."
            )
        write_json(record, {"run": run, "finished": False})
        return None
    stored = json.loads(record.read_text())
    difference = _first_difference(stored["run"], json.loads(json.dumps(run)))
    if difference:
        raise RunFolderError(
            f"{folder} holds another run ({difference}): name an empty "
            "ckpt_output_dir, or delete that folder."
        )
    if stored["finished"]:
        print(f"{folder} holds this very run, finished: training it again")
        for old in folder.glob("checkpoint-*"):
            shutil.rmtree(old)
        (folder / LOG_FILE).unlink(missing_ok=True)
        write_json(record, {"run": run, "finished": False})
        return None
    return usable_checkpoint(folder)


# endregion: claim


def _first_difference(
    old: dict[str, Any], new: dict[str, Any], prefix: str = ""
) -> str:
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            inner = _first_difference(a, b)
            if inner:
                return inner
        elif a != b:
            return f"{prefix}{name} is {_short(a)} there and {_short(b)} here"
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def finish(folder: str | Path) -> None:
    """Mark the run as finished; a later identical call trains again from the start."""
    record = Path(folder) / RUN_FILE
    write_json(record, json.loads(record.read_text()) | {"finished": True})


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside ``path`` and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(value, indent=1, default=str) + "\n")
    os.replace(beside, path)


# region: usable_checkpoint
def usable_checkpoint(folder: str | Path) -> str | None:
    """Return the newest checkpoint whose files can be read, or None.

    A run killed while saving leaves a truncated newest checkpoint. It is named and
    skipped, and the one before it is used.
    """
    from training_hub.checkpoint_utils import is_valid_checkpoint_dir

    folder = Path(folder)
    numbered = [
        (int(m[1]), p) for p in folder.glob("*") if (m := CHECKPOINT.match(p.name))
    ]
    for _, path in sorted(numbered, reverse=True):
        if not is_valid_checkpoint_dir(path, folder):
            problem = "was not finished"
        else:
            problem = _unreadable(path)
        if problem is None:
            return str(path)
        print(f"skipping {path.name}: {problem}")
    return None


def _unreadable(path: Path) -> str | None:
    """Return what is wrong with a checkpoint folder, or None."""
    import pickle

    import torch
    from safetensors import SafetensorError, safe_open

    damage = (SafetensorError, RuntimeError, EOFError, OSError, ValueError)
    weights = list(path.glob("*.safetensors"))
    needed = ["trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state*.pth"]
    missing = [n for n in needed if not list(path.glob(n))]
    if not weights or missing:
        return f"{missing[0] if missing else 'the weights'} missing"
    try:
        json.loads((path / "trainer_state.json").read_text())
        for file in weights:
            with safe_open(file, framework="pt"):
                pass
        torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu")
    except (*damage, pickle.UnpicklingError) as error:
        said = str(error).splitlines() or [type(error).__name__]
        return f"cannot be read ({said[0][:60]})"
    return None


# endregion: usable_checkpoint


def place(folder: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a folder beside ``folder``, then move its files into place."""
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        write(beside)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(beside.iterdir()):
        os.replace(file, folder / file.name)
    beside.rmdir()


def final_model(folder: str | Path) -> str:
    """Return the newest ``hf_format/samples_N`` of an ``sft`` run, by number."""
    found = sorted(
        Path(folder).glob("hf_format/samples_*"),
        key=lambda path: float(path.name.removeprefix("samples_")),
    )
    if not found:
        raise FileNotFoundError(f"{folder} holds no hf_format/samples_N: no result yet")
    return str(found[-1])


class LossLog(TrainerCallback):
    """Write one JSON line per log event, once per step even after a resume.

    Training Hub's own log is append-only: a killed and resumed run repeats the lines
    between the checkpoint and the kill. This one cuts them when the run starts.
    ``learning_rate`` is the rate the optimizer used in that step, not the next one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / LOG_FILE
        self.rate: float | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        """Keep the lines up to the step where this run starts."""
        if not state.is_world_process_zero or not self.path.exists():
            return
        kept = [r for r in read_log(self.path) if r["step"] <= state.global_step]
        beside = self.path.with_name(LOG_FILE + ".part")
        beside.write_text("".join(json.dumps(r) + "\n" for r in kept))
        os.replace(beside, self.path)

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        """Remember the learning rate of the step that is about to happen."""
        self.rate = optimizer.param_groups[0]["lr"]

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Append one line; the summary at the end of training has no loss of a step."""
        if not state.is_world_process_zero or "loss" not in (logs or {}):
            return
        head = {"step": state.global_step, "epoch": state.epoch}
        row = head | {"max_steps": state.max_steps} | dict(logs)
        if self.rate is not None:
            row["learning_rate"] = self.rate
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a loss log; ``path`` is the file or the folder of the run.

    The last line of a killed run may be cut off; it is left out.
    """
    path = Path(path)
    file = path / LOG_FILE if path.is_dir() else path
    lines = file.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
