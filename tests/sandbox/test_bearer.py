"""The credential of a request: fresh, renewed once when refused, never given away."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import os
import threading
import time
import warnings

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException

from snippets.mlflow_auth import claims, errors, oidc
from snippets.mlflow_auth.answers import cause
from snippets.mlflow_auth.bearer import BearerAuth, StaticAuth
from snippets.mlflow_auth.providers import OidcAuthProvider, guard
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.store import TokenFile


@pytest.fixture
def upload(sandbox, alice, tmp_path):
    """A file of 20 MB, and where MLflow takes it."""
    file = tmp_path / "adapter.bin"
    file.write_bytes(os.urandom(1 << 20) * 20)
    path = "api/2.0/mlflow-artifacts/artifacts/workspaces/team-a/1/upload/adapter.bin"
    return file, f"{sandbox.mlflow}/{path}"


def spoil(settings: Settings) -> None:
    """Change the signature of the token in the file: alive, and refused."""
    file = TokenFile(settings.token_file)
    tokens = file.read()
    head, body, signature = tokens.id_token.reveal().split(".")
    other = signature[::-1]
    token = Secret(f"{head}.{body}.{other}")
    file.write(dataclasses.replace(tokens, id_token=token))


def send(method: str, url: str, sandbox, auth=None, **more) -> requests.Response:
    headers = {"X-MLFLOW-WORKSPACE": "team-a"}
    return requests.request(
        method,
        url,
        auth=auth or OidcAuthProvider().get_auth(),
        headers=headers,
        verify=str(sandbox.ca),
        allow_redirects=False,
        timeout=30,
        **more,
    )


def test_a_refused_upload_is_sent_again_whole(sandbox, alice, upload):
    file, url = upload
    spoil(alice)
    with file.open("rb") as stream:
        answer = send("PUT", url, sandbox, data=stream)
    assert [a.status_code for a in answer.history] + [answer.status_code] == [302, 200]
    kept = send("GET", url, sandbox).content
    assert hashlib.sha256(kept).digest() == hashlib.sha256(file.read_bytes()).digest()


def test_a_refused_stream_that_cannot_be_read_twice_says_to_send_it_again(
    sandbox, alice, upload
):
    file, url = upload
    spoil(alice)
    pieces = (file.read_bytes()[:1000] for _ in range(3))
    with pytest.raises(errors.RejectedByProxy, match="send it again"):
        send("PUT", url, sandbox, data=pieces)
    pieces = (file.read_bytes()[:1000] for _ in range(3))
    assert send("PUT", url, sandbox, data=pieces).status_code == 200


def test_an_artifact_is_lost_in_silence_by_mlflow_and_not_by_the_plugin(
    sandbox, alice, monkeypatch
):
    """MLflow's client takes the login's redirect for a stored file."""
    mlflow.set_experiment("silence")
    with mlflow.start_run() as run:
        mlflow.log_text("first", "first.txt")  # from here on it asks nothing before
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "expired")
        monkeypatch.delenv("MLFLOW_TRACKING_AUTH")
        mlflow.log_text("lost", "lost.txt")
        monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "oidc")
        spoil(alice)
        mlflow.log_text("kept", "kept.txt")
        monkeypatch.delenv("MLFLOW_SSO_ISSUER")
        with pytest.raises(MlflowException) as told:
            mlflow.log_text("refused", "refused.txt")
        monkeypatch.setenv("MLFLOW_SSO_ISSUER", alice.issuer)
        names = [
            file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)
        ]
    assert names == ["first.txt", "kept.txt"]
    assert isinstance(cause(told.value), errors.RejectedByProxy)


def test_a_fresh_token_costs_no_reading_and_no_parsing(alice, monkeypatch, sandbox):
    prepare = requests.Session().prepare_request
    auth = OidcAuthProvider().get_auth
    auth().value()
    count = {"read": 0, "decode": 0, "stat": 0}

    def counted(name, real):
        def call(*given, **named):
            count[name] += 1
            return real(*given, **named)

        return call

    monkeypatch.setattr(TokenFile, "read", counted("read", TokenFile.read))
    monkeypatch.setattr(claims, "decode", counted("decode", claims.decode))
    for _ in range(100):
        found = prepare(requests.Request("GET", sandbox.mlflow, auth=auth()))
        assert found.headers["Authorization"].startswith("Bearer ey")
    assert count["read"] == count["decode"] == 0
    file = TokenFile(alice.token_file)
    file.write(file.read())  # another process has been there
    count["read"] = 0
    for _ in range(100):
        auth().value()
    assert count["read"] == 1


def test_a_token_of_another_process_is_taken_from_the_file(alice):
    auth = OidcAuthProvider().get_auth()
    before = auth.value()
    TokenFile(alice.token_file).write(oidc.login(alice))
    assert auth.value() != before and auth.who() == "alice@example.com"


def test_threads_that_find_a_token_due_renew_it_once(sandbox, alice):
    sandbox.control("token-seconds", seconds=3)
    auth = BearerAuth(alice)
    TokenFile(alice.token_file).write(oidc.login(alice))
    time.sleep(2.1)
    sandbox.control("token-seconds", seconds=600)  # the new one is not due at once
    before = sandbox.control("requests")["/dex/token"]
    threads = [threading.Thread(target=auth.value) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sandbox.control("requests")["/dex/token"] == before + 1


def test_a_provider_that_is_away_is_no_error_until_the_token_is_refused(sandbox, alice):
    url = f"{sandbox.mlflow}/version"
    asked = requests.get(url, verify=str(sandbox.ca), allow_redirects=False, timeout=30)
    assert asked.is_redirect  # the proxy has found its provider, else it answers 502
    sandbox.control("token-seconds", seconds=6)
    auth, tokens = BearerAuth(alice), oidc.login(alice)
    TokenFile(alice.token_file).write(tokens)
    before = auth.value()
    sandbox.stop("platform")
    time.sleep(max(0.0, tokens.seconds_left() - 1.8))
    assert tokens.due() and auth.value() == before
    time.sleep(max(0.0, tokens.seconds_left()) + 0.1)
    with pytest.raises(errors.Unreachable, match="nobody answers"):
        send("GET", url, sandbox, auth)
    sandbox.start("platform")
    assert send("GET", url, sandbox, auth).text == "3.17.2"


def test_a_wrong_password_is_tried_once_for_all_requests(
    sandbox, alice, monkeypatch, tmp_path
):
    """Three failures, and the login wants a captcha from the person."""
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    monkeypatch.setenv("MLFLOW_SSO_PASSWORD_FILE", str(wrong))
    monkeypatch.setenv("MLFLOW_SSO_TOKEN_FILE", str(tmp_path / "none.json"))
    path = "/dex/api/v1/authorize/local"
    before = sandbox.control("requests").get(path, 0)
    for _ in range(5):
        with pytest.raises(errors.BadCredentials):
            OidcAuthProvider().get_auth().value()
    assert sandbox.control("requests")[path] == before + 1
    wrong.write_text(sandbox.secret("alice.password"))  # the Secret is corrected
    assert OidcAuthProvider().get_auth().who() == "alice@example.com"


def token_alone(monkeypatch, token: str) -> None:
    """Leave the environment with a token, and nothing to renew it by."""
    for name in [n for n in os.environ if n.startswith("MLFLOW_SSO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)


def test_a_token_alone_is_sent_and_says_that_it_cannot_be_renewed(
    sandbox, alice, monkeypatch
):
    tokens = oidc.login(alice)
    other = Settings.from_environment(
        os.environ
        | {
            "MLFLOW_SSO_CLIENT_ID": sandbox.other_client_id,
            "MLFLOW_SSO_CLIENT_SECRET_FILE": str(
                sandbox.secret_file("other-client.secret")
            ),
        }
    )
    wrong = oidc.login(other).id_token.reveal()
    sandbox.control("token-seconds", seconds=2)  # of 1 s, some have expired on arrival
    short = oidc.login(alice)
    expired = short.id_token.reveal()
    token_alone(monkeypatch, tokens.id_token.reveal())
    assert isinstance(OidcAuthProvider().get_auth(), StaticAuth)
    url = f"{sandbox.mlflow}/version"
    assert send("GET", url, sandbox).text == "3.17.2"
    time.sleep(max(0.0, short.seconds_left()) + 0.1)
    for token, kind, text in (
        (wrong, errors.WrongAudience, "aud=other-app"),
        (expired, errors.TokenExpired, "iss=https://127.0.0.1"),
        ("opaque", errors.RejectedByProxy, "no JSON Web Token"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
        with pytest.raises(kind, match=text) as told:
            send("GET", url, sandbox)
        assert "cannot be renewed from here" in str(told.value)
        assert token not in str(told.value)


def test_what_a_workspace_refuses_has_a_class_and_says_what_to_do(alice):
    mlflow.set_workspace("team-b")
    with pytest.raises(MlflowException, match="300 s per token") as told:
        mlflow.create_experiment("not mine")
    found = cause(told.value)
    assert isinstance(found, errors.ForbiddenWorkspace)
    assert found.what == 'alice@example.com may not do this in the workspace "team-b"'
    mlflow.set_workspace("nowhere")
    with pytest.raises(MlflowException) as told:
        mlflow.create_experiment("not there")
    assert isinstance(cause(told.value), errors.UnknownWorkspace)
    mlflow.set_workspace(None)
    with pytest.raises(MlflowException) as told:
        mlflow.create_experiment("not anywhere")
    assert isinstance(cause(told.value), errors.SettingMissing)
    assert cause(ValueError("of somebody else")) is None


def test_a_permission_counts_for_a_new_token_at_once(sandbox, alice):
    """The plugin keeps its answer for 300 s per token."""
    mlflow.set_workspace("team-b")
    with pytest.raises(MlflowException):
        mlflow.create_experiment("granted")
    sandbox.control("rbac", yaml=RULES)
    with pytest.raises(MlflowException):
        mlflow.create_experiment("granted")
    TokenFile(alice.token_file).write(oidc.login(alice))
    assert mlflow.create_experiment("granted").isdigit()


RULES = """
apiVersion: v1
kind: Namespace
metadata: {name: team-b, labels: {mlflow.kubeflow.org/workspace: "true"}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: mlflow-user, namespace: team-b}
rules:
- apiGroups: [mlflow.kubeflow.org]
  resources: [experiments]
  verbs: [get, list, create, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: alice, namespace: team-b}
subjects: [{kind: User, name: alice@example.com, apiGroup: rbac.authorization.k8s.io}]
roleRef: {kind: Role, name: mlflow-user, apiGroup: rbac.authorization.k8s.io}
"""


def test_user_and_password_of_mlflow_do_not_beat_the_plugin_and_are_reported(
    sandbox, alice, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "mallory")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "guess-this")
    guard.__globals__["_guard"].cache_clear()
    experiment = mlflow.set_experiment("trap").experiment_id
    with mlflow.start_run() as run:
        pass
    found = mlflow.get_run(run.info.run_id)
    assert found.info.user_id == found.data.tags["mlflow.user"] == "alice@example.com"
    assert caplog.text.count("MLFLOW_TRACKING_USERNAME") == 1
    assert "guess-this" not in caplog.text
    token = oidc.current(alice).id_token.reveal()  # stock MLflow, with a good token
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    monkeypatch.delenv("MLFLOW_TRACKING_AUTH")
    with pytest.raises(MlflowException, match="302"):
        mlflow.MlflowClient().get_experiment(experiment)
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    assert mlflow.MlflowClient().get_experiment(experiment).name == "trap"


class Stranger(http.server.BaseHTTPRequestHandler):
    """Keeps the headers that it was sent."""

    seen: list[dict[str, str]] = []

    def do_GET(self):
        self.seen.append(dict(self.headers))
        self.send_response(302)
        self.send_header("Location", "/oauth2/start?response_type=code")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_the_token_goes_to_mlflow_and_to_no_other_host(sandbox, alice, caplog):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/file"
        assert send("GET", url, sandbox).status_code == 302
        server.shutdown()
    [seen] = Stranger.seen
    assert "Authorization" not in seen and "Cookie" not in seen
    assert "gets no credential" in caplog.text
    version = send("GET", f"{sandbox.mlflow}/version", sandbox)
    assert "Authorization" in version.request.headers


def test_a_forked_process_has_a_credential_of_its_own(alice):
    mine = guard("oidc")
    with mine._lock:  # as if a thread were renewing
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            os._exit(0 if guard("oidc").value() == mine._held.value else 1)
        assert os.waitpid(child, 0)[1] == 0
