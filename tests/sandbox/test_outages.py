"""A run loses nothing while the proxy is away, and says one thing if it stays away."""

from __future__ import annotations

import time
from pathlib import Path

import mlflow
import pytest

from snippets.journal import Journal, NotSent, replay
from tests.sandbox import scripts

STEPS, PACE, AWAY = 40, 0.3, 10.0  # steps, seconds between them, seconds of an outage


def logged(step: int) -> float:
    """Log one step; return how long that held the training up, in seconds."""
    began = time.monotonic()
    mlflow.log_metric("loss", 1 / (step + 1), step=step)
    return time.monotonic() - began


def test_a_proxy_that_is_killed_for_ten_seconds_in_a_run_costs_it_nothing(
    sandbox, alice, tmp_path
):
    mlflow.set_experiment("outages")
    with Journal(tmp_path / "journal.jsonl"), mlflow.start_run() as run:
        waited = [logged(step) for step in range(3)]
        sandbox.stop("proxy")
        back = time.monotonic() + AWAY
        mlflow.log_text("in the outage", "log.txt")
        for step in range(3, STEPS):
            waited.append(logged(step))
            time.sleep(PACE)
            if step < STEPS - 3 and time.monotonic() > back:
                sandbox.start("proxy")
                back = float("inf")
    assert back == float("inf"), "the outage outlived the run: more steps are needed"
    found = scripts.run(sandbox, "alice", run.info.run_id)
    assert found["steps"] == list(range(STEPS)) and found["files"] == ["log.txt"]
    assert found["status"] == "FINISHED"
    assert sorted(waited)[STEPS // 2] < 0.5, waited
    assert not any((tmp_path / "journal.files").iterdir())


@pytest.fixture
def unsent(sandbox, alice, tmp_path) -> tuple[Path, str, NotSent]:
    """A run whose proxy never came back: its journal, its id, its one error."""
    mlflow.set_experiment("outages")
    path = tmp_path / "journal.jsonl"
    with pytest.raises(NotSent) as told, Journal(path, seconds=1):  # noqa: SIM117
        with mlflow.start_run() as run:
            logged(0)
            sandbox.stop("proxy")
            for step in range(1, 20):
                logged(step)
            mlflow.log_text("weights", "adapter.txt")
    return path, run.info.run_id, told.value


def test_a_proxy_that_is_killed_for_good_ends_in_one_error_and_a_file(
    sandbox, unsent, caplog
):
    path, run_id, error = unsent
    assert (error.path, error.count) == (path, 21)  # 19 steps, a file, the end
    said = f'21 recorded calls did not reach MLflow and wait in "{path}" ('
    assert str(error).startswith(said) and "Connection refused" in str(error)
    assert str(error).endswith(
        f'send them when it answers again: python -m snippets.journal "{path}"'
    )
    assert sum("MLflow is away" in line for line in caplog.text.splitlines()) <= 1
    sandbox.start("proxy")
    assert scripts.run(sandbox, "alice", run_id)["steps"] == [0]  # the canary
    command = scripts.start(
        sandbox,
        "alice",
        "import runpy, sys; runpy.run_module('snippets.journal', run_name='__main__')",
        path,
    )
    assert scripts.done(command).splitlines()[-1] == "sent 21 recorded calls"
    found = scripts.run(sandbox, "alice", run_id)
    assert found["steps"] == list(range(20)) and found["files"] == ["adapter.txt"]
    assert found["status"] == "FINISHED"
    assert replay(path) == 0


def test_a_run_that_goes_on_with_its_journal_sends_what_waited_first(sandbox, unsent):
    path, run_id, _ = unsent
    sandbox.start("proxy")
    with Journal(path), mlflow.start_run(run_id=run_id):
        logged(20)
    found = scripts.run(sandbox, "alice", run_id)
    assert found["steps"] == list(range(21)) and found["files"] == ["adapter.txt"]


def test_what_ends_a_training_stays_its_error_when_mlflow_is_away_too(
    sandbox, alice, tmp_path
):
    mlflow.set_experiment("outages")
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(MemoryError) as told, journal, mlflow.start_run():
        sandbox.stop("proxy")
        logged(0)
        raise MemoryError("of the training")
    assert "2 recorded calls did not reach MLflow" in told.value.__notes__[0]
