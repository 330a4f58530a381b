"""What one of several processes holds: everything under DDP, its share under FSDP.

``torchrun --nproc-per-node 2 -m snippets.sharding MODEL RESULT.json`` trains a few
steps each way and writes bytes and losses. FSDP is ``fully_shard``, PyTorch's FSDP2;
the other one, ``FullyShardedDataParallel``, refuses to start without an accelerator.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

ROWS, TOKENS, STEPS = 8, 64, 4


# region: spread
def spread(model: Any, way: str) -> Any:
    """Make a model train in all processes of the group.

    Parameters
    ----------
    model
        With the same weights in every process, and its decoder layers in
        ``model.model.layers``.
    way
        ``alone`` leaves it as it is, ``ddp`` copies it, ``fsdp`` cuts it in shares.
    """
    if way == "ddp":
        return torch.nn.parallel.DistributedDataParallel(model)
    if way == "fsdp":
        from torch.distributed.fsdp import fully_shard

        for layer in model.model.layers:  # gathered one at a time, when it is needed
            fully_shard(layer)
        fully_shard(model)
    return model


# endregion: spread


# region: held
def held(model: Any, optimizer: torch.optim.Optimizer) -> dict[str, int]:
    """Count the bytes that this process keeps between two steps."""
    weights = list(model.parameters())
    states = [v for s in optimizer.state.values() for v in s.values()]
    return {
        "weights": sum(map(_bytes, weights)),
        "gradients": sum(_bytes(w.grad) for w in weights if w.grad is not None),
        "optimizer": sum(_bytes(v) for v in states if torch.is_tensor(v)),
    }


def _bytes(tensor: torch.Tensor) -> int:
    mine = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return mine.numel() * mine.element_size()


# endregion: held


# region: train
def train(model: Any, way: str, ids: torch.Tensor) -> dict[str, Any]:
    """Train a few steps on this process's rows; return losses and bytes.

    Parameters
    ----------
    model
        A causal language model of transformers.
    way
        As for ``spread``; ``alone`` trains on all rows in every process.
    ids
        Tokens of all rows, of the shape (rows, tokens).
    """
    rank, size = dist.get_rank(), dist.get_world_size()
    mine = ids if way == "alone" else ids[rank::size]
    model = spread(model, way)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(input_ids=mine, labels=mine).loss
        loss.backward()
        optimizer.step()
        shown = loss.detach().clone()
        dist.all_reduce(shown)  # each process sees the loss of its own rows only
        losses.append(shown.item() / size)
    return {"losses": losses, **held(model, optimizer)}


# endregion: train


def measure(model_path: str, result: str | Path, processes: int = 2) -> dict[str, Any]:
    """Start this module in several processes and return what the first one wrote.

    Raises
    ------
    RuntimeError
        If a process failed, with the last line that was written.
    """
    root = str(Path(__file__).resolve().parents[1])
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "-m", "snippets.sharding"]
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, model_path, str(result)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"{processes} processes did not come to an end: {said}")
    return json.loads(Path(result).read_text(encoding="utf-8"))


def main(argv: list[str]) -> int:
    """Train all three ways in this process; the first one writes the result."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    dist.init_process_group("gloo")
    found = {}
    for way in ("alone", "ddp", "fsdp"):
        model = AutoModelForCausalLM.from_pretrained(argv[0], dtype=torch.float32)
        torch.manual_seed(0)
        ids = torch.randint(3, model.config.vocab_size, (ROWS, TOKENS))
        found[way] = train(model, way, ids)
    if dist.get_rank() == 0:
        Path(argv[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
