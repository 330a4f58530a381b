"""TLS is verified against what the reader named, whatever else the environment says."""

from __future__ import annotations

import socket
import time
import traceback
import warnings
from pathlib import Path

import certifi
import pytest
import requests

from snippets.mlflow_auth import errors, web
from snippets.mlflow_auth.errors import TlsNotTrusted, UnexpectedAnswer, Unreachable
from tests.snippets.odd_provider import OddProvider, as_json, to

CODE = "?code=tell-nobody&state=tell-no-one"


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    found = OddProvider(tmp_path_factory.mktemp("provider"))
    found.answers["/ok"] = as_json({"ok": True})
    yield found
    found.close()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings(provider, tmp_path):
    return lambda **changed: provider.settings(tmp_path, **changed)


def get(settings, url):
    return web.session(settings).request("GET", url)


# ---------------------------------------------------------------------------
# Whom to trust
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_our_ca_bundle_wins_over_the_environments(
    provider, settings, monkeypatch, name
):
    monkeypatch.setenv(name, certifi.where())
    assert get(settings(), f"{provider.url}/ok").json() == {"ok": True}
    with pytest.raises(requests.exceptions.SSLError):  # what it would be without us
        plain = requests.Session()
        plain.verify = str(provider.ca)
        plain.get(f"{provider.url}/ok")


def test_the_environments_bundle_is_used_where_no_other_is_named(
    provider, settings, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(provider.ca))
    assert get(settings(ca_bundle=None), f"{provider.url}/ok").ok


@pytest.mark.parametrize("bundle", ["", certifi.where()])
def test_an_unknown_authority_is_not_trusted(provider, settings, bundle):
    bundle = Path(bundle) if bundle else None
    with pytest.raises(TlsNotTrusted, match="set MLFLOW_SSO_CA_BUNDLE to") as caught:
        get(settings(ca_bundle=bundle), f"{provider.url}/ok{CODE}")
    told = str(caught.value)
    assert (str(bundle) if bundle else "the list of certifi is asked") in told
    assert "certificate is not trusted (" in told


def test_the_environments_bundle_is_named_when_it_does_not_know_the_authority(
    provider, settings, monkeypatch
):
    monkeypatch.setenv("CURL_CA_BUNDLE", certifi.where())
    with pytest.raises(TlsNotTrusted, match=f"CURL_CA_BUNDLE={certifi.where()} is ask"):
        get(settings(ca_bundle=None), f"{provider.url}/ok")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere.pem")
    with pytest.raises(
        TlsNotTrusted, match="CA bundle CURL_CA_BUNDLE=/nowhere.pem can"
    ):
        get(settings(ca_bundle=None), f"{provider.url}/ok")


def test_a_bundle_that_is_missing_or_no_pem_is_named(settings, tmp_path):
    with pytest.raises(TlsNotTrusted, match=r"none.pem cannot be used \(No such file"):
        web.session(settings(ca_bundle=tmp_path / "none.pem"))
    odd = tmp_path / "odd.pem"
    for text in ("", "no certificate"):
        odd.write_text(text)
        with pytest.raises(TlsNotTrusted, match="it holds no PEM certificate"):
            web.session(settings(ca_bundle=odd))


def test_a_name_that_the_certificate_does_not_hold_is_told(settings, tmp_path):
    other = OddProvider(tmp_path, host="127.0.0.2")
    with pytest.raises(
        TlsNotTrusted, match="certificate is for another name .*mismatch"
    ):
        get(settings(ca_bundle=other.ca), f"{other.url}/ok")
    other.close()


def test_a_port_without_tls_is_told_from_one_that_is_not_trusted(settings):
    with socket.create_server(("127.0.0.1", 0)) as plain:
        plain.settimeout(10)

        def answer():
            taken, _ = plain.accept()
            with taken:
                taken.recv(4096)
                taken.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        with pytest.raises(
            TlsNotTrusted, match="speaks no TLS .* check scheme and port"
        ):
            in_background(answer)
            get(settings(), f"https://127.0.0.1:{plain.getsockname()[1]}/")


def in_background(work):
    import threading

    threading.Thread(target=work, daemon=True).start()


def test_verification_ends_only_with_a_loud_warning_once(provider, settings):
    web._warn_loudly.cache_clear()
    with pytest.warns(web.InsecureTlsWarning, match="Anyone on the way .* can read"):
        web.session(settings(insecure_tls=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert get(settings(insecure_tls=True), f"{provider.url}/ok").ok
    kinds = [one.category.__name__ for one in caught]
    assert kinds == ["InsecureRequestWarning"], "urllib3's own is not silenced"


def test_an_environments_proxy_is_used_and_named_when_it_is_away(
    provider, settings, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(Unreachable, match="the proxy that HTTPS_PROXY"):
        get(settings(), f"{provider.url}/ok")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert get(settings(), f"{provider.url}/ok").ok


def test_a_netrc_file_adds_no_password(provider, settings, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password tell-nobody")
    monkeypatch.setenv("NETRC", str(netrc))
    get(settings(), f"{provider.url}/ok")
    assert "Authorization" not in provider.asked[-1][3]
    requests.get(f"{provider.url}/ok", verify=str(provider.ca))
    assert "Authorization" in provider.asked[-1][3], "the file is not read: no test"


# ---------------------------------------------------------------------------
# Who answers
# ---------------------------------------------------------------------------


def test_no_redirect_is_followed(provider, settings):
    provider.answers["/moved"] = to("https://elsewhere.example.com")
    session = web.session(settings())
    assert session.get(f"{provider.url}/moved").status_code == 302


@pytest.mark.parametrize("location", ["https://[", "//[", "https://\xff/"])
def test_a_redirect_to_what_is_no_address_is_an_answer_that_nobody_expects(
    provider, settings, location
):
    provider.answers["/odd"] = to(location)
    with pytest.raises(UnexpectedAnswer, match="no request was made"):
        get(settings(), f"{provider.url}/odd")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1:9/x", "Connection refused"),
        ("https://no-such-name.invalid/x", "Name or service not known|name resolution"),
    ],
)
def test_an_address_where_nobody_answers_gives_the_reason(settings, url, reason):
    with pytest.raises(Unreachable, match=f"nobody answers .({reason})"):
        get(settings(), url)


def test_the_reason_is_that_of_this_request_and_of_no_other_error(settings):
    try:
        Path("/nowhere").read_text()
    except OSError:
        with pytest.raises(Unreachable, match="Connection refused"):
            get(settings(), "https://127.0.0.1:9/x")


def test_a_silent_server_is_given_up(settings, monkeypatch):
    monkeypatch.setattr(web, "TIMEOUT", (0.2, 0.2))
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(Unreachable, match="no answer within"),
    ):
        get(settings(), f"https://127.0.0.1:{silent.getsockname()[1]}/")


def test_a_server_error_is_quoted_without_markup(provider, settings):
    provider.answers["/sick"] = (
        503,
        {},
        "<h1>Out</h1><script>x()</script> of &quot;it",
    )
    with pytest.raises(Unreachable, match='answered 503: Out of "it'):
        get(settings(), f"{provider.url}/sick")


def test_a_hostile_page_takes_no_minute_to_quote():
    answer = requests.Response()
    answer._content, answer.encoding = b"<script" * 40_000, "utf-8"
    before = time.process_time()
    assert web.said(answer).startswith("<script<script")
    assert time.process_time() - before < 10  # 67 s where the whole page is searched


@pytest.mark.parametrize("url", ["https://127.0.0.1:9/", "https://127.0.0.1:x/", "x:"])
def test_no_error_on_the_way_shows_the_query(settings, url):
    with pytest.raises(errors.AuthError) as caught:
        get(settings(), f"{url}{CODE}")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "tell-no" not in shown
    assert caught.value.__context__ is None, "what requests says holds the query"


# ---------------------------------------------------------------------------
# What an error answer means
# ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text", "kind"),
    [
        ("invalid_request", "PKCE code_challenge is required", errors.PkceRequired),
        ("invalid_request", "Missing parameter: code_challenge", errors.PkceRequired),
        ("invalid_request", "scope is missing", UnexpectedAnswer),
        ("invalid_request", "Refresh token expired.", errors.InvalidGrant),  # of Dex
        ("invalid_grant", "grant request is invalid", errors.InvalidGrant),
        ("invalid_client", "client authentication failed", errors.BadCredentials),
        ("invalid_credentials", "wrong", errors.BadCredentials),
        ("CaptchaError", "captcha required", errors.CaptchaRequired),
        ("access_denied", "", errors.BadCredentials),
        ("expired_token", "", errors.TokenExpired),
        ("brand_new", "", UnexpectedAnswer),
    ],
)
def test_each_oauth_error_has_its_class_and_its_own_words(error, text, kind):
    answer = {"error": error, "error_description": text}
    found = web.refusal(answer, "https://host/token?x=1")
    assert type(found) is kind
    assert str(found).startswith(f"{error}: {text}" if text else f"{error} (https")


def test_an_answer_that_is_no_json_object_is_quoted(provider, settings):
    for body in ("<b>Sign in</b>", "[1]", '"text"'):
        provider.answers["/odd"] = (200, {}, body)
        answer = get(settings(), f"{provider.url}/odd")
        with pytest.raises(UnexpectedAnswer, match="answered 200 without the JSON"):
            web.json_of(answer)


@pytest.mark.parametrize(
    ("goal", "found"),
    [("/b?x=1", "{}/b?x=1"), ("https://other/x", "https://other/x"), ("", "{}/ok")],
)
def test_a_goal_is_taken_from_where_it_stands(provider, settings, goal, found):
    answer = get(settings(), f"{provider.url}/ok")
    assert web.onward(answer, goal) == found.format(provider.url)


@pytest.mark.parametrize("goal", ["http://other/x", "//[x", "https://h:99999/", "x:y"])
def test_a_goal_without_tls_or_sense_is_refused(provider, settings, goal):
    answer = get(settings(), f"{provider.url}/ok")
    with pytest.raises(UnexpectedAnswer, match="leaves https|no address"):
        web.onward(answer, goal)
