"""OSFT on one device: mini-trainer's own mathematics; one sentence for bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from training_hub import AlgorithmRegistry, TrainingHubCallback, osft, sft
from transformers import AutoModelForCausalLM

from snippets import backends, data, preemption, subspace, tiny, world
from snippets import osft as patterns
from snippets.backends import mini_trainer_osft, parameters, run_folder

backends.register()
BASE = str(tiny.BASE)
RATIO = 0.25


@pytest.fixture
def call(tmp_path):
    """The arguments of an OSFT run of four steps."""
    rows = [world.record_reply(t) for t in world.tickets()[:32]]
    return dict(
        model_path=BASE,
        data_path=str(data.write_jsonl(tmp_path / "chat.jsonl", rows)),
        ckpt_output_dir=str(tmp_path / "run"),
        backend="mini-trainer-inprocess",
        unfreeze_rank_ratio=RATIO,
        num_epochs=2,
        effective_batch_size=16,
        max_tokens_per_gpu=4096,
        max_seq_len=128,
        learning_rate=2e-3,
        seed=0,
    )


@pytest.fixture
def documents(tmp_path, call):
    """The same run on raw documents in a column of another name."""
    rows = [{"text": t} for t in list(world.manual().values())[:3]]
    return call | {
        "data_path": str(data.write_jsonl(tmp_path / "text.jsonl", rows)),
        "is_pretraining": True,
        "block_size": 64,
        "document_column_name": "text",
        "num_epochs": 1,
    }


def weights(folder):
    return run_folder.file_sha256(Path(folder) / "model.safetensors")


def plain(folder=BASE):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


# -- it does what it says ----------------------------------------------------


def test_the_protected_directions_stay_and_full_fine_tuning_moves_them(call, tmp_path):
    before = plain().state_dict()
    names = patterns.matched(plain(), patterns.target_patterns(BASE))
    after = mini_trainer_osft.dense_weights(osft(**call)["model"])
    assert subspace.require_kept(before, after, names, RATIO) <= 1e-3
    full = call | {"backend": "transformers", "ckpt_output_dir": str(tmp_path / "sft")}
    del full["unfreeze_rank_ratio"]
    full["random_seed"] = full.pop("seed")
    moved = sft(**full)["model"].state_dict()
    leaks = [subspace.leak(before[n], moved[n], RATIO) for n in names]
    assert min(leaks) > 0.1, "the measure sees a change that is not kept orthogonal"
    with pytest.raises(AssertionError, match="more than 0.001 and than rounding"):
        subspace.require_kept(before, moved, names, RATIO)


def test_the_rounding_of_a_tiny_change_is_no_broken_promise(call):
    before = plain().state_dict()
    names = patterns.matched(plain(), patterns.target_patterns(BASE))
    result = osft(**(call | {"learning_rate": 5e-6}))
    after = mini_trainer_osft.dense_weights(result["model"])
    worst = subspace.require_kept(before, after, names, RATIO)
    assert worst > 1e-3, "rounding is a large share of a change this small"


def test_the_saved_model_is_plain_and_equals_the_trained_one(call):
    result = osft(**call)
    saved = plain(result["output"])
    config = json.loads((Path(result["output"]) / "config.json").read_text())
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    assert config["dtype"] == "bfloat16", "the dtype of the base"
    assert result["output"] == run_folder.final_model(call["ckpt_output_dir"])
    dense = mini_trainer_osft.dense_weights(result["model"])
    exact = plain()
    exact.load_state_dict(dense)
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        trained = result["model"].eval()(input_ids=ids).logits
        assert (exact(input_ids=ids).logits - trained).abs().max() < 1e-3
        rounded = saved(input_ids=ids).logits
    assert (rounded.argmax(-1) == trained.argmax(-1)).float().mean() > 0.95
    assert not torch.equal(plain()(input_ids=ids).logits, rounded), "it did change"


def test_documents_train_too_and_their_column_can_be_named(documents):
    result = osft(**documents)
    log = run_folder.read_log(documents["ckpt_output_dir"])
    assert [line["step"] for line in log] == list(range(1, len(log) + 1))
    assert log[-1]["loss"] < log[0]["loss"]
    assert Path(result["output"], "model.safetensors").exists()


def test_embeddings_and_norms_are_outside_the_promise():
    model = mini_trainer_osft.decompose(BASE, RATIO)
    shape = subspace.split(model)
    embedding = model.get_input_embeddings().weight
    assert embedding.requires_grad and embedding.numel() < shape.free
    matrices = [p.shape for n, p in plain().named_parameters() if "proj" in n]
    stored = sum(min(n, m) * (n + m + 1) for n, m in matrices)
    assert shape.frozen + shape.trained == stored
    with pytest.raises(ValueError, match="holds no OSFT factors"):
        subspace.split(plain())


def test_a_share_of_nothing_is_not_called_zero():
    matrix = torch.eye(4)
    with pytest.raises(ValueError, match="did not change"):
        subspace.leak(matrix, matrix, 0.5)
    assert subspace.protected_rank((4, 9), 0.0) == 3, "one direction is always free"


def test_the_path_does_not_choose_and_the_patterns_that_are_given_do(call, tmp_path):
    folder = tmp_path / "opt" / "model"
    folder.parent.mkdir()
    folder.symlink_to(tiny.BASE)
    assert len(mini_trainer_osft.decompose(str(folder), RATIO).osft_config) == 28
    few = mini_trainer_osft.decompose(BASE, RATIO, ["mlp.down_proj"])
    assert len(few.osft_config) == 4


def test_the_slow_decomposition_says_how_far_it_is(capsys, monkeypatch):
    clock = iter(range(0, 10_000, 6))
    monkeypatch.setattr(mini_trainer_osft.time, "monotonic", lambda: next(clock))
    told = mini_trainer_osft._Told([("a", 1), ("b", 2), ("c", 3)], 2, {"a", "b"})
    assert len(list(told)) == 3
    assert "decomposed 2 of 2, about 0 s left" in capsys.readouterr().out


def test_callbacks_of_training_hub_see_every_step(call):
    seen = []

    class Count(TrainingHubCallback):
        def on_step_end(self, context):
            seen.append(context.step)

    osft(**call, callbacks=[Count()])
    assert seen == [1, 2, 3, 4]


# -- stopping and resuming ---------------------------------------------------


def test_a_killed_run_resumes_to_the_same_bits(call, tmp_path):
    whole = osft(**call)
    again = {k: v for k, v in call.items() if k != "backend"}
    again |= {"ckpt_output_dir": str(tmp_path / "killed"), "save_steps": 1}
    assert 2 <= preemption.kill_at(2, "osft", **again) < 4
    resumed = osft(**again, backend="mini-trainer-inprocess")
    assert weights(whole["output"]) == weights(resumed["output"])
    log = run_folder.read_log(again["ckpt_output_dir"])
    assert [line["step"] for line in log] == [1, 2, 3, 4], "each step once"


def test_sigterm_with_jit_checkpoint_exits_143_and_leaves_a_checkpoint(call, tmp_path):
    job = tmp_path / "job.json"
    long = {k: v for k, v in call.items() if k != "backend"}
    long |= {"enable_jit_checkpoint": True, "num_epochs": 400}
    run_folder.write_json(job, {"algorithm": "osft", "parameters": long})
    process = subprocess.Popen(
        [sys.executable, "-m", "snippets.backends.launch", str(job)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    log = Path(long["ckpt_output_dir"]) / run_folder.LOG_FILE
    while not (log.exists() and len(run_folder.read_log(log)) > 2):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 143, out
    assert run_folder.usable_checkpoint(long["ckpt_output_dir"])
    assert not Path(long["ckpt_output_dir"], "hf_format").exists(), "no half result"


# -- bad input: one clear sentence, nothing lost -----------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_patterns": ["attention"]}, '"attention" matches no matrix'),
        ({"nproc_per_node": 2}, "trains in one process, not 2"),
        ({"nproc_per_node": "gpu"}, "trains in one process, not gpu"),
        ({"nnodes": 2}, "does not honor nnodes=2"),
        ({"use_liger": True}, "does not honor use_liger=True"),
        ({"unmask_messages": True}, "does not honor unmask_messages=True"),
        ({"trust_remote_code": True}, "does not honor trust_remote_code=True"),
        ({"unfreeze_ratio": 0.1}, "did you mean unfreeze_rank_ratio"),
        ({"warmup_steps": 100}, "Lower warmup_steps below 4"),
        ({"is_pretraining": True, "block_size": None}, "block_size required"),
    ],
)
def test_a_bad_parameter_is_named_before_anything_is_written(call, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        osft(**(call | change))
    assert "\n" not in str(caught.value)
    assert not Path(call["ckpt_output_dir"]).exists()


def test_torchrun_is_refused_because_projections_would_be_summed(call, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(parameters.ParameterError, match="summed once per process"):
        osft(**call)


def test_a_model_without_a_class_of_its_own_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(parameters.ParameterError, match='model_type "vit"'):
        mini_trainer_osft.decompose(str(tmp_path), RATIO)


def test_every_parameter_training_hub_sends_unasked_is_accepted(call):
    seen = []
    spy = type("Spy", (), {"execute_training": lambda self, p: seen.append(p)})
    AlgorithmRegistry.register_backend("osft", "spy", spy)
    osft(**(call | {"backend": "spy"}))
    parameters.check("osft", seen[0], mini_trainer_osft.OSFT)
    assert None in seen[0].values(), "osft sends every parameter, None included"
