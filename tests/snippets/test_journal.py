"""A journal keeps on disk what a run logs, and sends each call once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from snippets.journal import Journal, replay

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A database in a file, which stands in for a server that always answers."""
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("journal", artifact_location=f"file://{folder}/files")
    yield
    mlflow.set_tracking_uri(None)


@pytest.fixture
def path(store, tmp_path):
    mlflow.set_experiment("journal")
    return tmp_path / "run" / "journal.jsonl"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def steps(run) -> list[int]:
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    return [metric.step for metric in history]


def test_whatever_is_logged_is_on_disk_and_on_the_server(path):
    with Journal(path), mlflow.start_run() as run:
        mlflow.log_params({"rank": 8, "name": "adapter"})
        assert mlflow.log_param("seed", 1) == 1
        mlflow.set_tags({"team": "a"})
        mlflow.set_tag("stage", 2)
        mlflow.log_metric("loss", 0.5, step=3)
        mlflow.log_metrics({"loss": 0.25}, step=4, synchronous=False).wait()
        mlflow.log_dict({"a": 1}, "deep/file.json")
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params == {"rank": "8", "name": "adapter", "seed": "1"}
    assert found.data.tags["team"] == "a" and found.data.tags["stage"] == "2"
    assert steps(run) == [3, 4] and found.info.status == "FINISHED"
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/deep/file.json")
    calls = [line for line in lines(path) if "n" in line]
    assert [line["n"] for line in calls] == list(range(1, 8))
    assert calls[-1]["end"]["status"] == "FINISHED"
    assert lines(path)[-1]["done"] == 7 and replay(path) == 0


def test_outside_the_block_mlflow_is_as_it_was(path):
    before = dict(vars(mlflow.MlflowClient))
    with pytest.raises(ZeroDivisionError), Journal(path):
        assert mlflow.MlflowClient.log_batch is not before["log_batch"]
        raise ZeroDivisionError
    assert dict(vars(mlflow.MlflowClient)) == before


def test_what_the_callback_of_transformers_logs_is_in_the_file(path, tmp_path):
    from transformers import TrainerControl, TrainerState, TrainingArguments
    from transformers.integrations import MLflowCallback

    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to=[])
    state, control = TrainerState(), TrainerControl()
    with Journal(path):
        callback = MLflowCallback()
        for state.global_step in (1, 2):
            callback.on_log(arguments, state, control, logs={"loss": 0.5})
        callback.on_train_end(arguments, state, control)
    rows = [m for x in lines(path) for m in x.get("batch", {}).get("metrics", [])]
    assert [(row["key"], row["step"]) for row in rows] == [("loss", 1), ("loss", 2)]
    assert [x["end"]["status"] for x in lines(path) if "end" in x] == ["FINISHED"]
    parameters = [p for x in lines(path) for p in x.get("batch", {}).get("params", [])]
    assert {"key": "use_cpu", "value": "True"} in parameters


def test_what_mlflow_refuses_is_raised_where_it_was_logged_and_kept_with_the_reason(
    path,
):
    with Journal(path), mlflow.start_run() as run:
        mlflow.log_param("rank", 8)
        with pytest.raises(MlflowException, match="Changing param values"):
            mlflow.log_param("rank", 16)
        mlflow.log_metric("loss", 1.0, step=1)
    assert steps(run) == [1]
    assert "Changing param values" in next(x["why"] for x in lines(path) if "why" in x)
    assert replay(path) == 0


def test_calls_that_were_not_marked_as_sent_arrive_once(path):
    """The process was killed after MLflow took the calls, and before it was told."""
    with Journal(path), mlflow.start_run() as run:
        for step in range(5):
            mlflow.log_metric("loss", 1.0, step=step)
    kept = [line for line in lines(path) if "done" not in line]
    kept[2]["batch"]["metrics"][0]["step"] = 100  # and one that it did not take
    path.write_text("\n".join(map(json.dumps, kept)))
    assert replay(path) == 6
    assert sorted(steps(run)) == [0, 1, 2, 3, 4, 100]


def test_a_line_that_was_torn_by_a_crash_is_passed_over(path):
    with Journal(path), mlflow.start_run() as run:
        mlflow.log_metric("loss", 1.0, step=0)
    with path.open("a") as file:
        file.write('\n{"n": 3, "run": "of which only a part was wri')
    with Journal(path), mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metric("loss", 1.0, step=1)
    assert steps(run) == [0, 1] and replay(path) == 0


@pytest.mark.parametrize("call", ["log_artifact", "log_artifacts"])
@pytest.mark.parametrize(
    ("files", "why"),
    [
        ("journal.files/of/gone", "is gone"),
        ("{victim}/folder/file", "is no copy that a journal makes"),
        ("../victim/folder/file", "is no copy that a journal makes"),
        ("checkpoints/1/file", "is no copy that a journal makes"),
        ("journal.files/../other/file", "is no copy that a journal makes"),
        ("journal.files/link/file", "is no copy that a journal makes"),
    ],
)
def test_a_journal_that_was_changed_sends_and_deletes_nothing_of_others(
    path, tmp_path, call, files, why
):
    with Journal(path), mlflow.start_run() as run:
        mlflow.log_metric("loss", 1.0, step=0)
    victim, folder = tmp_path / "victim", path.parent
    (folder / "journal.files").mkdir()
    for place in (victim / "folder", folder / "checkpoints/1", folder / "other"):
        place.mkdir(parents=True)
        (place / "file").write_text("keep me")
    (folder / "journal.files/link").symlink_to(victim / "folder")
    named = files.format(victim=victim)
    lost = {"n": 3, "run": run.info.run_id, "call": call, "files": named, "to": None}
    row = {"key": "loss", "value": 1.0, "timestamp": 1, "step": 1, "model_id": None}
    after = {"metrics": [row], "params": [], "tags": []}
    more = [lost, {"n": 4, "run": run.info.run_id, "batch": after}]
    with path.open("a") as file:
        file.writelines(f"\n{json.dumps(line)}" for line in more)
    assert replay(path) == 2 and sorted(steps(run)) == [0, 1]
    assert why in next(line["why"] for line in lines(path) if "why" in line)
    assert len([*tmp_path.rglob("file")]) == 3  # as before
    assert mlflow.artifacts.list_artifacts(run_id=run.info.run_id) == []
    assert replay(path) == 0


def test_a_copy_is_deleted_after_it_is_marked_as_sent_and_kept_if_it_was_refused(
    path, tmp_path, monkeypatch
):
    """A process that is killed between the two leaves a file too many, and no hole."""
    source, order, rmtree = tmp_path / "note.txt", [], shutil.rmtree
    source.write_text("a note")

    def note(folder: Path, **how) -> None:
        order.append(lines(path)[-1])
        rmtree(folder, **how)

    stock = mlflow.MlflowClient.log_artifact

    def picky(self, run_id, local_path, artifact_path=None):
        if artifact_path == "large":
            raise MlflowException.invalid_parameter_value("this is too large")
        return stock(self, run_id, local_path, artifact_path)

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", picky)
    monkeypatch.setattr("snippets.journal.shutil.rmtree", note)
    with Journal(path) as journal, mlflow.start_run() as run:
        journal._next = float("inf")  # as in an outage: nothing is sent meanwhile
        mlflow.log_metric("loss", 1.0, step=0)
        mlflow.log_artifact(str(source))
        mlflow.log_artifact(str(source), "large")
    [there] = mlflow.artifacts.list_artifacts(run_id=run.info.run_id)
    assert there.path == "note.txt" and order == [{"done": 2}]
    [kept] = path.with_suffix(".files").rglob("note.txt")
    assert kept.read_text() == "a note"
    assert [x["why"] for x in lines(path) if "why" in x] == ["this is too large"]


def test_a_place_that_mlflow_never_takes_is_an_error_where_the_artifact_is_logged(
    path, tmp_path
):
    (tmp_path / "note.txt").write_text("a note")
    with Journal(path, seconds=0), mlflow.start_run() as run:
        with pytest.raises(MlflowException, match="Invalid artifact path"):
            mlflow.log_artifact(str(tmp_path / "note.txt"), "/above")
        mlflow.log_metric("loss", 1.0, step=0)
    assert steps(run) == [0]


def test_a_file_that_a_run_still_writes_is_not_sent_by_another(path):
    code = f"from snippets.journal import replay; replay({str(path)!r})"
    with Journal(path):
        other = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
        )
    assert other.stderr.strip().splitlines()[-1].startswith("BlockingIOError")


def test_a_forked_process_logs_past_the_file_which_numbers_one_process_only(
    path, monkeypatch
):
    """Not forked here: a test process with threads may hang in its child."""
    with Journal(path), mlflow.start_run() as run:
        mlflow.log_metric("loss", 1.0, step=0)
        before = path.read_bytes()
        with monkeypatch.context() as child:
            child.setattr("snippets.journal.os.getpid", lambda: 0)
            mlflow.MlflowClient().log_metric(run.info.run_id, "loss", 2.0, step=1)
        assert path.read_bytes() == before
    assert steps(run) == [0, 1]


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()
