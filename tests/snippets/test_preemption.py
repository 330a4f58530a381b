"""What the page on preemption says of checkpoints, signals and logs is so."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from training_hub import TrainingHubCallback, checkpoint_utils, lora_sft
from training_hub.algorithms.lora import JSONLLoggingCallback
from transformers import TrainerControl, TrainerState

from snippets import backends, data, tiny, world
from snippets.backends import loop, run_folder

backends.register()
ROOT = Path(__file__).resolve().parents[2]


def arguments(folder):
    """Return the arguments of a LoRA run of four steps with dropout."""
    rows = [world.record_reply(t) for t in world.tickets()[:32]]
    return {
        "model_path": str(tiny.BASE),
        "data_path": str(data.write_jsonl(folder / "chat.jsonl", rows)),
        "ckpt_output_dir": str(folder / "run"),
        "backend": "peft",
        "lora_r": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.1,
        "num_epochs": 2,
        "effective_batch_size": 16,
        "learning_rate": 1e-3,
        "max_seq_len": 128,
        "seed": 0,
    }


@pytest.fixture
def call(tmp_path):
    return arguments(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run that kept the checkpoint of every step."""
    folder = tmp_path_factory.mktemp("trained")
    lora_sft(**arguments(folder), save_steps=1)
    return folder


@pytest.fixture
def saved(call, trained):
    """A copy of that run, in the folder of this test's call."""
    return Path(shutil.copytree(trained / "run", call["ckpt_output_dir"]))


def digest(folder):
    return run_folder.file_sha256(Path(folder) / "adapter_model.safetensors")


class Signal(TrainingHubCallback):
    """Send this process a signal at the end of step 2, as a cluster would."""

    def on_step_end(self, context):
        if context.step == 2:
            signal.raise_signal(signal.SIGTERM)


def test_sigterm_saves_at_the_end_of_the_step_and_the_rest_gives_the_same_bits(
    call, trained
):
    whole = digest(trained / "run")
    with pytest.raises(loop.Preempted) as stopped:
        lora_sft(**call, enable_jit_checkpoint=True, callbacks=[Signal()])
    assert stopped.value.code == 143
    folder = Path(call["ckpt_output_dir"])
    assert not (folder / "adapter_model.safetensors").exists(), "no half result"
    kept = run_folder.usable_checkpoint(folder)
    assert kept and Path(kept).name in ("checkpoint-2", "checkpoint-3")
    assert digest(lora_sft(**call)["output"]) == whole


def test_sigterm_without_the_jit_checkpoint_ends_the_process_at_once(call, tmp_path):
    del call["backend"]
    job = tmp_path / "job.json"
    long = call | {"num_epochs": 400}
    run_folder.write_json(job, {"algorithm": "lora_sft", "parameters": long})
    process = subprocess.Popen(
        [sys.executable, "-m", "snippets.backends.launch", str(job)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    log = Path(call["ckpt_output_dir"]) / run_folder.LOG_FILE
    while not (log.exists() and len(run_folder.read_log(log)) > 2):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGTERM
    assert not list(log.parent.glob("checkpoint-*")), "nothing was saved"


@pytest.mark.parametrize(
    "part", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"]
)
def test_a_checkpoint_without_a_part_that_exactness_needs_is_passed_over(
    saved, part, capsys
):
    (saved / "checkpoint-4" / part).unlink()
    assert run_folder.usable_checkpoint(saved) == str(saved / "checkpoint-3")
    assert "skipping checkpoint-4" in capsys.readouterr().out


def test_without_the_random_numbers_of_the_checkpoint_the_bits_are_others(
    call, saved, monkeypatch
):
    """Trainer alone goes on without them; a stand-in for our check lets it."""
    whole = digest(saved)
    (saved / "checkpoint-2" / "rng_state.pth").unlink()
    monkeypatch.setattr(loop, "_claim", lambda *_: str(saved / "checkpoint-2"))
    torch.manual_seed(99)
    assert digest(lora_sft(**call)["output"]) != whole


def test_training_hub_picks_a_truncated_checkpoint_and_this_project_does_not(saved):
    weights = saved / "checkpoint-4" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    theirs = checkpoint_utils.find_latest_valid_checkpoint(str(saved))
    assert Path(theirs).name == "checkpoint-4"
    assert Path(run_folder.usable_checkpoint(saved)).name == "checkpoint-3"


def test_training_hubs_own_log_repeats_steps_after_a_resume(tmp_path):
    state = TrainerState(max_steps=4, is_world_process_zero=True)
    for steps in ((1, 2, 3), (3, 4)):  # killed after 3, resumed from a checkpoint at 2
        log = JSONLLoggingCallback(str(tmp_path))
        for state.global_step in steps:
            log.on_log(None, state, TrainerControl(), logs={"loss": 1.0})
    rows = run_folder.read_log(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 3, 4]


def test_the_default_sft_goes_on_in_a_folder_that_was_used_before(tmp_path):
    """instructlab-training looks for ``full_state`` and asks nobody."""
    from instructlab.training import main_ds, utils

    state = tmp_path / "full_state" / "epoch_0"
    state.mkdir(parents=True)
    metadata = {"current_epoch": 0, "samples_seen": 32}
    torch.save(metadata, state / "training_metadata.json")
    loaded = []
    accelerator = SimpleNamespace(load_state=loaded.append)  # stands in: it needs CUDA
    args = SimpleNamespace(output_dir=str(tmp_path), current_epoch=0, num_epochs=1)
    os.environ.setdefault("LOCAL_RANK", "0")
    try:
        utils.load_latest_full_state(args, accelerator)
    finally:
        os.environ.pop("LOCAL_RANK")
    assert loaded == [state]
    assert args.current_epoch == 1, "an epoch of one is done: nothing is left to train"
    source = inspect.getsource(main_ds)
    assert "for epoch in range(args.current_epoch, args.num_epochs)" in source


def test_the_default_lora_resumes_only_when_it_is_asked_to():
    from training_hub.algorithms import lora

    tree = ast.parse(inspect.getsource(lora))
    ifs = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    [gate] = [n for n in ifs if "jit_checkpoint_enabled" in ast.unparse(n.test)]
    assert "find_latest_valid_checkpoint" in ast.unparse(gate)


def test_a_checkpoint_of_an_adapter_takes_twelve_bytes_a_trained_parameter(saved):
    from safetensors import safe_open

    path = saved / "checkpoint-4"
    with safe_open(path / "adapter_model.safetensors", framework="pt") as file:
        trained = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    names = ("adapter_model.safetensors", "optimizer.pt")
    size = sum((path / name).stat().st_size for name in names)
    assert 12 * trained <= size <= 12 * trained + 100_000, "and file headers"
