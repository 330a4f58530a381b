"""Kill a run in the middle, as a preempted machine would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from snippets.backends import run_folder


# region: kill_at
def kill_at(step: int, algorithm: str, seconds: float = 300, **call: Any) -> int:
    """Start a Training Hub call in a process of its own and SIGKILL it at a step.

    Parameters
    ----------
    step
        The process is killed as soon as its log shows this optimizer step.
    algorithm
        ``"lora_sft"`` or ``"sft"``, with this project's backends.
    seconds
        How long to wait for that step.
    call
        The arguments of the call, all JSON values.

    Returns
    -------
    int
        The last step the log shows after the kill.

    Raises
    ------
    RuntimeError
        If the process ended by itself or the time was up.
    """
    folder = Path(call["ckpt_output_dir"])
    job = folder.with_name(folder.name + ".call.json")
    run_folder.write_json(job, {"algorithm": algorithm, "parameters": call})
    before = _state(folder)  # a log of an earlier run says nothing of this one
    root = str(Path(__file__).resolve().parents[1])
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "snippets.backends.launch", str(job)]
    environment = os.environ | {"PYTHONPATH": search}
    with (
        open(job.with_suffix(".out"), "w+") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process,
    ):
        deadline = time.monotonic() + seconds
        while _state(folder) == before or _last_step(folder) < step:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                out.seek(0)
                said = (out.read().strip().splitlines() or ["it said nothing"])[-1]
                raise RuntimeError(f"step {step} was never reached: {said}")
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    return _last_step(folder)


# endregion: kill_at


def _state(folder: Path) -> int:
    log = folder / run_folder.LOG_FILE
    return log.stat().st_mtime_ns if log.exists() else 0


def _last_step(folder: Path) -> int:
    log = folder / run_folder.LOG_FILE
    rows = run_folder.read_log(log) if log.exists() else []
    return rows[-1]["step"] if rows else 0
