"""The doctor names the hop that fails, says what to do, and shows no secret."""

from __future__ import annotations

import json

import pytest

from snippets.mlflow_auth import doctor as surgery
from snippets.mlflow_auth.__main__ import main

HOPS = [name for name, _, _ in surgery.HOPS]


@pytest.fixture
def ask(sandbox, monkeypatch, tmp_path, capsys):
    """Run the doctor as Alice with some variables changed; return its rows."""

    def doctor(**changes):
        wanted = sandbox.environment("alice")
        wanted["MLFLOW_SSO_TOKEN_FILE"] = str(tmp_path / "token.json")
        for name, value in (wanted | changes).items():
            monkeypatch.setenv(name, value)
        code = main(["doctor"])
        printed = capsys.readouterr().out
        token = tmp_path / "token.json"
        secrets = json.loads(token.read_text()) if token.exists() else {}
        shown = [
            secrets.get("id_token", "?none"),
            secrets.get("refresh_token", "?none"),
        ]
        shown += [sandbox.secret("alice.password"), sandbox.secret("client.secret")]
        assert not any(secret in printed for secret in shown)
        rows = {}
        for line in printed.splitlines():
            if line[:1].strip():
                rows[line[:11].strip()] = line[11:22].strip()
        assert list(rows) == HOPS
        return code, rows, " ".join(printed.split())

    return doctor


def broken_at(rows: dict[str, str], hop: str) -> bool:
    """Return whether a hop failed, all before it did not, and none after was tried."""
    place, values = HOPS.index(hop), list(rows.values())
    before, after = set(values[:place]), set(values[place + 1 :])
    return before <= {"ok", "look"} and rows[hop] == "FAILED" and after == {"not tried"}


def test_a_healthy_way_ends_with_zero_and_every_hop_is_tried(ask):
    code, rows, text = ask()
    assert code == 0
    assert {rows[hop] for hop in HOPS[:-1]} == {"ok"}
    assert "alice@example.com may create experiments" in text


@pytest.mark.parametrize(
    "hop, changes, told",
    [
        ("settings", {"MLFLOW_SSO_ISSUER": ""}, "MLFLOW_SSO_ISSUER is not set"),
        ("DNS", {"MLFLOW_SSO_ISSUER": "https://nobody.invalid/dex"}, "nobody.invalid"),
        ("TCP", {"MLFLOW_SSO_ISSUER": "https://127.0.0.1:1/dex"}, "127.0.0.1:1 takes"),
        ("workspace", {"MLFLOW_WORKSPACE": "nowhere"}, 'no workspace "nowhere"'),
    ],
)
def test_a_broken_setting_ends_the_trip_at_its_hop(ask, hop, changes, told):
    code, rows, text = ask(**changes)
    assert code == 1 and broken_at(rows, hop), rows
    assert told in text and "To do:" in text


def test_each_part_that_is_wrong_is_told_from_the_others(sandbox, ask, tmp_path):
    other = tmp_path / "other.pem"
    other.write_text("not a certificate")
    code, rows, text = ask(MLFLOW_SSO_CA_BUNDLE=str(other))
    assert broken_at(rows, "settings") and "holds no PEM certificate" in text
    code, rows, text = ask(MLFLOW_TRACKING_URI=sandbox.mlflow + "x")
    assert broken_at(rows, "proxy") and "MLFLOW_TRACKING_URI" in text
    code, rows, text = ask(MLFLOW_SSO_ISSUER=sandbox.platform)
    assert broken_at(rows, "provider")
    code, rows, text = ask(MLFLOW_SSO_LOGIN="device", MLFLOW_SSO_PASSWORD_FILE="")
    assert broken_at(rows, "token") and "NotSignedIn" in text
    code, rows, text = ask(MLFLOW_TRACKING_URI=sandbox.mlflow_container)
    assert rows["proxy"] == "look" and "answers without a login" in text


@pytest.mark.filterwarnings("ignore:MLFLOW_SSO_INSECURE_TLS", "ignore:Unverified HTTPS")
def test_an_authority_that_nobody_told_of_is_named_at_the_tls_hop(ask):
    code, rows, text = ask(MLFLOW_SSO_CA_BUNDLE="", MLFLOW_TRACKING_SERVER_CERT_PATH="")
    assert broken_at(rows, "TLS") and "MLFLOW_SSO_CA_BUNDLE" in text
    code, rows, text = ask(MLFLOW_SSO_CA_BUNDLE="", MLFLOW_SSO_INSECURE_TLS="true")
    assert rows["TLS"] == "look" and "nothing is verified" in text


def test_a_token_for_another_client_is_refused_after_its_claims_are_shown(sandbox, ask):
    secret = str(sandbox.secret_file("other-client.secret"))
    client = {"MLFLOW_SSO_CLIENT_ID": "other-app"}
    code, rows, text = ask(MLFLOW_SSO_CLIENT_SECRET_FILE=secret, **client)
    assert rows["claims"] == "look" and rows["accepted"] == "FAILED"
    assert "WrongAudience" in text and "signs people in for mlflow-proxy" in text


def test_a_workspace_of_others_may_be_neither_read_nor_written(ask):
    code, rows, text = ask(MLFLOW_WORKSPACE="team-b")
    assert code == 1 and rows["workspace"] == "ok"
    assert rows["read"] == rows["create"] == "FAILED"
    assert text.count("ForbiddenWorkspace") == 2 and rows["client"] != "not tried"


def test_a_clock_that_is_off_is_named(ask, monkeypatch):
    real = surgery.time.time
    monkeypatch.setattr(surgery.time, "time", lambda: real() - 90)
    code, rows, text = ask()
    assert rows["claims"] == "FAILED" and "set the clock" in text


def test_what_mlflow_itself_would_send_and_whom_it_would_name_is_looked_at(
    alice, monkeypatch
):
    last = surgery.doctor()[-1]
    assert last.result == "ok" and last.said.endswith("those of alice@example.com")
    monkeypatch.setenv("MLFLOW_ALLOW_HTTP_REDIRECTS", "true")
    assert "redirects" in surgery.doctor()[-1].said
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "mallory")
    assert "a user and a password too" in surgery.doctor()[-1].said
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "kubernetes")
    last = surgery.doctor()[-1]
    assert last.result == "look" and "connect()" in last.todo
