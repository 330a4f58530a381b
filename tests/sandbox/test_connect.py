"""MLflow finds the plugins by entry points or by `connect`, and both name the owner."""

from __future__ import annotations

import pytest

from snippets.mlflow_auth.register import connect
from tests.sandbox import scripts

EMAIL = "alice@example.com"

# A plain script: it knows nothing of this package.
PLAIN = """
import mlflow

mlflow.set_experiment("plain")
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 1.0, step=0)
    mlflow.log_text("weights", "adapter.txt")
print(run.info.run_id)
"""

# With `connect`, in an environment that says only how to sign in. The cookie expires
# in the middle of the run.
CONNECTED = """
import os, sys
import mlflow
from snippets.mlflow_auth.providers import guard
from snippets.mlflow_auth.register import connect
from snippets.mlflow_auth.secret import Secret

print(connect(method=sys.argv[1]))
print(connect(method=sys.argv[1]))  # a cell that is run again
# Not one for both: who loses the race to make it stays in the default experiment.
mlflow.set_experiment("connected-" + sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_text("first", "first.txt")
    if sys.argv[1] == "cookie":
        guard("oidc-cookie")._held = Secret("_oauth2_proxy=of-last-week")
    mlflow.log_text("weights", "adapter.txt")
    mlflow.log_metric("loss", 1.0, step=0)
print(os.environ["MLFLOW_ALLOW_HTTP_REDIRECTS"], run.info.run_id)
"""

# No wheel and no `connect`: first nothing works. Then the cookie is a header, which is
# registered twice and sent once.
HEADER = """
import os
import mlflow
from mlflow.tracking.request_header.registry import (
    _request_header_provider_registry as registry, resolve_request_headers,
)
from snippets.mlflow_auth.providers import ProxyCookieHeader

class Naive(ProxyCookieHeader):
    def in_context(self):
        return True

try:
    mlflow.set_experiment("header")
except mlflow.MlflowException as error:
    assert "302" in str(error)
del os.environ["MLFLOW_TRACKING_AUTH"]
registry.register(ProxyCookieHeader)
mlflow.set_experiment("header")
once = resolve_request_headers()["Cookie"]
registry.register(ProxyCookieHeader)
assert resolve_request_headers()["Cookie"] == once
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 1.0, step=0)
    mlflow.log_text("weights", "adapter.txt")
print(run.info.run_id)
registry.register(Naive)  # a canary: what MLflow makes of a second value
assert resolve_request_headers()["Cookie"] == f"{once} {once}"
"""
BARE = {
    "MLFLOW_TRACKING_AUTH": None,
    "MLFLOW_ALLOW_HTTP_REDIRECTS": None,
    "MLFLOW_TRACKING_SERVER_CERT_PATH": None,
    "REQUESTS_CA_BUNDLE": "/etc/hostname",  # no certificate is in it
    "MLFLOW_TRACKING_TOKEN": "of-last-week\n",  # MLflow refuses and prints such a one
}


@pytest.fixture(scope="module")
def runs(sandbox, tmp_path_factory):
    """Run each script once, side by side; return stdout and stderr of each."""
    site = scripts.installed(tmp_path_factory.mktemp("wheel"))
    started = {
        "plain": scripts.start(sandbox, "alice", PLAIN, path=site),
        "token": scripts.start(sandbox, "alice", CONNECTED, "token", **BARE),
        "cookie": scripts.start(sandbox, "alice", CONNECTED, "cookie", **BARE),
        "header": scripts.start(sandbox, "alice", HEADER),
    }
    said = {name: one.communicate(timeout=120) for name, one in started.items()}
    failed = [said[name] for name, one in started.items() if one.returncode]
    assert not failed, failed
    return said


def is_mine_and_whole(sandbox, run_id: str) -> bool:
    run = scripts.run(sandbox, "alice", run_id)
    owned = run["user_id"] == run["tags"]["mlflow.user"] == EMAIL
    whole = run["status"] == "FINISHED" and run["steps"] == [0]
    return owned and whole and "adapter.txt" in run["files"]


def test_a_plain_script_needs_the_wheel_and_one_variable(sandbox, runs):
    assert is_mine_and_whole(sandbox, runs["plain"][0].split()[-1])


@pytest.mark.parametrize("method", ["token", "cookie"])
def test_connect_sets_mlflow_up_without_the_wheel_and_says_who_you_are(
    sandbox, runs, method
):
    words = runs[method][0].split()
    assert words[:2] == [EMAIL, EMAIL] and words[-2] == "false"
    assert is_mine_and_whole(sandbox, words[-1])


def test_a_cookie_that_expires_in_the_middle_of_a_run_is_renewed(sandbox, runs):
    run = scripts.run(sandbox, "alice", runs["cookie"][0].split()[-1])
    assert run["files"] == ["adapter.txt", "first.txt"]


def test_without_wheel_and_connect_nothing_signs_in(runs):
    """The canary of the tests above; its script goes on with a cookie."""
    assert "Could not find any registered plugin for oidc" in runs["header"][1]


def test_a_cookie_header_that_is_registered_twice_is_sent_once(sandbox, runs):
    run = scripts.run(sandbox, "alice", runs["header"][0].split()[-1])
    assert run["user_id"] == EMAIL and run["files"] == ["adapter.txt"]


def test_connect_knows_two_methods(monkeypatch):
    with pytest.raises(ValueError, match="use 'token' or 'cookie'"):
        connect(method="basic")
