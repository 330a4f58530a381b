"""A run that outlives its token loses nothing, whoever shares the token with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sandbox import scripts

STEPS, PACE, LIFE = 40, 0.35, 6  # steps, seconds between them, seconds of a token
SHARERS = 4  # processes with one token file
EMAIL = "alice@example.com"

# What a reader writes. MLFLOW_TRACKING_AUTH=oidc is in the environment.
RUN = """
import sys, time
import mlflow

mlflow.set_experiment("long runs")
with mlflow.start_run() as run:
    print(run.info.run_id, flush=True)
    for step in range(int(sys.argv[1])):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
        time.sleep(float(sys.argv[2]))
    mlflow.log_text("weights", "adapter.txt")
"""

# The same with a token alone, fetched at the last moment: once MLflow has loaded what a
# request needs, which took 2.4 of the six seconds on a busy machine.
TOKEN_ONLY = f"""
import os
import mlflow
from snippets.mlflow_auth import oidc
from snippets.mlflow_auth.settings import Settings

mlflow.search_experiments(max_results=1)
del os.environ["MLFLOW_TRACKING_AUTH"]
token = oidc.login(Settings.from_environment()).id_token
os.environ["MLFLOW_TRACKING_TOKEN"] = token.reveal()
{RUN}
"""


@dataclass(frozen=True)
class Ended:
    """What came of the runs, and what they asked of the provider."""

    sharers: list[dict[str, Any]]
    token_only: dict[str, Any]
    complaint: str  # of the one with a token alone
    seconds: float
    token_requests: int


@pytest.fixture(scope="module")
def ended(sandbox, tmp_path_factory) -> Ended:
    """Let five runs begin with tokens that live for a fraction of them."""
    site = scripts.installed(tmp_path_factory.mktemp("wheel"))
    scripts.experiment(sandbox, "alice", "long runs")
    sandbox.control("token-seconds", seconds=LIFE)
    began, before = time.monotonic(), asked_for_tokens(sandbox)
    alone = scripts.start(
        sandbox,
        "alice",
        TOKEN_ONLY,
        STEPS,
        PACE,
        path=site,
        MLFLOW_SSO_TOKEN_FILE=str(site / "alone.json"),
    )
    shared = {"path": site, "MLFLOW_SSO_TOKEN_FILE": str(site / "shared.json")}
    sharers = [
        scripts.start(sandbox, "alice", RUN, STEPS, PACE, **shared)
        for _ in range(SHARERS)
    ]
    ids = [scripts.done(process).split()[0] for process in sharers]
    seconds, after = time.monotonic() - began, asked_for_tokens(sandbox)
    out, err = alone.communicate(timeout=60)
    sandbox.control("token-seconds", seconds=600)
    return Ended(
        [scripts.run(sandbox, "alice", one) for one in ids],
        scripts.run(sandbox, "alice", out.split()[0]),
        err,
        seconds,
        after - before,
    )


def asked_for_tokens(sandbox) -> int:
    """Return how often the provider was asked for a token."""
    return sandbox.control("requests").get("/dex/token", 0)


def test_four_runs_that_share_a_token_of_six_seconds_keep_all_forty_steps(ended):
    for run in ended.sharers:
        assert run["steps"] == list(range(STEPS))
        assert run["files"] == ["adapter.txt"]
        assert run["status"] == "FINISHED"


def test_runs_that_share_a_token_renew_it_once_for_all(ended):
    a_renewal_every = LIFE - LIFE / 3
    most = ended.seconds / a_renewal_every + 5  # three logins, and two to spare
    least = STEPS * PACE / LIFE + 3
    assert least <= ended.token_requests <= most, (ended.token_requests, ended.seconds)


def test_a_run_belongs_to_the_identity_on_the_server_and_on_its_page(ended):
    for run in ended.sharers:
        assert run["user_id"] == run["tags"]["mlflow.user"] == EMAIL


def test_the_same_run_with_a_token_alone_loses_the_rest_of_itself(ended):
    """A canary for the three tests above: six seconds are too few for these steps."""
    run = ended.token_only
    assert len(run["steps"]) < STEPS / 2 and run["steps"] != []
    assert run["files"] == [] and run["status"] == "RUNNING"
    assert "302" in ended.complaint
