"""Start the same call in several processes of this machine, through torchrun.

``python -m snippets.backends.launch PARAMETERS.json`` is what each process runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from snippets.backends.parameters import ParameterError

OURS = {
    "lora_sft": "peft",
    "sft": "transformers",
    "osft": "mini-trainer-inprocess",
}


def wanted(p: dict[str, Any]) -> bool:
    """Say whether this call must start processes instead of training itself."""
    return int(p.get("nproc_per_node", 1)) > 1 and "LOCAL_RANK" not in os.environ


# region: torchrun
def torchrun(algorithm: str, p: dict[str, Any]) -> dict[str, Any]:
    """Run the call in ``nproc_per_node`` processes and wait for them.

    Raises
    ------
    ParameterError
        If live callbacks were passed: they cannot cross into other processes.
    subprocess.CalledProcessError
        If a process failed; its own message is printed above.
    """
    if p.get("callbacks"):
        raise ParameterError(
            "callbacks do not work with nproc_per_node > 1: the objects live in this "
            "process. Start your script with torchrun instead."
        )
    from snippets.backends import run_folder  # imports transformers: not in `main`

    file = Path(p["ckpt_output_dir"]) / "torchrun.json"
    run_folder.write_json(file, {"algorithm": algorithm, "parameters": p})
    root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(p["nproc_per_node"]), "-m", __name__, str(file)]
    environment = os.environ | {"PYTHONPATH": search}
    environment.setdefault("OMP_NUM_THREADS", "1")
    subprocess.run(command, env=environment, check=True)
    output = p["ckpt_output_dir"]
    return {"output": run_folder.final_model(output) if algorithm == "sft" else output}


# endregion: torchrun


def main(argv: list[str]) -> int:
    """Train in this process with the parameters of a JSON file."""
    from snippets.backends import register

    job = json.loads(Path(argv[0]).read_text())
    register()
    import training_hub

    call = getattr(training_hub, job["algorithm"])
    call(backend=OURS[job["algorithm"]], **job["parameters"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
