"""Every way to sign in works at the real provider, and every cause of failure that it
can have happens there, is told by its class, and tells no secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import certifi
import pytest

from snippets.mlflow_auth import __main__ as command
from snippets.mlflow_auth import claims, errors, oidc, web
from snippets.mlflow_auth.cookie import proxy_cookie
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.store import TokenFile

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = ("platform", "form")


@pytest.fixture
def variables(sandbox, tmp_path):
    """The environment of alice, with a token file of the test's own."""
    own = {"MLFLOW_SSO_TOKEN_FILE": str(tmp_path / "private" / "token.json")}
    return sandbox.environment("alice") | own


@pytest.fixture
def settings(variables):
    return Settings.from_environment(variables)


@pytest.fixture
def device(sandbox, settings):
    """Settings of a public client without a password."""
    public = {"client_id": sandbox.device_client_id, "client_secret": None}
    return replace(settings, login="device", password=None, **public)


@pytest.fixture
def approve(sandbox):
    """Play alice, who opens the address and enters the code."""

    def enter(address, code):
        assert address.startswith(sandbox.issuer)
        sandbox.control("approve-device", user_code=code, user="alice")

    return enter


@contextmanager
def fails(sandbox, kind, told):
    """Expect an error of this class, with these words, that tells no secret."""
    with pytest.raises(kind, match=told) as caught:
        yield
    assert type(caught.value) is kind
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    for file in (sandbox.folder / "secrets").iterdir():
        assert file.read_text().strip() not in shown, f"{file.name} was told"
    assert not re.search(r"eyJ\w|code=[^\[]|state=[^\[]", str(caught.value))


def who(tokens):
    return claims.identity(claims.decode(tokens.id_token))


def experiments(sandbox, settings, **headers):
    """Ask MLflow, behind the proxy, for the experiments of a workspace."""
    url = f"{sandbox.mlflow}/api/2.0/mlflow/experiments/search"
    headers["X-MLFLOW-WORKSPACE"] = "team-a"
    session = web.session(settings)
    return session.request("POST", url, json={"max_results": 1}, headers=headers)


def begun(settings):
    """Return a login up to where the user would sign in."""
    session = web.session(settings)
    provider = oidc.discover(session, settings)
    return session, provider, oidc.begin(settings, provider)


def came_back(settings):
    """Return a login up to the callback that holds the code."""
    session, provider, attempt = begun(settings)
    callback = oidc.SIGN_IN[settings.login](session, settings, attempt.url)
    return session, provider, attempt, callback


# ---------------------------------------------------------------------------
# Ways in
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("login", SCRIPTED)
def test_a_script_signs_in_and_mlflow_takes_the_token(sandbox, settings, login):
    tokens = oidc.login(replace(settings, login=login))
    assert who(tokens) == "alice@example.com"
    assert tokens.refresh_token
    assert 590 < tokens.seconds_left() <= 600
    bearer = f"Bearer {tokens.id_token.reveal()}"
    answer = experiments(sandbox, settings, Authorization=bearer)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"


def test_an_e_mail_address_is_an_account_too(settings):
    tokens = oidc.login(replace(settings, username="alice@example.com"))
    assert who(tokens) == "alice@example.com"


def test_a_person_signs_in_on_another_device(sandbox, device, approve):
    tokens = oidc.device_login(device, approve)
    assert who(tokens) == "alice@example.com"
    again = oidc.refresh(device, tokens)
    assert again.refresh_token != tokens.refresh_token
    bearer = f"Bearer {again.id_token.reveal()}"
    assert experiments(sandbox, device, Authorization=bearer).status_code == 200


def test_a_device_waits_until_the_person_is_there(device, approve, monkeypatch):
    seen = []
    monkeypatch.setattr(oidc.time, "sleep", lambda wait: approve(*seen[0]))
    tokens = oidc.device_login(device, lambda *shown: seen.append(shown))
    assert who(tokens) == "alice@example.com"


@pytest.mark.parametrize("login", SCRIPTED)
def test_the_proxys_cookie_opens_mlflow(sandbox, settings, login):
    cookie = proxy_cookie(replace(settings, login=login))
    answer = experiments(sandbox, settings, Cookie=cookie.reveal())
    assert answer.status_code == 200
    nobody = experiments(sandbox, settings, Cookie="_oauth2_proxy=forged")
    assert nobody.status_code == 302, "without the cookie the proxy asks to sign in"


def test_a_refresh_token_is_replaced_each_time(settings):
    tokens = oidc.login(settings)
    seen = {tokens.refresh_token}
    for _ in range(3):
        tokens = oidc.refresh(settings, tokens)
        seen.add(tokens.refresh_token)
    assert len(seen) == 4
    assert who(tokens) == "alice@example.com"


# ---------------------------------------------------------------------------
# The token file
# ---------------------------------------------------------------------------


def test_a_login_that_a_thief_of_the_refresh_token_ended_begins_again(settings):
    first = oidc.current(settings)
    oidc.refresh(settings, first)  # rotated elsewhere: what the file holds is void
    second = oidc.current(settings, first)
    assert second.id_token != first.id_token
    assert who(second) == "alice@example.com"
    assert TokenFile(settings.token_file).read() == second


def test_without_a_password_that_login_ends_and_says_what_to_do(
    sandbox, device, approve
):
    first = oidc.device_login(device, approve)
    TokenFile(device.token_file).write(first)
    oidc.refresh(device, first)
    told = "log in again: `python -m snippets.mlflow_auth login`"
    with fails(sandbox, errors.InvalidGrant, told):
        oidc.current(device, first)


CHILD = """
from snippets.mlflow_auth import oidc
from snippets.mlflow_auth.settings import Settings
settings = Settings.from_environment()
tokens = None
for _ in range(6):
    tokens = oidc.current(settings, tokens)
assert tokens.seconds_left() > 0
print(settings.token_file)
"""


def test_four_processes_share_one_rotating_refresh_token(sandbox, variables, settings):
    del variables["MLFLOW_SSO_PASSWORD_FILE"]  # nobody can mend what was lost
    TokenFile(settings.token_file).write(oidc.login(settings))
    before = sandbox.control("requests").get("/dex/token", 0)
    environment = os.environ | variables | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD], env=environment, stdout=pipe, stderr=pipe
        )
        for _ in range(4)
    ]
    for child in children:
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err.decode()
        assert out.decode().strip() == str(settings.token_file)
    asked = sandbox.control("requests")["/dex/token"] - before
    assert 5 <= asked <= 20, "five renewals each, and fewer where one serves another"


# ---------------------------------------------------------------------------
# The command line
# ---------------------------------------------------------------------------


@pytest.fixture
def shell(variables, monkeypatch, capsys):
    """Run a command as alice, and return its code and what it printed."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def run(*words):
        code = command.main(words)
        return code, capsys.readouterr()

    return run


def test_the_command_line_signs_in_and_shows_no_token(shell, settings, tmp_path):
    code, (out, err) = shell("login")
    assert (code, err) == (0, "")
    assert out == (
        "Signed in as alice@example.com. The token lasts 10 min and is renewed.\n"
        f"Kept in {settings.token_file}\n"
    )
    held = TokenFile(settings.token_file).read()
    for words, text in [
        ((), held.id_token.reveal()),
        (("--header",), f"Authorization: Bearer {held.id_token.reveal()}\n"),
    ]:
        path = tmp_path / "for-curl"
        assert shell("token-file", str(path), *words) == (0, (f"Wrote {path}\n", ""))
        assert path.read_text() == text
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_command_line_signs_in_by_device(
    sandbox, shell, approve, monkeypatch, settings
):
    monkeypatch.setenv("MLFLOW_SSO_CLIENT_ID", sandbox.device_client_id)
    monkeypatch.delenv("MLFLOW_SSO_CLIENT_SECRET_FILE")
    monkeypatch.setattr(oidc, "_print_code", approve)
    code, (out, err) = shell("device")
    assert code == 0
    assert out.startswith("Signed in as alice@example.com.")
    assert err == "To use this login, set MLFLOW_SSO_LOGIN=device.\n"
    assert TokenFile(settings.token_file).read().account == ""


def test_the_command_line_fails_in_one_line(shell, monkeypatch):
    monkeypatch.setenv("MLFLOW_SSO_ISSUER", "https://127.0.0.1:9/dex")
    code, (out, err) = shell("login")
    assert (code, out) == (2, "")
    assert err.startswith("Unreachable: nobody answers (Connection refused)")
    assert err.count("\n") == 1


# ---------------------------------------------------------------------------
# Causes
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("login", SCRIPTED)
def test_a_request_without_pkce_is_refused(sandbox, settings, login):
    settings = replace(settings, login=login)
    session, provider, attempt = begun(settings)
    url = re.sub(r"&code_challenge(_method)?=[^&]*", "", attempt.url)
    assert url != attempt.url
    with fails(sandbox, errors.PkceRequired, "send code_challenge and code_challenge_"):
        callback = oidc.SIGN_IN[login](session, settings, url)
        oidc.finish(session, settings, provider, attempt, callback)


@pytest.mark.parametrize("login", SCRIPTED)
def test_a_wrong_password_and_an_unknown_account_look_alike(sandbox, settings, login):
    wrong = {"password": Secret("a wrong password")}
    for changed in (wrong, wrong | {"username": "nobody"}):
        with fails(sandbox, errors.BadCredentials, "account or password is wrong"):
            oidc.login(replace(settings, login=login, **changed))


@pytest.mark.parametrize("login", SCRIPTED)
def test_after_three_failures_even_the_right_password_needs_a_captcha(
    sandbox, settings, login
):
    settings = replace(settings, login=login)
    for _ in range(3):
        with fails(sandbox, errors.BadCredentials, "check MLFLOW_SSO_USERNAME"):
            oidc.login(replace(settings, password=Secret("a wrong password")))
    with fails(sandbox, errors.CaptchaRequired, "sign in once in a browser"):
        oidc.login(settings)


@pytest.mark.parametrize("login", SCRIPTED)
def test_a_code_works_once(sandbox, settings, login):
    parts = came_back(replace(settings, login=login))
    assert oidc.finish(parts[0], settings, *parts[1:])
    with fails(sandbox, errors.InvalidGrant, "invalid_grant"):
        oidc.finish(parts[0], settings, *parts[1:])


def test_a_code_needs_its_verifier(sandbox, settings):
    session, provider, attempt, callback = came_back(settings)
    other = replace(attempt, verifier=oidc.pkce_pair()[0])
    with fails(sandbox, errors.InvalidGrant, "invalid_grant"):
        oidc.finish(session, settings, provider, other, callback)


def test_the_answer_to_another_attempt_is_refused(sandbox, settings):
    session, provider, attempt, callback = came_back(settings)
    other = oidc.begin(settings, provider)
    with fails(sandbox, errors.StateMismatch, "another state .*begin the login again"):
        oidc.finish(session, settings, provider, other, callback)
    injected = replace(attempt, nonce=other.nonce)
    with fails(sandbox, errors.StateMismatch, "another nonce"):
        oidc.finish(session, settings, provider, injected, callback)


def test_the_provider_names_itself_in_its_answer(sandbox, settings):
    session, provider, attempt, callback = came_back(settings)
    assert provider.says_issuer
    without = re.sub(r"[?&]iss=[^&]*", "", callback)
    with fails(sandbox, errors.StateMismatch, 'from the issuer ""'):
        oidc.finish(session, settings, provider, attempt, without)


def test_a_code_for_one_client_is_nothing_for_another(sandbox, settings):
    session, provider, attempt, callback = came_back(settings)
    other = replace(
        settings,
        client_id=sandbox.other_client_id,
        client_secret=Secret(sandbox.secret("other-client.secret")),
    )
    with fails(sandbox, errors.InvalidGrant, "invalid_grant"):
        oidc.finish(session, other, provider, attempt, callback)


def test_a_wrong_client_secret_is_told_from_a_wrong_password(sandbox, settings):
    with fails(sandbox, errors.BadCredentials, "check MLFLOW_SSO_CLIENT_ID and"):
        oidc.login(replace(settings, client_secret=Secret("a-wrong-client-secret")))


@pytest.mark.parametrize("login", SCRIPTED)
def test_an_unregistered_redirect_uri_is_refused(sandbox, settings, login):
    elsewhere = "https://elsewhere.example.com/callback"
    changed = replace(settings, login=login, redirect_uri=elsewhere)
    with fails(sandbox, errors.UnexpectedAnswer, "invalid_redirect_uri"):
        oidc.login(changed)


def test_a_rotated_refresh_token_is_refused(sandbox, settings):
    tokens = oidc.login(settings)
    oidc.refresh(settings, tokens)
    with fails(sandbox, errors.InvalidGrant, "log in again"):
        oidc.refresh(settings, tokens)


def test_a_token_of_six_seconds_is_due_after_four(sandbox, settings, monkeypatch):
    sandbox.control("token-seconds", seconds=6)
    tokens = oidc.login(settings)
    for left, due in [(5.0, False), (2.1, False), (1.9, True)]:
        with monkeypatch.context() as at:
            at.setattr(time, "time", lambda left=left: tokens.expires_at - left)
            assert tokens.due() is due


def test_an_authority_that_nobody_named_is_not_trusted(sandbox, settings, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, certifi.where())
    assert oidc.login(settings), "the bundle of the settings wins"
    with fails(sandbox, errors.TlsNotTrusted, "set MLFLOW_SSO_CA_BUNDLE to the PEM"):
        oidc.login(replace(settings, ca_bundle=None))


def test_a_provider_under_another_name_is_refused(sandbox, settings):
    there = sandbox.issuer.replace("127.0.0.1", "localhost")
    with fails(sandbox, errors.UnexpectedAnswer, "set MLFLOW_SSO_ISSUER to the prov"):
        oidc.login(replace(settings, issuer=there))
    with fails(sandbox, errors.UnexpectedAnswer, "answered 404"):
        oidc.login(replace(settings, issuer=f"{sandbox.issuer}-not"))


def test_a_provider_that_is_away_is_told_from_one_that_refuses(sandbox, settings):
    sandbox.stop("platform")
    with fails(sandbox, errors.Unreachable, "nobody answers .Connection refused"):
        oidc.login(settings)
