"""One output folder is one MLflow run, and its status is what happened to it."""

from __future__ import annotations

import gc
import json
import os
import signal
from pathlib import Path

import mlflow
import pytest
import training_hub
from training_hub import lora_sft
from transformers import Trainer

from snippets import backends, data, preemption, tiny, tracking, world

backends.register()
STEPS = 8


@pytest.fixture
def call(tmp_path):
    """The arguments of a run of eight steps, tracked in SQLite."""
    rows = [world.record_reply(t) for t in world.tickets()[:32]]
    yield dict(
        model_path=str(tiny.BASE),
        data_path=str(data.write_jsonl(tmp_path / "chat.jsonl", rows)),
        ckpt_output_dir=str(tmp_path / "run"),
        lora_r=4,
        lora_alpha=8,
        num_epochs=2,
        effective_batch_size=8,
        learning_rate=1e-3,
        max_seq_len=128,
        save_steps=3,
        seed=0,
        mlflow_tracking_uri=tracking.address("sqlite", tmp_path),
        mlflow_experiment_name="house",
    )
    mlflow.set_tracking_uri(None)


def runs(call):
    """Return id, status and the steps with a loss of each run, newest first."""
    client = mlflow.MlflowClient(call["mlflow_tracking_uri"])
    where = client.get_experiment_by_name("house").experiment_id
    return [
        (
            run.info.run_id,
            run.info.status,
            [m.step for m in client.get_metric_history(run.info.run_id, "loss")],
        )
        for run in client.search_runs([where])
    ]


def at_step(monkeypatch, step, act):
    """Let ``act`` happen in the training step of that number."""
    count, real = iter(range(1, 1000)), Trainer.training_step

    def training_step(self, *args, **kwargs):
        if next(count) == step:
            act()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", training_step)


def test_one_parameter_says_where(tmp_path):
    assert tracking.address("sqlite", tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    assert tracking.address("https://mlflow.example", "x") == "https://mlflow.example"
    assert tracking.address("", tmp_path) is None


def test_the_newest_run_is_told_with_its_points(call):
    lora_sft(**call, backend="peft")
    found = tracking.newest(call["mlflow_tracking_uri"], "house")
    assert found["status"] == "FINISHED" and found["points"] == STEPS
    assert found["parameters"] > 50 and found["owner"]


def test_an_interrupted_run_is_killed_and_goes_on_as_the_same_run(call, monkeypatch):
    at_step(monkeypatch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="step 5 of 8"):
        lora_sft(**call, backend="peft")
    [(first, status, steps)] = runs(call)
    assert (status, steps) == ("KILLED", [1, 2, 3, 4, 5])
    assert mlflow.active_run() is None

    # What has no influence on the result may change; MLflow keeps the first value.
    lora_sft(**call | {"save_steps": 4}, backend="peft")
    assert runs(call) == [(first, "FINISHED", list(range(1, STEPS + 1)))]
    assert "MLFLOW_RUN_ID" not in os.environ


def test_a_run_that_was_killed_outright_goes_on_as_the_same_run(call):
    preemption.kill_at(5, "lora_sft", **call)
    [(first, status, _)] = runs(call)
    assert status == "RUNNING"  # nobody was left to say otherwise
    lora_sft(**call, backend="peft")
    [(again, status, steps)] = runs(call)
    assert (again, status) == (first, "FINISHED")
    assert sorted(set(steps)) == list(range(1, STEPS + 1))


def test_a_run_that_fails_is_failed_and_no_other_run_goes_on_in_it(call, monkeypatch):
    def fail():
        raise RuntimeError("the cable was pulled")

    at_step(monkeypatch, 2, fail)
    with pytest.raises(RuntimeError, match="cable") as kept:
        lora_sft(**call, backend="peft")
    lora_sft(
        **call | {"ckpt_output_dir": call["ckpt_output_dir"] + "-2"}, backend="peft"
    )
    assert kept  # as a notebook keeps the last traceback, and the trainer with it
    assert [status for _, status, _ in runs(call)] == ["FINISHED", "FAILED"]

    mlflow.set_tracking_uri(call["mlflow_tracking_uri"])
    with mlflow.start_run() as yours:
        del kept
        gc.collect()  # the trainer, whose callback would end the run that is active
        assert mlflow.active_run().info.run_id == yours.info.run_id


@pytest.fixture
def away(monkeypatch):
    """MLflow is there for all but the end of a run (double)."""

    def unreachable(*_, **__):
        raise mlflow.MlflowException("nobody answers")

    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", unreachable)


def test_a_run_that_is_stopped_while_mlflow_is_away_ends_with_143(
    call, monkeypatch, away
):
    at_step(monkeypatch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as told:
        lora_sft(**call, enable_jit_checkpoint=True, backend="peft")
    assert told.value.code == 143
    assert told.value.__notes__ == ["MLflow was not told: nobody answers"]
    assert Path(call["ckpt_output_dir"], "checkpoint-5").exists()
    assert [status for _, status, _ in runs(call)] == ["RUNNING"]


def test_what_ends_a_run_stays_its_error_while_mlflow_is_away(call, monkeypatch, away):
    def fail():
        raise RuntimeError("the cable was pulled")

    at_step(monkeypatch, 2, fail)
    with pytest.raises(RuntimeError, match="cable") as told:
        lora_sft(**call, backend="peft")
    assert told.value.__notes__ == ["MLflow was not told: nobody answers"]


def test_a_finished_run_that_is_trained_again_is_another_run(call):
    lora_sft(**call, backend="peft")
    lora_sft(**call, backend="peft")
    found = runs(call)
    assert len({run for run, _, _ in found}) == 2
    assert [len(steps) for *_, steps in found] == [STEPS, STEPS]


def test_a_folder_tracked_elsewhere_gets_a_run_there(call, tmp_path, monkeypatch):
    at_step(monkeypatch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        lora_sft(**call, backend="peft")
    (tmp_path / "elsewhere").mkdir()
    moved = tracking.address("sqlite", tmp_path / "elsewhere")
    mlflow.set_tracking_uri(None)
    there = call | {"mlflow_tracking_uri": moved}
    lora_sft(**there, backend="peft")
    assert [s for _, s, _ in runs(call | {"mlflow_tracking_uri": moved})] == [
        "FINISHED"
    ]


def test_a_run_of_yours_is_joined_and_stays_yours_to_end(call, monkeypatch):
    at_step(monkeypatch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))
    mlflow.set_tracking_uri(call["mlflow_tracking_uri"])
    mlflow.set_experiment("house")
    with mlflow.start_run() as yours:
        with pytest.raises(KeyboardInterrupt):
            lora_sft(**call, backend="peft")
        assert mlflow.active_run().info.run_id == yours.info.run_id
        lora_sft(**call, backend="peft")
        assert mlflow.active_run().info.status == "RUNNING"
    assert runs(call) == [(yours.info.run_id, "FINISHED", list(range(1, STEPS + 1)))]
    assert Path(call["ckpt_output_dir"], "mlflow.json").exists()


def test_the_four_tutorials_have_the_same_switch():
    tutorials = sorted(Path(__file__).parents[2].glob("notebooks/*-tutorial.ipynb"))
    lines = {
        line
        for path in tutorials
        for cell in json.loads(path.read_text())["cells"]
        if "parameters" in cell["metadata"].get("tags", [])
        for line in cell["source"]
        if line.startswith("track = ")
    }
    assert len(tutorials) == 4
    assert len(lines) == 1, lines
    assert all(
        "mlflow_tracking_uri=tracked_in" in path.read_text() for path in tutorials
    )


@pytest.mark.parametrize("name", ["lora_sft", "sft", "osft"])
def test_switched_off_all_three_calls_track_nothing(name, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    off = {"mlflow_tracking_uri": tracking.address("", tmp_path), "num_epochs": 1}
    mine = {k: v for k, v in (call | off).items() if not k.startswith("lora")}
    if name == "osft":
        mine |= {"unfreeze_rank_ratio": 0.5, "max_tokens_per_gpu": 1024}
    getattr(training_hub, name)(**mine, backend=backends.BACKENDS[name][2])
    assert not (tmp_path / "run" / "mlflow.json").exists()
    assert not [*tmp_path.rglob("mlflow.db"), *tmp_path.rglob("mlruns")]
