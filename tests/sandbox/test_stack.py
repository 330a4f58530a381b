"""The sandbox comes up whole, is what it says it is, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from snippets.mlflow_auth import oidc
from snippets.mlflow_auth.settings import Settings
from verify.sandbox import Sandbox, SandboxError, down, life, ports, processes, web
from verify.sandbox.parts import PARTS
from verify.sandbox.state import FILE

ROOT = Path(__file__).resolve().parents[2]
SLOW = 2 * life.SECONDS  # the promised seconds are the bench's to judge
ADDRESSES = ("platform", "mlflow", "mlflow_service", "mlflow_container", "kubernetes")


def command(folder: Path, *words: str, **options) -> subprocess.CompletedProcess[str]:
    """Run the command line on a sandbox of the test's own."""
    line = [sys.executable, "-m", "verify.sandbox", *words, "--folder", str(folder)]
    pipes = {"capture_output": True, "text": True, "timeout": SLOW}
    return subprocess.run(line, cwd=ROOT, **pipes | options)


def stranger(**environment: str) -> subprocess.Popen[bytes]:
    """Start a process that is no part of a sandbox, or only looks like one."""
    return subprocess.Popen(["sleep", "600"], env={**os.environ, **environment})


def listening(address: str) -> bool:
    host, port = re.search(r"//([^:/]+):(\d+)", address).groups()
    with socket.socket() as test:
        return test.connect_ex((host, int(port))) == 0


@pytest.fixture(scope="module")
def tokens(sandbox) -> dict[str, str]:
    """An id token of each user, had through the login API."""
    found = {}
    for user in sandbox.users:
        settings = Settings.from_environment(sandbox.environment(user))
        found[user] = oidc.login(settings).id_token.reveal()
    return found


@pytest.fixture
def ask(sandbox, tokens):
    """Call MLflow's REST API as a user, in a workspace, through a route."""

    def call(user, path, *, workspace="team-a", route="mlflow", verb="GET", **more):
        session = requests.Session()
        session.trust_env = False
        session.verify = str(sandbox.ca)
        session.headers["X-MLFLOW-WORKSPACE"] = workspace
        session.headers["Authorization"] = f"Bearer {tokens[user]}"
        url = f"{getattr(sandbox, route)}/api/2.0/{path}"
        return session.request(verb, url, timeout=SLOW, allow_redirects=False, **more)

    return call


SEARCH = {"verb": "POST", "json": {"max_results": 10}}
EXPERIMENTS = "mlflow/experiments/search"


@pytest.mark.parametrize("route", ["mlflow", "mlflow_service"])
def test_both_routes_answer_who_has_a_token(ask, route):
    answer = ask("alice", EXPERIMENTS, route=route, **SEARCH)
    assert answer.status_code == 200, answer.text


def test_a_workspace_of_others_is_forbidden_and_says_so(ask):
    make = {"verb": "POST", "json": {"name": "whose"}}
    answer = ask("alice", "mlflow/experiments/create", workspace="team-b", **make)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "PERMISSION_DENIED"
    answer = ask("bob", "mlflow/experiments/create", workspace="team-b", **make)
    assert answer.status_code == 200
    found = ask("alice", EXPERIMENTS, workspace="team-b", **SEARCH).json()
    assert found == {"experiments": []}  # a list holds what one may see: nothing


@pytest.mark.parametrize("name", ["default", "nope"])
def test_a_namespace_without_the_label_is_no_workspace(ask, name):
    answer = ask("alice", EXPERIMENTS, workspace=name, **SEARCH)
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert f"Workspace '{name}' not found" in answer.text


def test_an_artifact_goes_up_and_comes_down_through_the_proxy(ask, sandbox):
    name = {"json": {"name": "artifacts"}, "verb": "POST"}
    made = ask("alice", "mlflow/experiments/create", **name)
    run = {"json": {"experiment_id": made.json()["experiment_id"]}, "verb": "POST"}
    info = ask("alice", "mlflow/runs/create", **run).json()["run"]["info"]
    assert info["user_id"] == sandbox.users["alice"]["email"]

    place = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    assert place.startswith("workspaces/team-a/")
    data = bytes(range(256)) * 1000
    path = f"mlflow-artifacts/artifacts/{place.partition('team-a/')[2]}/adapter.bin"
    up = ask("alice", path, verb="PUT", data=data)
    assert up.status_code == 200, up.text
    assert ask("alice", path).content == data
    assert list((sandbox.folder / "artifacts").rglob("adapter.bin"))
    assert ask("bob", path).status_code == 403


def test_the_server_refuses_the_name_of_a_service_as_its_host(ask):
    headers = {"Host": "mlflow.mlflow.svc.cluster.local"}
    where = {"route": "mlflow_container", "headers": headers}
    answer = ask("alice", EXPERIMENTS, **where, **SEARCH)
    refusal = "Invalid Host header - possible DNS rebinding attack detected"
    assert (answer.status_code, answer.text) == (403, refusal)


def test_every_part_listens_on_loopback_only(sandbox):
    found = {
        connection.laddr.ip
        for several in processes.living(sandbox.folder).values()
        for process in several
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert found == {"127.0.0.1"}


def test_files_are_for_their_owner_only(sandbox):
    loose = {
        path.name
        for path in sandbox.folder.rglob("*")
        if not path.is_symlink() and "node" not in path.parts
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    assert stat.S_IMODE(sandbox.folder.stat().st_mode) == 0o700
    assert loose <= {"lock", "ca.pem"}, loose
    modes = {
        stat.S_IMODE(path.stat().st_mode)
        for path in (sandbox.folder / "secrets").iterdir()
    }
    assert modes == {0o600}


def test_no_secret_is_in_state_settings_arguments_or_environment(sandbox):
    secrets = [path.read_text() for path in (sandbox.folder / "secrets").iterdir()]
    assert len(secrets) >= 7 and min(map(len, secrets)) >= 30
    shown = [
        (sandbox.folder / name).read_text()
        for name in (FILE, "config.json", "kubeconfig")
    ]
    for several in processes.living(sandbox.folder).values():
        for process in several:
            shown += [*process.cmdline(), *process.environ().values()]
    shown += [path.read_text() for path in sandbox.logs.iterdir()]
    shown += sandbox.environment("alice").values()
    assert not [part for part in shown for secret in secrets if secret in part]


def test_a_part_that_was_stopped_starts_again_at_its_address(sandbox, ask):
    sandbox.stop("proxy")
    assert not listening(sandbox.mlflow)
    with pytest.raises(requests.ConnectionError):
        ask("alice", EXPERIMENTS, **SEARCH)
    sandbox.start("proxy")
    assert ask("alice", EXPERIMENTS, **SEARCH).status_code == 200
    assert Sandbox.read(sandbox.folder).mlflow == sandbox.mlflow


def test_a_part_that_runs_is_not_started_twice(sandbox):
    with pytest.raises(SandboxError, match="proxy is running already"):
        sandbox.start("proxy")
    with pytest.raises(SandboxError, match="no part 'server'; it has platform, proxy"):
        sandbox.stop("server")


def test_a_part_that_has_ended_is_not_well_because_another_answers_there(sandbox):
    """Two sandboxes that start at once can choose the same ports."""
    with subprocess.Popen(["true"]) as ended:
        pass
    with pytest.raises(SandboxError, match="proxy ended with exit code 0 at its start"):
        life._wait(sandbox, {"proxy": ended})


def test_dials_need_the_key_and_say_what_they_refuse(sandbox):
    url = f"{sandbox.control_port}/reset-failures"
    assert web.ask(url, "POST", {"X-Sandbox-Key": "wrong"}).status == 403
    with pytest.raises(SandboxError, match="seconds must be a whole number"):
        sandbox.control("token-seconds", seconds=0)
    assert sandbox.control("requests")["/dex/token"] >= 1


def test_a_user_that_does_not_exist_has_no_environment(sandbox):
    with pytest.raises(SandboxError, match="no user 'mallory'; it has alice, bob"):
        sandbox.environment("mallory")


def test_the_sandbox_replaces_a_killed_one_and_goes_down_whole(fresh_folder):
    """Left behind: a part of a killed sandbox, and a pid that others have now."""
    fresh_folder.mkdir()
    (fresh_folder / "lock").touch()
    other = stranger()
    (fresh_folder / FILE).write_text(json.dumps({"pids": {"proxy": other.pid}}))
    left = stranger(**{processes.MARK: f"{fresh_folder}|proxy"})

    done = command(fresh_folder, "up")
    assert done.returncode == 0, done.stderr
    assert left.wait(5) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    found = Sandbox.read(fresh_folder)
    assert sorted(found.pids) == sorted(PARTS) == sorted(processes.living(fresh_folder))
    assert all(listening(getattr(found, name)) for name in ADDRESSES)

    again = command(fresh_folder, "up").stdout
    assert again == f"The sandbox is up already: {found.mlflow}\n"
    assert Sandbox.read(fresh_folder) == found

    table = command(fresh_folder, "status").stdout
    lines = [line for line in table.splitlines() if line.endswith("yes")]
    assert [line.count("(double)") for line in lines] == [0, 1, 1, 1, 1, 0]
    assert re.search(r"In all \d+ MB \(PSS\)", table)
    said = command(fresh_folder, "env", "alice").stdout
    assert f"export MLFLOW_TRACKING_URI={found.mlflow}\n" in said
    for act, answers in (("stop", False), ("start", True)):
        assert command(fresh_folder, act, "proxy").returncode == 0
        assert listening(found.mlflow) is answers

    command(fresh_folder, "stop", "platform")
    done = command(fresh_folder, "status")
    assert done.returncode == 1
    assert done.stdout.count("  no\n") == 3

    assert command(fresh_folder, "down").returncode == 0
    assert processes.living(fresh_folder) == {}
    assert not any(listening(getattr(found, name)) for name in ADDRESSES)
    assert {path.name for path in fresh_folder.iterdir()} == {"lock", "logs"}
    assert "No sandbox was up" in command(fresh_folder, "down").stdout


def test_nothing_outlives_a_command_that_was_killed(fresh_folder):
    line = [sys.executable, "-m", "verify.sandbox", "up", "--with-me"]
    line += ["--folder", str(fresh_folder)]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as held:
        assert "The sandbox is up" in held.stdout.readline()
        assert sorted(processes.living(fresh_folder)) == sorted(PARTS)
        held.kill()
    deadline = time.monotonic() + SLOW
    while processes.living(fresh_folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes.living(fresh_folder) == {}


def test_a_part_that_does_not_start_is_named_with_what_its_log_says(
    fresh_folder, monkeypatch
):
    monkeypatch.setitem(life.USERS, "eve", {"email": "eve@example.com"})
    with pytest.raises(SandboxError) as raised:
        life.up(fresh_folder)
    assert "platform ended with exit code 1 at its start" in str(raised.value)
    assert "eve.password" in str(raised.value)  # the last lines of its log
    assert processes.living(fresh_folder) == {}
    assert {path.name for path in fresh_folder.iterdir()} == {"lock", "logs"}


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    for act in (life.up, down):
        with pytest.raises(SandboxError, match=r"not a sandbox's folder and not empty"):
            act(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_where_no_sandbox_is_up_every_command_says_how_to_start_one(tmp_path):
    for words in (["status"], ["env", "alice"], ["stop", "proxy"]):
        done = command(tmp_path, *words)
        assert done.returncode == 1
        assert "Start one: python3 noxfile.py -s sandbox -- up" in done.stderr


def test_two_commands_do_not_start_one_sandbox_at_once(tmp_path):
    with (
        life._locked(tmp_path / "sandbox"),
        pytest.raises(SandboxError, match="Another command"),
    ):
        life.up(tmp_path / "sandbox")


def test_a_port_that_somebody_listens_on_is_not_chosen(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not ports.free(port)
        monkeypatch.setattr(ports, "FIRST", port)
        monkeypatch.setattr(ports, "LAST", port + 1)
        with pytest.raises(SandboxError, match="No 1 ports in a row are free"):
            ports.choose(["mlflow"])
