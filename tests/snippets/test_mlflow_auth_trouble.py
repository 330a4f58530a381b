"""What goes wrong while a run renews its token costs no token that is still good."""

from __future__ import annotations

import errno
import os
import time

import pytest

from snippets.mlflow_auth import errors, oidc
from snippets.mlflow_auth.bearer import BearerAuth
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.store import TokenFile, Tokens
from tests.snippets.odd_provider import as_json, page


@pytest.fixture
def settings(provider, tmp_path):
    """A person's login: no password is at hand."""
    return provider.settings(tmp_path, login="device", username="", password=None)


@pytest.fixture
def file(provider, settings):
    """A token file whose token is due and lives for 50 seconds more."""
    now = time.time()
    token = Secret(provider.id_token(iat=now - 550, exp=now + 50))
    kept = Tokens(token, Secret("first"), provider.url, "mlflow", now + 50)
    found = TokenFile(settings.token_file)
    found.write(kept)
    return found


@pytest.mark.parametrize(
    "answer",
    [
        page("Down for maintenance", 200),
        page("default backend - 404", 404),
        as_json({"error": "rate_limited"}, 429),
        page("Bad gateway", 502),
    ],
)
def test_a_page_in_place_of_the_provider_costs_no_token_that_lives(
    provider, settings, file, answer
):
    auth = BearerAuth(settings)
    kept = file.read()
    first = auth._hold(None, kept).value
    provider.answers["/token"] = answer
    assert auth.value() == first
    with pytest.raises(errors.AuthError):  # once MLflow refuses it, there is no more
        auth.renew(first, None)
    assert file.read() == kept


def test_a_provider_that_renews_no_id_token_is_signed_in_to_again(
    provider, settings, file, monkeypatch
):
    provider.answers["/token"] = as_json({"access_token": "x", "refresh_token": "y"})
    with pytest.raises(errors.InvalidGrant, match="no ID token was renewed.*log in"):
        oidc.current(settings)
    mine = provider.settings(file.path.parents[1])  # with a password
    fresh = Tokens(Secret(provider.id_token()), None, provider.url, "mlflow", 9e9, "")
    monkeypatch.setattr(oidc, "login", lambda _: fresh)
    monkeypatch.setattr(oidc, "_ours", lambda *_: True)
    assert oidc.current(mine) == fresh


def test_a_full_disk_is_told_before_the_refresh_token_is_used_up(
    provider, settings, file, monkeypatch
):
    provider.answers["/token"] = as_json({"id_token": provider.id_token()})
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", lambda _: _fail(errno.ENOSPC))
        with pytest.raises(errors.TokenFileUnusable, match="No space left on device"):
            oidc.current(settings)
    assert provider.asked == []
    assert oidc.current(settings).refresh_token == Secret("first")
    assert [path for _, path, _, _ in provider.asked][-1] == "/token"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_volume_without_locks_is_named_with_what_to_do(file, monkeypatch, number):
    kept = file.read()
    monkeypatch.setattr("fcntl.flock", lambda *_: _fail(number))
    before = len(os.listdir("/proc/self/fd"))
    wanted = rf"json.lock cannot be locked \({os.strerror(number)}: .*json.lock\): set"
    with pytest.raises(errors.TokenFileUnusable, match=wanted):
        file.write(kept)
    assert len(os.listdir("/proc/self/fd")) <= before


def _fail(number: int) -> None:
    raise OSError(number, os.strerror(number))
