"""Settings say what is missing or odd, and a secret never shows itself."""

from __future__ import annotations

import copy
import json
import os
import pickle
import traceback
from dataclasses import asdict, replace
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from snippets.mlflow_auth import errors, secret
from snippets.mlflow_auth.errors import AuthError, SettingMissing
from snippets.mlflow_auth.secret import HIDDEN, Secret, place, quoted, redact
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.store import Tokens

LEAST = {
    "MLFLOW_SSO_ISSUER": "https://login.example.com/dex",
    "MLFLOW_SSO_CLIENT_ID": "mlflow-proxy",
}
CAUSES = [e for e in vars(errors).values() if isinstance(e, type)]
CAUSES = [e for e in CAUSES if issubclass(e, AuthError)]


def read(**more):
    return Settings.from_environment(LEAST | more)


# ---------------------------------------------------------------------------
# Settings
# ---------------------------------------------------------------------------


def test_issuer_and_client_are_enough_for_a_device_login():
    found = read()
    assert (found.issuer, found.client_id) == tuple(LEAST.values())
    assert found.login == "device"
    assert found.password is found.client_secret is None
    assert found.token_file.is_absolute(), "the home folder is filled in"
    assert not found.insecure_tls


@pytest.mark.parametrize("name", LEAST)
def test_a_missing_issuer_or_client_is_named(name):
    with pytest.raises(SettingMissing, match=f"{name} is not set: set it in the env"):
        Settings.from_environment({k: v for k, v in LEAST.items() if k != name})


@pytest.mark.parametrize("url", ["http://login.example.com/dex", "login.example.com"])
def test_an_issuer_without_tls_is_refused(url):
    with pytest.raises(SettingMissing, match=r"is no https address .*begin it with"):
        read(MLFLOW_SSO_ISSUER=url)


def test_an_unknown_login_names_the_known_ones():
    with pytest.raises(SettingMissing, match="one of: platform, form, device"):
        read(MLFLOW_SSO_LOGIN="browser")


@pytest.mark.parametrize("value", ["1", "yes", "on"])
def test_tls_is_only_switched_off_by_the_word_true(value):
    with pytest.raises(SettingMissing, match=f'INSECURE_TLS is "{value}"'):
        read(MLFLOW_SSO_INSECURE_TLS=value)
    assert read(MLFLOW_SSO_INSECURE_TLS="true").insecure_tls
    assert not read(MLFLOW_SSO_INSECURE_TLS="false").insecure_tls


def test_a_setting_that_is_needed_later_is_named_with_its_file():
    with pytest.raises(SettingMissing, match="MLFLOW_SSO_PASSWORD or MLFLOW_SSO_PASSW"):
        read().need("password")


def test_mlflows_own_certificate_is_trusted_where_no_other_is_named():
    found = read(MLFLOW_TRACKING_SERVER_CERT_PATH="/etc/ca.pem")
    assert str(found.ca_bundle) == "/etc/ca.pem"


# ---------------------------------------------------------------------------
# Secrets in files
# ---------------------------------------------------------------------------


@pytest.fixture
def secret_file(tmp_path):
    def write(text):
        path = tmp_path / "password"
        path.write_bytes(text.encode())
        return str(path)

    return write


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_line_breaks_at_the_end_of_a_secret_are_dropped(secret_file, end):
    found = read(MLFLOW_SSO_PASSWORD_FILE=secret_file(f'pa"s\\s{end}'))
    assert found.password.reveal() == 'pa"s\\s'
    assert read(MLFLOW_SSO_PASSWORD=f"pass{end}").password.reveal() == "pass"


@pytest.mark.parametrize("text", ["one\ntwo", "one\ttwo", " one", "one ", "one \n"])
def test_white_space_within_or_around_a_password_is_an_error(secret_file, text):
    with pytest.raises(SettingMissing, match="white space within it or around it"):
        read(MLFLOW_SSO_PASSWORD_FILE=secret_file(text))


def test_a_password_may_be_several_words_and_a_client_secret_may_not():
    assert read(MLFLOW_SSO_PASSWORD="four words of it").password
    with pytest.raises(SettingMissing, match="MLFLOW_SSO_CLIENT_SECRET has white"):
        read(MLFLOW_SSO_CLIENT_SECRET="two words")


def test_a_secret_file_that_is_not_there_is_named_with_the_reason(tmp_path):
    path = tmp_path / "nowhere"
    with pytest.raises(SettingMissing, match=f"FILE {path} cannot be read .No such"):
        read(MLFLOW_SSO_PASSWORD_FILE=str(path))


def test_a_secret_file_that_is_no_text_shows_none_of_its_bytes(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b"\xfftell-nobody")
    with pytest.raises(SettingMissing, match="it is no UTF-8 text") as caught:
        read(MLFLOW_SSO_PASSWORD_FILE=str(path))
    assert "tell" not in shown(caught.value)


def test_an_empty_secret_file_is_an_error(secret_file):
    with pytest.raises(SettingMissing, match="is empty"):
        read(MLFLOW_SSO_CLIENT_SECRET_FILE=secret_file("\n"))


def test_a_secret_twice_is_an_error(secret_file):
    file = secret_file("pass")
    with pytest.raises(SettingMissing, match="both set: unset one"):
        read(MLFLOW_SSO_PASSWORD="pass", MLFLOW_SSO_PASSWORD_FILE=file)


# ---------------------------------------------------------------------------
# A secret hides
# ---------------------------------------------------------------------------


def test_a_secret_shows_itself_in_no_usual_way():
    one = Secret("tell-nobody")
    settings = read(MLFLOW_SSO_PASSWORD="tell-nobody")
    ways = [
        *(repr(one), str(one), f"{one}", f"{one:>30}", format(one, "s")),
        *(repr(settings), str(asdict(settings)), repr([one]), ascii(one)),
    ]
    assert all("tell" not in way and HIDDEN in way for way in ways)
    assert not hasattr(one, "__dict__")


def test_a_secret_is_neither_pickled_nor_written_as_json():
    one = Secret("tell-nobody")
    with pytest.raises(TypeError, match="not pickled: hand on the file"):
        pickle.dumps({"password": one})
    with pytest.raises(TypeError):
        json.dumps({"password": one})
    assert copy.deepcopy(one) is copy.copy(one) is one


def test_secrets_are_compared_by_what_they_hold():
    assert Secret("same") == Secret("same") != Secret("other")
    assert Secret("same") != "same"
    assert len({Secret("same"), Secret("same")}) == 1


def test_a_secret_is_forgotten_with_its_last_holder():
    held = Secret("short-lived")
    assert redact("short-lived") == HIDDEN
    del held
    assert redact("short-lived") == "short-lived"


def test_two_equal_secrets_hide_until_both_are_gone():
    first, second = Secret("short-lived"), Secret("short-lived")
    del first
    assert redact("short-lived") == HIDDEN
    assert second


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/cb?code=abc&state=xyz", f"/cb?code={HIDDEN}&state={HIDDEN}"),
        ("Authorization: Bearer abc.def-g", f"Authorization: Bearer {HIDDEN}"),
        ('{"refresh_token": "abc"}', f'{{"refresh_token": "{HIDDEN}"}}'),
        ("eyJhbGci.eyJpc3Mi.c2ln rest", f"{HIDDEN} rest"),
        ("redirect%3Fcode%3Dabc", f"redirect%3Fcode%3D{HIDDEN}"),
        ("code_challenge_method=S256", "code_challenge_method=S256"),
        ("PKCE code_challenge is required", "PKCE code_challenge is required"),
    ],
)
def test_what_has_the_form_of_a_secret_is_hidden_unasked(text, left):
    assert redact(text) == left


def test_a_servers_text_is_one_short_line_without_control_characters():
    text = quoted("first\n\x1b[31msecond\x07 " + "x" * 300)
    assert text.startswith("first [31msecond x")
    assert len(text) == 201
    assert text.endswith("…")


def test_a_place_is_an_address_without_user_query_and_fragment():
    assert place("https://me:pw@host:8443/a/b?code=1#f") == "https://host:8443/a/b"
    assert place("http://[broken?code=1") == "http://[broken"
    assert place("") == ""


# ---------------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------------


def shown(error):
    """Return all that Python prints of an error, with what it is chained to."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=False)
    return "".join(lines.format()) + repr(error) + str(error)


def test_each_error_says_what_where_and_what_to_do():
    error = errors.InvalidGrant("the code was used", "https://host/token?code=abc")
    assert str(error) == (
        "the code was used (https://host/token): log in again: "
        "`python -m snippets.mlflow_auth login`"
    )
    assert all(cause.remedy and cause.__doc__ for cause in CAUSES)
    assert len(CAUSES) >= 15


def test_an_error_survives_a_pickle_with_one_remedy():
    error = errors.TokenExpired("too late", "https://host/x", "hurry")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is errors.TokenExpired
    assert str(again) == str(error) == "too late (https://host/x): hurry"


tokens = st.text(st.characters(codec="utf-8", exclude_categories="ZC"), min_size=8)


@given(st.sampled_from(CAUSES), tokens, tokens, tokens, st.integers(0, 4))
def test_no_error_ever_holds_a_secret(cause, password, id_token, refresh, way):
    known = repr(cause) + cause.remedy + HIDDEN + "https://h/?code=&said"
    assume(not any(one in known for one in (password, id_token, refresh)))
    settings = replace(read(), password=Secret(password))
    held = Tokens(Secret(id_token), Secret(refresh), "i", "c", 0.0)
    spell = [str, quote, json.dumps, repr, lambda text: quote(text, safe="")][way]
    said = " said ".join(map(spell, (password, id_token, refresh)))
    url = f"https://h/{quote(password, safe='')}?code={quote(refresh)}"
    error = cause(f"the server {said} {settings} {held}", url, f"ask {said}")
    for text in (str(error), repr(error), shown(error), str(error.args)):
        for one in (password, id_token, refresh):
            assert one not in text
            assert spell(one).strip("\"'") not in text


def test_the_property_turns_red_without_the_filter(monkeypatch):
    monkeypatch.setattr(errors, "redact", lambda text: text)
    held = Secret("tell-nobody")
    assert "tell-nobody" in str(errors.AuthError("it said tell-nobody"))
    assert held
    assert secret.redact("tell-nobody") == HIDDEN


def test_settings_are_those_of_an_environment_that_a_library_exchanged(monkeypatch):
    """As `datasets.map` does when it has several processes."""
    monkeypatch.setattr("os.environ", copy.deepcopy(os.environ))
    monkeypatch.setenv("MLFLOW_SSO_ISSUER", "https://platform.example.com/dex")
    monkeypatch.setenv("MLFLOW_SSO_CLIENT_ID", "mlflow-proxy")
    assert Settings.from_environment().client_id == "mlflow-proxy"
