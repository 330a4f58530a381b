"""What decides the bits of a run, written down beside it and compared later."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snippets import hardware
from snippets.backends import run_folder

PACKAGES = (
    "accelerate", "bitsandbytes", "datasets", "instructlab-training", "numpy", "peft",
    "tokenizers", "torch", "training-hub", "transformers", "trl",
)  # fmt: skip

# Variables that keep torch's, oneDNN's and MKL's kernels to AVX2 instructions.
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


# region: conditions
def conditions() -> dict[str, Any]:
    """Return what this process computes with, besides the call and its data.

    Returns
    -------
    dict
        Values for JSON: ``python``, ``device``, ``instructions`` (the vector
        instructions that torch chose), ``threads``, ``processes``, and a version for
        each of ``PACKAGES`` that is installed.
    """
    import torch

    found = {
        "python": platform.python_version(),
        "device": hardware.probe().name,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
    }
    return found | {name: v for name in PACKAGES if (v := _version(name))}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Say what differs between two runs' conditions, one sentence for each."""
    return [
        f"{name} was {there.get(name, 'not there')}, is {here.get(name, 'not there')}"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]


# endregion: conditions


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# region: elsewhere
def run_elsewhere(algorithm: str, variables: Mapping[str, str], **call: Any) -> str:
    """Make a Training Hub call in a new process with other environment variables.

    Parameters
    ----------
    algorithm
        ``"lora_sft"`` or ``"sft"``, with this project's backends.
    variables
        For example ``{"OMP_NUM_THREADS": "2"}``; libraries read them as they start.
    call
        The arguments of the call, all JSON values.

    Returns
    -------
    str
        What the process printed.

    Raises
    ------
    RuntimeError
        If the process failed, with the last line it wrote.
    """
    folder = Path(call["ckpt_output_dir"])
    job = folder.with_name(folder.name + ".call.json")
    run_folder.write_json(job, {"algorithm": algorithm, "parameters": call})
    root = str(Path(__file__).resolve().parents[1])
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "snippets.backends.launch", str(job)],
        env=os.environ | {"PYTHONPATH": search} | variables,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"the run with {dict(variables)} failed: {said}")
    return done.stdout


# endregion: elsewhere
