"""A row shows MLflow's own words, and no port, token or variable of this machine."""

from __future__ import annotations

import os

import pytest

from snippets import mlflow_rows
from snippets.mlflow_rows import Rows, Said

TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2ln"
NAMES = {
    "https://127.0.0.1:24912": "https://platform.example.com",
    "http://127.0.0.1:24914": "http://mlflow.svc:5000",
}


@pytest.fixture
def rows() -> Rows:
    return Rows(NAMES)


def test_an_attempt_has_the_variables_it_is_given_and_none_that_compete(
    rows, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "from before")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")

    def seen() -> str:
        kept = [name for name in os.environ if name.startswith(mlflow_rows.OURS)]
        return ", ".join(sorted(kept))

    given = {"MLFLOW_WORKSPACE": "team-a", "MLFLOW_TRACKING_TOKEN": None}
    assert rows.attempt(seen, given) == Said("MLFLOW_WORKSPACE")
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "from before"


def test_what_one_attempt_changes_the_next_does_not_see(rows):
    def change() -> str:
        NAMES["changed"] = "yes"
        return NAMES["changed"]

    assert str(rows.attempt(change, {})) == "yes"
    assert "changed" not in NAMES


def test_an_error_keeps_its_words_its_type_and_its_code(rows):
    from mlflow.exceptions import MlflowException

    def refuse() -> None:
        print("a hint that no page shows")
        raise MlflowException(f"no:\n'Bearer {TOKEN}\\n' at 127.0.0.1:24914")

    said = rows.attempt(refuse, {})
    text = "MlflowException: no: 'Bearer eyJ…\\n' at mlflow.svc:5000"
    assert said == Said(text, "MlflowException", "INTERNAL_ERROR", leaked=True)


def test_an_attempt_that_dies_is_an_error_and_no_row(rows):
    with pytest.raises(RuntimeError, match="ended without an answer"):
        rows.attempt(lambda: os._exit(3), {})


def test_an_attempt_that_hangs_is_ended(rows, monkeypatch):
    monkeypatch.setattr(mlflow_rows, "LONGEST", 0.2)
    with pytest.raises(RuntimeError, match=r"longer than 0\.2 s"):
        rows.attempt(lambda: __import__("time").sleep(60), {})


PLAIN = {
    "HTTPSConnectionPool(host='127.0.0.1', port=24912)": (
        "HTTPSConnectionPool(host='platform.example.com', port=443)"
    ),
    "host='127.0.0.1', port=24914": "host='mlflow.svc', port=5000",
    "redirect_uri=https%3A%2F%2F127.0.0.1%3A24912%2Fcb": (
        "redirect_uri=https%3A%2F%2Fplatform.example.com%2Fcb"
    ),
    "a?state=Zx-9_&amp;nonce=q.1&code_challenge=A~b&code_challenge_method=S256": (
        "a?state=…&amp;nonce=…&code_challenge=…&code_challenge_method=S256"
    ),
    "<object at 0x7f00deadbeef>\n  two  lines": "<object at 0x…> two lines",
    "{'error': {'code': 'PERMISSION_DENIED'}}": (
        "{'error': {'code': 'PERMISSION_DENIED'}}"
    ),
}


@pytest.mark.parametrize("text", PLAIN)
def test_nothing_but_what_changes_is_taken_out(rows, text):
    assert rows.plain(text) == PLAIN[text]


def test_a_row_records_the_cure_and_what_our_package_makes_of_it(capsys):
    mlflow_rows.record("no_token", Said("E: no"), Said("OK"), "SettingMissing")
    assert capsys.readouterr().out.splitlines() == [
        "E: no",
        "fixed: OK",
        "recorded no_token = OK",
        "with the handbook's package: SettingMissing",
        "recorded no_token_ours = SettingMissing",
    ]
