"""Where a run is tracked: one MLflow run for an output folder, its end said truly."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback


def address(track: str, folder: str | Path) -> str | None:
    """Return ``mlflow_tracking_uri`` for ``"sqlite"``, a server's address, or ``""``.

    The SQLite file is made in ``folder``. ``""`` gives None: nothing is tracked.
    """
    if track == "sqlite":
        return f"sqlite:///{Path(folder).resolve() / 'mlflow.db'}"
    return track or None


def newest(uri: str, experiment: str) -> dict[str, Any]:
    """Return what MLflow has of the newest run; ``points`` counts steps with a loss."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    [run] = client.search_runs([found.experiment_id], max_results=1)
    losses = client.get_metric_history(run.info.run_id, "loss")
    return {
        "owner": run.data.tags["mlflow.user"],
        "status": run.info.status,
        "parameters": len(run.data.params),
        "points": len({point.step for point in losses}),
    }


class _Run(TrainerCallback):
    """Notes the MLflow run in the output folder, where a resumed run finds it."""

    def __init__(self, p: dict[str, Any]) -> None:
        self.record, self.id = Path(p["ckpt_output_dir"], "mlflow.json"), ""
        self.place = [p["mlflow_tracking_uri"], p.get("mlflow_experiment_name")]

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:  # transformers has started the run by now
            import mlflow

            self.id = mlflow.active_run().info.run_id
            self.record.write_text(json.dumps([*self.place, self.id]))

    def earlier(self) -> str:
        noted = json.loads(self.record.read_text()) if self.record.exists() else [""]
        return noted[-1] if noted[:-1] == self.place else ""


@contextlib.contextmanager
def one_run(trainer: Trainer, p: dict[str, Any], resumed: bool) -> Iterator[None]:
    """Let a resumed run go on in its MLflow run, and end it as it ended.

    One that was stopped or failed is KILLED or FAILED; transformers calls both
    FINISHED. A run that was active before is joined, and left as it is.
    """
    if not p.get("mlflow_tracking_uri"):
        yield
        return
    import mlflow

    run, joined = _Run(p), mlflow.active_run()
    trainer.add_callback(run)
    if resumed and not joined and run.earlier():
        os.environ["MLFLOW_RUN_ID"] = run.earlier()  # MLflow reads it and removes it
    try:
        yield
    except BaseException as error:
        if run.id and not joined:
            mlflow.end_run()
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            status = "KILLED" if stopped else "FAILED"
            mlflow.MlflowClient().set_terminated(run.id, status)
        raise
