"""Each check of the sign-in turns red for an answer that no provider should give."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from requests.cookies import RequestsCookieJar

from snippets.mlflow_auth import claims, cookie, errors, oidc, platform_login, web
from snippets.mlflow_auth.form_login import FormParser, form_login
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.store import TokenFile, Tokens
from tests.snippets.odd_provider import DISCOVERY, as_json, page, to

CALLBACK = "https://app.example.com/callback"
LOGIN_PAGE = """
<form action="/search"><input name="q"></form>
<form method="post" action="{goal}">
<input type="hidden" name="csrf" value="a&amp;b"><input name="login">
<input type=password name=secret><input type="checkbox" name="stay">
<button type="submit">Sign in</button></form>
"""
CONSENT_PAGE = """
<form method="post" action="/agree"><input type="hidden" name="prompt" value="consent">
<button type="submit" name="ok" value="yes">Continue</button></form>
"""


@pytest.fixture
def settings(provider, tmp_path):
    return provider.settings(tmp_path)


def signing_in(provider, settings):
    """Return what :func:`oidc.finish` needs: session, provider and attempt."""
    session = web.session(settings)
    found = oidc.discover(session, settings)
    return session, found, oidc.begin(settings, found)


def answer_of(attempt, **changed):
    """Return the callback that answers an attempt, with some of it changed."""
    query = {"code": "the-code", "state": attempt.state.reveal()} | changed
    query = {name: value for name, value in query.items() if value is not None}
    return f"{CALLBACK}?{urlencode(query)}"


def finish(provider, settings, callback=None, **token):
    """Sign in up to the token, whose content is given."""
    session, found, attempt = signing_in(provider, settings)
    token = {"nonce": attempt.nonce.reveal()} | token
    header = token.pop("header", None)
    body = {"id_token": provider.id_token(header, **token), "refresh_token": "r"}
    provider.answers["/token"] = as_json(body)
    callback = callback or answer_of(attempt)
    return oidc.finish(session, settings, found, attempt, callback)


# ---------------------------------------------------------------------------
# PKCE and the request
# ---------------------------------------------------------------------------


def test_the_challenge_is_the_one_of_rfc_7636_appendix_b():
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert oidc.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_verifier_is_long_enough_and_never_the_same():
    pairs = [oidc.pkce_pair() for _ in range(3)]
    assert len({verifier for verifier, _ in pairs}) == 3
    assert all(43 <= len(verifier.reveal()) <= 128 for verifier, _ in pairs)
    assert all(oidc.challenge(verifier) == shown for verifier, shown in pairs)


def test_the_request_carries_all_that_its_answer_is_held_against(provider, settings):
    _, _, attempt = signing_in(provider, settings)
    query = dict(parse_qsl(urlsplit(attempt.url).query))
    assert query.pop("scope").split() == "openid profile email offline_access".split()
    assert query == {
        "response_type": "code",
        "client_id": "mlflow",
        "redirect_uri": CALLBACK,
        "state": attempt.state.reveal(),
        "nonce": attempt.nonce.reveal(),
        "code_challenge": oidc.challenge(attempt.verifier),
        "code_challenge_method": "S256",
        "prompt": "consent",
    }


def test_the_code_is_exchanged_with_the_verifier_as_the_client(provider, settings):
    tokens = finish(provider, settings)
    method, path, fields, headers = provider.asked[-1]
    assert (method, path) == ("POST", "/token")
    assert fields["code"] == "the-code"
    assert fields["redirect_uri"] == CALLBACK
    assert len(fields["code_verifier"]) == 43
    assert headers["Authorization"].startswith("Basic ")
    assert "client_secret" not in fields
    assert tokens.account == "alice"
    assert tokens.refresh_token == Secret("r")


def test_id_and_secret_of_a_client_are_escaped_in_the_header(provider, settings):
    import base64

    finish(provider, settings)
    sent = provider.asked[-1][3]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"mlflow:client%3A+secret%2F%25"


def test_a_provider_that_takes_the_secret_only_in_the_form_gets_it_there(
    provider, settings
):
    changed = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    provider.answers[DISCOVERY] = as_json(provider.discovery(**changed))
    finish(provider, settings)
    _, _, fields, headers = provider.asked[-1]
    assert fields["client_id"] == "mlflow"
    assert fields["client_secret"] == "client: secret/%"
    assert "Authorization" not in headers


def test_a_public_client_sends_its_name_and_no_secret(provider, settings):
    finish(provider, replace(settings, client_secret=None))
    _, _, fields, headers = provider.asked[-1]
    assert fields["client_id"] == "mlflow"
    assert "client_secret" not in fields
    assert "Authorization" not in headers


# ---------------------------------------------------------------------------
# Discovery and callback
# ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"issuer": "https://evil.example.com"}, 'calls itself "https://evil'),
        ({"token_endpoint": "http://127.0.0.1/token"}, "token_endpoint is not https"),
        ({"authorization_endpoint": "ftp://x"}, "authorization_endpoint is not https"),
    ],
)
def test_a_provider_that_is_another_or_has_no_tls_is_refused(
    provider, settings, changed, told
):
    provider.answers[DISCOVERY] = as_json(provider.discovery(**changed))
    with pytest.raises(errors.UnexpectedAnswer, match=told):
        oidc.discover(web.session(settings), settings)


@pytest.mark.parametrize(
    ("changed", "kind", "told"),
    [
        ({"state": "another"}, errors.StateMismatch, "another state"),
        ({"state": None}, errors.StateMismatch, "another state"),
        ({"iss": "https://evil.example"}, errors.StateMismatch, "from the issuer"),
        ({"code": None}, errors.UnexpectedAnswer, "holds no code"),
        (
            {"code": None, "error": "access_denied"},
            errors.BadCredentials,
            "access_denied",
        ),
        (
            {"error": "invalid_request", "error_description": "PKCE is required"},
            errors.PkceRequired,
            "PKCE is required",
        ),
        (
            {"state": "another", "error": "access_denied"},
            errors.StateMismatch,
            "another state",
        ),
    ],
)
def test_a_callback_that_is_not_ours_gives_no_code(
    provider, settings, changed, kind, told
):
    session, found, attempt = signing_in(provider, settings)
    with pytest.raises(kind, match=told) as caught:
        oidc.finish(session, settings, found, attempt, answer_of(attempt, **changed))
    assert "the-code" not in str(caught.value)
    assert attempt.state.reveal() not in str(caught.value)
    assert all(path != "/token" for _, path, _, _ in provider.asked)


def test_a_state_given_twice_is_no_state(provider, settings):
    session, found, attempt = signing_in(provider, settings)
    callback = answer_of(attempt) + f"&state={attempt.state.reveal()}"
    with pytest.raises(errors.StateMismatch):
        oidc.finish(session, settings, found, attempt, callback)


@pytest.mark.parametrize("start", ["https://evil.example/callback", f"{CALLBACK}/more"])
def test_a_callback_at_another_address_is_refused(provider, settings, start):
    session, found, attempt = signing_in(provider, settings)
    callback = answer_of(attempt).replace(CALLBACK, start)
    with pytest.raises(errors.StateMismatch, match="another redirect URI"):
        oidc.finish(session, settings, found, attempt, callback)


def test_a_provider_that_promises_its_issuer_must_keep_the_promise(provider, settings):
    promise = {"authorization_response_iss_parameter_supported": True}  # RFC 9207
    provider.answers[DISCOVERY] = as_json(provider.discovery(**promise))
    with pytest.raises(errors.StateMismatch, match='from the issuer ""'):
        finish(provider, settings)
    session, found, attempt = signing_in(provider, settings)
    callback = answer_of(attempt, iss=provider.url)
    provider.answers["/token"] = as_json({"error": "invalid_grant"}, 400)
    with pytest.raises(errors.InvalidGrant):  # the callback was taken
        oidc.finish(session, settings, found, attempt, callback)


# ---------------------------------------------------------------------------
# The ID token
# ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "kind", "told"),
    [
        ({"header": {"alg": "none"}}, errors.UnexpectedAnswer, "not signed"),
        ({"header": {"typ": "JWT"}}, errors.UnexpectedAnswer, "not signed"),
        (
            {"iss": "https://evil"},
            errors.StateMismatch,
            "another issuer .iss=https://e",
        ),
        ({"aud": "other-app"}, errors.WrongAudience, "not for mlflow .*aud=other-app"),
        ({"aud": ["a", "b"]}, errors.WrongAudience, "aud=a,b"),
        ({"aud": None}, errors.WrongAudience, "not for mlflow"),
        ({"exp": 1}, errors.TokenExpired, "expired on arrival .*-[0-9]+ s left"),
        ({"exp": None}, errors.TokenExpired, "no expiry"),
        ({"nonce": "another"}, errors.StateMismatch, "another nonce"),
        ({"nonce": None}, errors.StateMismatch, "another nonce"),
    ],
)
def test_an_id_token_that_is_not_for_this_login_is_refused(
    provider, settings, changed, kind, told
):
    with pytest.raises(kind, match=told):
        finish(provider, settings, **changed)


def test_an_id_token_for_several_clients_is_for_each(provider, settings):
    assert finish(provider, settings, aud=["other", "mlflow"])


@pytest.mark.parametrize("token", ["", "opaque", "a.b", "a.b.c", "W10.W10.x"])
def test_a_token_that_is_none_is_named_and_not_shown(provider, settings, token):
    session, found, attempt = signing_in(provider, settings)
    provider.answers["/token"] = as_json({"id_token": token})
    with pytest.raises(errors.UnexpectedAnswer, match="no ID token|no JSON Web Token"):
        oidc.finish(session, settings, found, attempt, answer_of(attempt))


def test_claims_say_who_for_whom_and_how_long(provider):
    found = claims.decode(Secret(provider.id_token(aud=["a", "b"], exp=1000)))
    assert claims.audiences(found) == ["a", "b"]
    assert claims.summary(found, now=400) == f"iss={provider.url} aud=a,b 600 s left"
    assert claims.identity(found) == "alice"
    assert claims.identity(found | {"email": "alice@example.com"}).endswith(".com")
    with pytest.raises(errors.UnexpectedAnswer, match="names nobody.*scopes openid"):
        claims.identity({})


# ---------------------------------------------------------------------------
# Refresh
# ---------------------------------------------------------------------------


def held(provider, refresh="first", **changed):
    token = Secret(provider.id_token(**changed))
    exp = claims.decode(token)["exp"]
    refresh = Secret(refresh) if refresh else None
    return Tokens(token, refresh, provider.url, "mlflow", exp, "alice")


def test_a_new_refresh_token_replaces_the_old_and_a_missing_one_keeps_it(
    provider, settings
):
    provider.answers["/token"] = [
        as_json({"id_token": provider.id_token(), "refresh_token": "second"}),
        as_json({"id_token": provider.id_token()}),
    ]
    second = oidc.refresh(settings, held(provider))
    assert second.refresh_token == Secret("second")
    third = oidc.refresh(settings, second)
    assert third.refresh_token == Secret("second")
    sent = [f["refresh_token"] for _, path, f, _ in provider.asked if path == "/token"]
    assert sent == ["first", "second"]


def test_a_refreshed_token_is_of_the_same_person(provider, settings):
    provider.answers["/token"] = as_json({"id_token": provider.id_token(sub="mallory")})
    with pytest.raises(errors.StateMismatch, match="another person"):
        oidc.refresh(settings, held(provider))


def test_a_login_without_refresh_token_says_so(provider, settings):
    with pytest.raises(errors.InvalidGrant, match="gave no refresh token"):
        oidc.refresh(settings, held(provider, refresh=None))


def test_current_tokens_come_from_the_file_while_they_are_not_due(provider, settings):
    TokenFile(settings.token_file).write(held(provider))
    assert oidc.current(settings) == held_in(settings)
    assert provider.asked == []


def held_in(settings):
    return TokenFile(settings.token_file).read()


@pytest.mark.parametrize("stale", [True, False])
def test_current_tokens_are_refreshed_when_due_or_rejected(provider, settings, stale):
    old = held(provider, **({} if stale else {"exp": 1}))
    TokenFile(settings.token_file).write(old)
    body = {"id_token": provider.id_token(jti="new"), "refresh_token": "second"}
    provider.answers["/token"] = as_json(body)
    found = oidc.current(settings, old if stale else None)
    assert found == held_in(settings)
    assert found.refresh_token == Secret("second")


OF_DEX = "Refresh token is invalid or has already been claimed by another client."


@pytest.mark.parametrize(
    ("error", "text"), [("invalid_grant", ""), ("invalid_request", OF_DEX)]
)
def test_a_refused_refresh_ends_in_a_new_login_where_there_is_a_password(
    provider, settings, error, text
):
    """The page is asked for, which this double has not: the login was tried."""
    TokenFile(settings.token_file).write(held(provider, exp=1))
    refused = {"error": error, "error_description": text}
    provider.answers["/token"] = as_json(refused, 400)
    with pytest.raises(errors.UnexpectedAnswer, match="no form with a password"):
        oidc.current(settings)
    device = replace(settings, login="device", password=None)
    with pytest.raises(errors.InvalidGrant):
        oidc.current(device)


@pytest.mark.parametrize(
    "changed", [{"issuer": "https://other"}, {"client_id": "o"}, {"account": "bob"}]
)
def test_tokens_of_another_login_are_never_used(provider, settings, changed):
    settings = replace(settings, password=None)
    TokenFile(settings.token_file).write(replace(held(provider), **changed))
    with pytest.raises(errors.NotSignedIn, match="holds no login of alice for mlflow"):
        oidc.current(settings)
    assert provider.asked == [], "another's refresh token was not sent"


# ---------------------------------------------------------------------------
# Device login
# ---------------------------------------------------------------------------


@pytest.fixture
def device(provider, settings):
    provider.answers["/device"] = as_json(
        {
            "device_code": "the-device-code",
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{provider.url}/enter",
            "interval": 0,
        }
    )
    return replace(settings, login="device", password=None, client_secret=None)


def test_a_device_login_waits_as_it_is_told(provider, device, monkeypatch, capsys):
    waited = []
    monkeypatch.setattr(oidc.time, "sleep", waited.append)
    answers = ["authorization_pending", "slow_down", "authorization_pending"]
    done = as_json({"id_token": provider.id_token()})
    provider.answers["/token"] = [*(as_json({"error": e}, 400) for e in answers), done]
    tokens = oidc.login(device)
    assert waited == [0, 5, 5], "slow_down adds five seconds for good"
    assert tokens.account == "", "who held the device is not known beforehand"
    assert capsys.readouterr().out == (
        f"Open {provider.url}/enter and enter ABCD-EFGH\n"
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [("expired_token", errors.TokenExpired), ("access_denied", errors.BadCredentials)],
)
def test_a_device_login_that_ends_says_how(provider, device, error, kind):
    provider.answers["/token"] = as_json({"error": error}, 400)
    with pytest.raises(kind, match=error):
        oidc.device_login(device, lambda address, code: None)


def test_a_device_login_ends_when_its_time_is_over(provider, device):
    whole = {"device_code": "x", "user_code": "y", "expires_in": 0.05, "interval": 0}
    provider.answers["/device"] = as_json(whole)
    provider.answers["/token"] = as_json({"error": "authorization_pending"}, 400)
    with pytest.raises(errors.TokenExpired, match="nobody entered the code in time"):
        oidc.device_login(device, lambda address, code: None)


def test_a_provider_without_device_login_is_named(provider, device):
    without = provider.discovery(device_authorization_endpoint="")
    provider.answers[DISCOVERY] = as_json(without)
    with pytest.raises(errors.UnexpectedAnswer, match="no device login.*another login"):
        oidc.login(device)


# ---------------------------------------------------------------------------
# Login page
# ---------------------------------------------------------------------------


def sign_in(provider, settings):
    session, _, attempt = signing_in(provider, settings)
    return form_login(session, settings, attempt.url)


def test_the_form_is_filled_in_hidden_fields_kept_and_consent_given(provider, settings):
    provider.answers |= {
        "/auth": to("/page"),
        "/page": page(LOGIN_PAGE.format(goal="/enter")),
        "/enter": page(CONSENT_PAGE),
        "/agree": to(f"{CALLBACK}?code=c&state=s"),
    }
    assert sign_in(provider, settings) == f"{CALLBACK}?code=c&state=s"
    sent = {path: fields for _, path, fields, _ in provider.asked}
    password = "a password of alice"
    assert sent["/enter"] == {"csrf": "a&b", "login": "alice", "secret": password}
    assert sent["/agree"] == {"prompt": "consent", "ok": "yes"}


@pytest.mark.parametrize(
    "goal", ["https://evil.example/enter", "//127.0.0.1:1/enter", "https://localhost/e"]
)
def test_the_password_goes_to_no_other_origin(provider, settings, goal):
    provider.answers["/auth"] = page(LOGIN_PAGE.format(goal=goal))
    with pytest.raises(errors.UnexpectedAnswer, match="nothing was sent"):
        sign_in(provider, settings)
    assert all(method == "GET" for method, _, _, _ in provider.asked)


def test_the_password_goes_into_no_address_and_over_no_plain_http(provider, settings):
    provider.answers["/auth"] = page(
        LOGIN_PAGE.format(goal="/e").replace("post", "get")
    )
    with pytest.raises(errors.UnexpectedAnswer, match="or in an address"):
        sign_in(provider, settings)
    provider.answers["/auth"] = page(LOGIN_PAGE.format(goal="http://127.0.0.1/e"))
    with pytest.raises(errors.UnexpectedAnswer, match="leaves https"):
        sign_in(provider, settings)
    provider.answers["/auth"] = to("http://127.0.0.1/page")
    with pytest.raises(errors.UnexpectedAnswer, match="leaves https"):
        sign_in(provider, settings)


@pytest.mark.parametrize(
    ("told", "kind"),
    [("wrong password", errors.BadCredentials), ("Captcha!", errors.CaptchaRequired)],
)
def test_the_page_that_comes_again_says_why(provider, settings, told, kind):
    provider.answers["/auth"] = page(LOGIN_PAGE.format(goal="/auth") + told)
    with pytest.raises(kind, match=told):
        sign_in(provider, settings)
    assert [m for m, path, _, _ in provider.asked if path == "/auth"] == ["GET", "POST"]


@pytest.mark.parametrize(
    "body",
    [
        "nothing to fill in",
        CONSENT_PAGE * 2,
        CONSENT_PAGE.replace("</form>", "<button>Refuse</button></form>"),
        '<form method="post"><input name="user"><button>Next</button></form>',
    ],
)
def test_a_page_that_is_neither_login_nor_consent_is_quoted(provider, settings, body):
    provider.answers["/auth"] = page(body)
    with pytest.raises(errors.UnexpectedAnswer, match="MLFLOW_SSO_LOGIN=device"):
        sign_in(provider, settings)


def test_the_button_of_a_page_that_refuses_is_not_pressed(provider, settings):
    provider.answers["/auth"] = page(CONSENT_PAGE, 403)
    with pytest.raises(errors.UnexpectedAnswer, match="none to agree to: Continue"):
        sign_in(provider, settings)
    assert all(path != "/agree" for _, path, _, _ in provider.asked)


def test_a_login_that_goes_in_circles_ends(provider, settings):
    provider.answers["/auth"] = to("/auth")
    with pytest.raises(errors.UnexpectedAnswer, match="did not end within 12 pages"):
        sign_in(provider, settings)


def test_a_form_is_read_as_a_browser_reads_it():
    parser = FormParser()
    parser.feed('<FORM Action="/x" METHOD=Post><INPUT TYPE=Email NAME=mail></FORM>')
    parser.feed('<input name="outside"><form><input type="password" name="p"></form>')
    first, second = parser.forms
    assert (first.action, first.method, first.user) == ("/x", "POST", "mail")
    assert (second.method, second.password, second.user) == ("GET", "p", "")


# ---------------------------------------------------------------------------
# Login API and cookie
# ---------------------------------------------------------------------------


def test_a_login_api_that_sends_elsewhere_is_refused(provider, settings):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).public_key()
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    provider.answers |= {
        "/api/v1/authorize": as_json({"req": "1"}),
        "/pubkey": as_json({"ts": "2", "pubkey": pem}),
        "/api/v1/authorize/local": as_json({"redirect_url": "https://evil/?code=abc"}),
    }
    with pytest.raises(errors.UnexpectedAnswer, match="sends to another address"):
        oidc.login(replace(settings, login="platform"))
    with pytest.raises(errors.SettingMissing, match="too long for the login API"):
        platform_login.seal(Secret("x" * 300), "2", pem)
    with pytest.raises(errors.UnexpectedAnswer, match="no RSA key in PEM"):
        platform_login.seal(Secret("x"), "2", "no key")


def test_a_cookie_in_parts_is_put_together_in_order_of_its_host_only(
    provider, settings
):
    session = web.session(settings)
    jar = session.cookies = RequestsCookieJar()
    for name, domain in [
        *((f"_oauth2_proxy_{n}", "mlflow.example.com") for n in (10, 2, 0, 1)),
        ("_oauth2_proxy_csrf", "mlflow.example.com"),
        ("_oauth2_proxy", "evil.example.com"),
        ("session", "mlflow.example.com"),
    ]:
        jar.set(name, f"v-{name[-1]}", domain=domain)
    found = cookie._parts(session, "https://mlflow.example.com/x", "_oauth2_proxy")
    assert [
        pair.split("=")[0].rpartition("_")[2] for pair in found
    ] == "0 1 2 10".split()


def test_a_cookie_needs_a_login_that_needs_no_person(device):
    with pytest.raises(errors.SettingMissing, match="LOGIN to platform or form"):
        cookie.proxy_cookie(device)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (page("Sign in with OpenID", 403), "403 Sign in with OpenID.*skip-provider"),
        (to("/mlflow/"), "does not lead to the provider's login"),
    ],
)
def test_a_proxy_that_does_not_lead_to_the_provider_is_quoted(
    provider, settings, answer, told
):
    provider.answers["/mlflow/"] = answer
    with pytest.raises(errors.RejectedByProxy, match=told):
        cookie.proxy_cookie(replace(settings, tracking_uri=f"{provider.url}/mlflow"))


@pytest.mark.parametrize(
    ("header", "sets"), [("set-cookie", True), ("SET-COOKIE", True), ("x", False)]
)
def test_the_cookie_is_the_one_that_the_proxy_sets_for_the_callback(
    provider, settings, header, sets
):
    here = f"{provider.url}/oauth2/callback"
    query = urlencode({"redirect_uri": here, "state": "s"})
    provider.answers |= {
        "/mlflow/": to(f"/auth?{query}"),
        "/auth": to(f"{here}?code=c&state=s"),
        "/oauth2/callback": (
            302,
            {header: "_oauth2_proxy=v|1; Path=/", "LOCATION": "/"},
            "",
        ),
    }
    settings = replace(settings, tracking_uri=f"{provider.url}/mlflow")
    if sets:
        assert cookie.proxy_cookie(settings) == Secret("_oauth2_proxy=v|1")
    else:
        with pytest.raises(errors.RejectedByProxy, match="302 and set no cookie"):
            cookie.proxy_cookie(settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_cookie_goes_back_to_the_host_that_set_it_and_to_no_other(
    provider, settings, host
):
    """A host without a dot too; http.cookiejar keeps its cookies under another name."""
    there = provider.url.replace("127.0.0.1", host)
    query = urlencode({"redirect_uri": f"{there}/oauth2/callback", "state": "s"})
    provider.answers |= {
        "/mlflow/": to(f"{provider.url}/auth?{query}"),
        "/auth": to(f"{there}/oauth2/callback?code=c&state=s"),
        "/oauth2/callback": (
            302,
            {"Set-Cookie": "_oauth2_proxy=v; Path=/", "Location": "/"},
            "",
        ),
    }
    mine = replace(settings, tracking_uri=f"{there}/mlflow")
    assert cookie.proxy_cookie(mine) == Secret("_oauth2_proxy=v")
    other = "localhost" if host == "127.0.0.1" else "127.0.0.1"
    elsewhere = there.replace(host, other)
    with pytest.raises(errors.RejectedByProxy, match="set no cookie _oauth2_proxy"):
        cookie.proxy_cookie(replace(settings, tracking_uri=f"{elsewhere}/mlflow"))
