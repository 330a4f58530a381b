"""Where a run is tracked: one MLflow run for an output folder, its end said truly."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.integrations import MLflowCallback


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


class _Run(MLflowCallback):
    """Notes the MLflow run in the output folder, where a resumed run finds it."""

    def __init__(self, p: dict[str, Any], joined: Any) -> None:
        super().__init__()
        self.joined, self.record = joined, Path(p["ckpt_output_dir"], "mlflow.json")
        self.place = [p["mlflow_tracking_uri"], p.get("mlflow_experiment_name")]

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        if state.is_world_process_zero:
            from mlflow import active_run

            run = active_run().info.run_id
            self.record.write_text(json.dumps([*self.place, run]))

    def on_train_end(self, *given, **named):
        if self.joined:  # else one_run does, and hides no error
            super().on_train_end(*given, **named)

    def __del__(self):
        pass  # the library's ends any run that is active then

    def earlier(self) -> str:
        noted = json.loads(self.record.read_text()) if self.record.exists() else [""]
        return noted[-1] if noted[:-1] == self.place else ""


@contextlib.contextmanager
def one_run(trainer: Trainer, p: dict[str, Any], resumed: bool) -> Iterator[None]:
    """Let a resumed run go on in its MLflow run, and end it as it ended.

    One that was stopped or failed is KILLED or FAILED, for transformers FINISHED. A
    run that was active before is joined, and left as it is.
    """
    if not p.get("mlflow_tracking_uri"):
        yield
        return
    import mlflow

    run = _Run(p, mlflow.active_run())
    trainer.remove_callback(MLflowCallback)
    trainer.add_callback(run)
    if run.joined:
        yield
        return
    if resumed and run.earlier():
        os.environ["MLFLOW_RUN_ID"] = run.earlier()  # MLflow reads it and removes it
    try:
        yield
    except BaseException as error:
        try:
            mlflow.end_run("FAILED" if isinstance(error, Exception) else "KILLED")
        except mlflow.MlflowException as away:
            error.add_note(f"MLflow was not told: {away}")
        raise
    mlflow.end_run()
