"""The smoke test is green on a good installation, red where it must be, and tidy."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from snippets.mlflow_auth import oidc
from snippets.mlflow_auth.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "verify.smoke.mlflow"]
FOREIGN = {"MLFLOW_SMOKE_FOREIGN_WORKSPACE": "team-b"}
LEGS = ["token", "cookie", "isolation", "forged owner", "forged tag", "stranger"]
OURS = ("MLFLOW_", "REQUESTS_", "CURL_")


def environment(sandbox, **changed: str) -> dict[str, str]:
    """Return what a user's shell has; nothing of this process's MLflow settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return {**clean, **sandbox.environment("alice"), **FOREIGN, **changed}


def smoke(sandbox, **changed: str) -> tuple[int, dict[str, str], str]:
    """Run the smoke test; return its exit code, each leg's result, and all it said."""
    given = environment(sandbox, **changed)
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=given, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    rows = {line[:14].strip(): line[14:26].strip() for line in said.splitlines()}
    for path in (sandbox.folder / "secrets").iterdir():
        assert path.read_text().strip() not in said, path.name
    assert "eyJ" not in said
    return done.returncode, {leg: rows.get(leg, "") for leg in LEGS}, said


@pytest.fixture
def left(sandbox) -> Iterator[list[str]]:
    """List the smoke test's experiments that are not deleted, all workspaces' ones."""

    def active() -> list[str]:
        found = []
        for user in ("alice", "bob"):
            settings = Settings.from_environment(sandbox.environment(user))
            token = oidc.login(settings).id_token.reveal()
            headers = {"Authorization": f"Bearer {token}"}
            headers["X-MLFLOW-WORKSPACE"] = settings.workspace
            url = f"{sandbox.mlflow_service}/api/2.0/mlflow/experiments/search"
            body = {"max_results": 100, "view_type": "ACTIVE_ONLY"}
            answer = requests.post(url, json=body, headers=headers, timeout=30)
            found += [one["name"] for one in answer.json().get("experiments", [])]
        return [name for name in found if name.startswith("smoke-test-")]

    return active


def test_every_leg_passes_on_the_sandbox_and_nothing_is_left(sandbox, left, tmp_path):
    tokens = tmp_path / "token.json"
    code, results, said = smoke(sandbox, MLFLOW_SSO_TOKEN_FILE=str(tokens))
    assert code == 0, said
    assert results == dict.fromkeys(LEGS, "passed")
    assert said.count("owned by alice@example.com") == 2
    assert left() == []
    assert not tokens.exists(), "the user's token file is not touched"


def test_what_the_roles_give_away_turns_isolation_red(sandbox, left):
    rules = "".join(
        path.read_text() + "\n---\n" for path in sorted(RBAC.glob("*.yaml"))
    )
    given = rules.replace("bob@example.com", "alice@example.com")
    assert given != rules
    sandbox.control("rbac", yaml=rules + given)
    code, results, said = smoke(sandbox)
    assert code == 1 and results["isolation"] == "FAILED", said
    assert "team-b is listed for this user" in said
    assert results["token"] == "passed" and left() == []


RBAC = ROOT / "verify" / "sandbox" / "rbac"


def test_a_wrong_password_is_tried_once_and_no_more(sandbox, tmp_path):
    wrong = tmp_path / "password"
    wrong.write_text("not-this-one")
    before = sandbox.control("requests")
    code, results, said = smoke(sandbox, MLFLOW_SSO_PASSWORD_FILE=str(wrong))
    assert code == 1 and results["token"] == "FAILED", said
    assert results["cookie"] == results["isolation"] == "cannot run"
    assert "BadCredentials" in said and "one more may lock you out" in said
    tried = logins(sandbox.control("requests")) - logins(before)
    assert tried == 1


def logins(counts) -> int:
    """Add up how often a password reached the platform."""
    text = json.dumps(counts)
    found = json.loads(text)
    pairs = found.items() if isinstance(found, dict) else found
    return sum(count for path, count in pairs if "authorize/local" in path)


def test_without_the_proxy_the_cookie_leg_is_red_and_the_token_works(sandbox):
    other = {"MLFLOW_TRACKING_URI": sandbox.mlflow_container}
    other["MLFLOW_SMOKE_FOREIGN_WORKSPACE"] = ""
    code, results, said = smoke(sandbox, **other)
    assert code == 1 and results["isolation"] == "cannot run", said
    assert "MLFLOW_SMOKE_FOREIGN_WORKSPACE does not name" in said
    assert results["token"] == "passed" and results["cookie"] == "FAILED"
    assert "does not lead to the provider's login" in " ".join(said.split())


def test_a_server_that_is_down_is_one_sentence_in_seconds(sandbox):
    sandbox.stop("proxy")
    began = time.monotonic()
    code, results, said = smoke(sandbox)
    assert code == 1 and results["token"] == "FAILED", said
    assert results["isolation"] == "cannot run"
    assert "nobody answers" in said or "Connection refused" in said
    assert time.monotonic() - began < 60


def test_without_settings_it_is_77_with_the_reason(sandbox):
    code, _, said = smoke(sandbox, MLFLOW_SSO_ISSUER="")
    assert code == 77 and "cannot run: MLFLOW_SSO_ISSUER is not set" in said


@pytest.mark.parametrize(
    ("results", "code"),
    [
        (["passed", "passed"], 0),
        (["passed", "cannot run"], 77),
        (["FAILED", "cannot run", "passed"], 1),
    ],
)
def test_a_leg_that_cannot_run_is_77_and_a_failure_goes_before_it(results, code):
    from verify.smoke import mlflow as program

    assert program.exit_code([("leg", result, "") for result in results]) == code


def test_what_it_made_is_deleted_even_when_it_is_stopped_twice(sandbox, left):
    process = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=environment(sandbox),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not left():
        assert process.poll() is None and time.monotonic() < deadline
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)  # impatient, while it cleans up
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM" in said and left() == []


def test_what_cannot_be_deleted_is_named(sandbox, monkeypatch):
    from verify.smoke import mlflow as program

    for name, value in environment(sandbox).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    program.mlflow.set_tracking_uri("http://127.0.0.1:9")
    made = [("team-a", "smoke-test-1")]
    found = program._cleaned(program.Smoke(Settings.from_environment(), made))
    program.mlflow.set_tracking_uri(None)
    assert len(found) == 1
    assert found[0].startswith("could not delete the experiment smoke-test-1 in team-a")


@pytest.mark.parametrize(
    ("user_id", "tag", "told"),
    [
        ("alice@example.com", "root", "tag mlflow.user of the run is 'root'"),
        ("b1946ac92492d234", "alice@example.com", "user_id of the run is 'b1946ac9"),
        ("alice@example.com", None, "tag mlflow.user of the run is None"),
    ],
)
def test_an_owner_that_is_not_who_signed_in_is_named(user_id, tag, told):
    from mlflow.entities import Run, RunData, RunInfo, RunTag

    from verify.smoke import mlflow as program

    info = RunInfo("1", "1", user_id, "FINISHED", 0, 0, "active")
    run = Run(info, RunData(tags=[RunTag("mlflow.user", tag)] if tag else []))
    with pytest.raises(program.Failed, match=re.escape(told)):
        program.owned(run, "alice@example.com")


class Believer(http.server.BaseHTTPRequestHandler):
    """An MLflow that believes what it is told and asks nobody who they are (double)."""

    def do_POST(self) -> None:
        self.answer({"run": {"info": {"run_id": "1"}}, "experiment_id": "1"})

    def do_GET(self) -> None:
        told = {"run_id": "1", "user_id": "mallory", "status": "FINISHED"}
        self.answer({"run": {"info": told, "data": {}}})

    def by_header(self) -> None:
        """Answer a POST in the plugin's words, where it believes a header."""
        if "X-Remote-User" not in self.headers:
            return self.answer({"run": {"info": {}}, "experiment_id": "1"})
        words = "Permission denied for requested operation."
        said = {"code": "PERMISSION_DENIED", "message": words}
        return self.answer({"error": said}, 403)

    def answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def believer(sandbox, monkeypatch) -> Iterator[object]:
    """A smoke test that has signed in, at a server that believes everything."""
    from verify.smoke import mlflow as program

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Believer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in environment(sandbox).items():
        monkeypatch.setenv(name, value)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.delenv("MLFLOW_WORKSPACE")
    program.mlflow.set_tracking_uri(address)
    program.mlflow.set_workspace(None)
    made = program.Smoke(Settings.from_environment())
    made.identities["token"] = "alice@example.com"
    yield program, made
    program.mlflow.set_tracking_uri(None)
    server.shutdown()


@pytest.mark.parametrize(
    ("leg", "told"),
    [
        ("forged_owner", "anyone can log in another's name"),
        ("forged_tag", "the tag changed user_id to 'mallory'"),
        ("stranger", "it is open to everybody"),
    ],
)
def test_a_server_that_believes_everything_turns_the_legs_red(believer, leg, told):
    program, made = believer
    result, said = program._tried(made, getattr(program, leg))
    assert result == program.FAILED and told in said, said


def test_a_permission_that_is_asked_for_the_forger_turns_the_leg_red(
    believer, monkeypatch
):
    """A 403 is no proof that the header was dropped: mallory may have no role."""
    program, made = believer
    monkeypatch.setattr(Believer, "do_POST", Believer.by_header)
    result, said = program._tried(made, program.forged_owner)
    assert result == program.FAILED and "a header that the proxy must drop" in said


@pytest.mark.parametrize("status", [302, 404, 429])
def test_an_answer_that_is_neither_a_run_nor_a_refusal_turns_the_leg_red(
    believer, monkeypatch, status
):
    def busy(self) -> None:
        other = "experiments" in self.path
        self.answer({"experiment_id": "1"}, 200 if other else status)

    program, made = believer
    monkeypatch.setattr(Believer, "do_POST", busy)
    result, said = program._tried(made, program.forged_owner)
    assert result == program.FAILED and f"{status} is neither a run" in said, said
