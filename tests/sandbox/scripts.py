"""Runs a reader's script against the sandbox, and asks the server what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import requests

from snippets.mlflow_auth import oidc
from snippets.mlflow_auth.settings import Settings
from verify.sandbox import Sandbox
from verify.standalone import wheels

ROOT = Path(__file__).resolve().parents[2]


def installed(folder: Path) -> Path:
    """Return a folder with the wheel of the snippets in it, as pip unpacks it."""
    wheel = wheels.snippets(ROOT, folder)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def start(
    sandbox: Sandbox,
    user: str,
    code: str,
    *words: Any,
    path: Path = ROOT,
    **changes: str | None,
) -> subprocess.Popen[str]:
    """Start a script as a user, who has no more than the sandbox's variables.

    Parameters
    ----------
    path
        What ``PYTHONPATH`` is: this checkout, or where a wheel was unpacked.
    changes
        Other values of variables; None removes one.
    """
    kept = ("PATH", "LANG", "HOME", "COVERAGE_PROCESS_START")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= sandbox.environment(user)
    environment |= {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"} | changes
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env={name: value for name, value in environment.items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=sandbox.folder,
    )


def done(process: subprocess.Popen[str], seconds: float = 120) -> str:
    """Wait for a script that must work; return what it printed."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, f"{out}\n{err}"
    return out


def experiment(sandbox: Sandbox, user: str, name: str) -> None:
    """Make an experiment before the scripts that share it start, as the guide says.

    Who loses the race to make it logs to the default experiment, which a workspace
    has only once something asked for it: a script then fails, and not each time.
    """
    answered(sandbox, user, "POST", "experiments/create", json={"name": name})


def asked(sandbox: Sandbox, user: str, path: str, **parameters: Any) -> dict[str, Any]:
    """Ask the server, ``runs/get`` for example, without MLflow's client."""
    return answered(sandbox, user, "GET", path, params=parameters)


def answered(
    sandbox: Sandbox, user: str, method: str, path: str, **content: Any
) -> dict[str, Any]:
    """Return what the server answers to a request that must succeed."""
    settings = Settings.from_environment(sandbox.environment(user))
    token = oidc.current(settings).id_token.reveal()
    answer = requests.request(
        method,
        f"{sandbox.mlflow}/api/2.0/mlflow/{path}",
        **content,
        headers={
            "Authorization": f"Bearer {token}",
            "X-MLFLOW-WORKSPACE": settings.workspace,
        },
        verify=str(sandbox.ca),
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def run(sandbox: Sandbox, user: str, run_id: str) -> dict[str, Any]:
    """Return what the server holds of a run: status, owner, tags, files, steps."""
    found = asked(sandbox, user, "runs/get", run_id=run_id)["run"]
    history = asked(
        sandbox, user, "metrics/get-history", run_id=run_id, metric_key="loss"
    )
    files = asked(sandbox, user, "artifacts/list", run_id=run_id).get("files", [])
    return {
        "status": found["info"]["status"],
        "user_id": found["info"]["user_id"],
        "tags": {tag["key"]: tag["value"] for tag in found["data"].get("tags", [])},
        "files": [file["path"] for file in files],
        "steps": [int(row.get("step", 0)) for row in history.get("metrics", [])],
    }
