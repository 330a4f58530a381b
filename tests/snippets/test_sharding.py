"""Several processes, and several machines, train what one process trains."""

from __future__ import annotations

import ast
import inspect
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from snippets import data, sharding, tiny, world
from snippets.backends import loop, parameters, run_folder

ROOT = Path(__file__).resolve().parents[2]
BASE = str(tiny.BASE)
SCRIPT = ROOT / "tests/snippets/train_anywhere.py"


@pytest.fixture
def chat(tmp_path):
    rows = [world.record_reply(t) for t in world.tickets()[:32]]
    return str(data.write_jsonl(tmp_path / "chat.jsonl", rows))


@pytest.fixture
def start():
    """Start Python with this project on its path; end what still runs afterwards."""
    started = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()


FOUR_BIT = """
import bitsandbytes, torch, torch.distributed as dist
from torch.distributed.fsdp import fully_shard
dist.init_process_group("gloo")
torch.manual_seed(0)
layer = bitsandbytes.nn.Linear4bit(64, 64, bias=False, quant_type="nf4").to("cpu")
layer.support_avx512bf16_for_cpu = False  # or it repacks its weights, which rounds
rows = torch.randn(8, 64)
whole = layer(rows)
fully_shard(layer)
here = layer.weight.to_local()  # before the first pass gathers it
same = torch.equal(layer(rows), whole)
if dist.get_rank() == 0:
    print("result:", here.dtype, here.numel(), same, flush=True)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def change(folder):
    """Return what an adapter adds to each layer, as one long vector."""
    found = load_file(Path(folder) / "adapter_model.safetensors")
    pairs = [
        (found[a.replace("lora_A", "lora_B")], found[a]) for a in found if "lora_A" in a
    ]
    return torch.cat([(b.float() @ a.float()).flatten() for b, a in pairs])


def test_two_nodes_train_like_one_process(start, chat, tmp_path):
    """Two launchers on this machine meet as two machines would, over TCP."""
    alone = start(str(SCRIPT), BASE, chat, str(tmp_path / "one"))
    assert alone.wait() == 0, alone.stdout.read()

    meet = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-id", "job-1"]
    meet += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}"]
    torchrun = ["-m", "torch.distributed.run", *meet, str(SCRIPT), BASE, chat]
    nodes = [start(*torchrun, str(tmp_path / "two")) for _ in range(2)]
    said = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "\n".join(said)
    assert sum("step    4 of 4" in text for text in said) == 1, "one process reports"

    one, two = (run_folder.read_log(tmp_path / name) for name in ("one", "two"))
    assert [row["step"] for row in two] == [1, 2, 3, 4]
    for a, b in zip(one, two, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-2)
    first, second = change(tmp_path / "one"), change(tmp_path / "two")
    assert (second - first).norm() < 0.05 * first.norm()


def test_fsdp_keeps_half_and_ddp_all_and_both_train_like_one(tmp_path):
    found = sharding.measure(BASE, tmp_path / "held.json")
    alone = found["alone"]
    for part in ("weights", "gradients", "optimizer"):
        assert found["ddp"][part] == alone[part]
        assert found["fsdp"][part] == pytest.approx(alone[part] / 2, rel=0.05)
    for way in ("ddp", "fsdp"):
        assert found[way]["losses"] == pytest.approx(alone["losses"], rel=1e-3)


def test_a_model_that_is_not_there_is_said_in_one_line(tmp_path):
    with pytest.raises(RuntimeError, match="2 processes did not come to an end"):
        sharding.measure(str(tmp_path / "nowhere"), tmp_path / "held.json")


@pytest.mark.parametrize(("processes", "micro"), [(1, 16), (2, 8), (4, 4), (8, 2)])
def test_the_effective_batch_is_that_of_all_processes(monkeypatch, processes, micro):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    assert loop.batching({"effective_batch_size": 16}) == (micro, 1)
    half = {"effective_batch_size": 16, "micro_batch_size": micro // 2}
    assert loop.batching(half) == (micro // 2, 2)


def test_a_batch_that_the_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(parameters.ParameterError, match="16 is not 5 .* x 3 processes"):
        loop.batching({"effective_batch_size": 16})


def test_the_default_lora_backend_starts_no_process():
    """It reads what torchrun left in the environment; its code starts nothing."""
    from instructlab.training import main_ds
    from mini_trainer import api_train
    from training_hub.algorithms import lora

    assert '"torchrun"' in inspect.getsource(main_ds.run_training)
    assert '"torchrun"' in inspect.getsource(api_train.run_training)
    tree = ast.parse(inspect.getsource(lora))
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert "torchrun" not in texts
    assert not any("subprocess" in ast.unparse(n) for n in imports)


@pytest.mark.parametrize(
    ("storage", "adapters", "said"),
    [
        (torch.uint8, torch.bfloat16, "Cannot flatten integer dtype"),
        (torch.bfloat16, torch.float32, "uniform dtype but got torch.bfloat16 and"),
        (torch.bfloat16, torch.bfloat16, None),
    ],
)
def test_fsdp1_joins_a_4bit_layer_only_where_storage_and_adapters_share_a_dtype(
    storage, adapters, said
):
    """The check that FSDP1 makes as it wraps; the rest of it needs an accelerator."""
    import bitsandbytes
    from torch.distributed.fsdp._flat_param import FlatParamHandle

    kept = {"quant_type": "nf4", "quant_storage": storage, "requires_grad": False}
    weight = bitsandbytes.nn.Params4bit(torch.randn(64, 64), **kept).to("cpu")
    adapter = torch.nn.Parameter(torch.zeros(4, 64, dtype=adapters))
    joining = SimpleNamespace(_use_orig_params=True)  # stands in for the handle
    check = FlatParamHandle._validate_tensors_to_flatten
    if said is None:
        assert check(joining, [weight, adapter])[0] == torch.bfloat16
    else:
        with pytest.raises(ValueError, match=said):
            check(joining, [weight, adapter])


def test_fsdp2_cuts_a_4bit_layer_in_bytes_and_it_answers_as_before(start, tmp_path):
    (tmp_path / "four_bit.py").write_text(FOUR_BIT)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    said = start(*torchrun, str(tmp_path / "four_bit.py")).communicate(timeout=300)[0]
    half = 64 * 64 // 2 // 2  # two weights a byte, two processes
    assert f"result: torch.uint8 {half} True" in said, said
