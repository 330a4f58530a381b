"""Signs in at any OpenID provider: by code with PKCE, by device, and by refresh."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import requests

from snippets.mlflow_auth import claims, errors
from snippets.mlflow_auth.form_login import form_login
from snippets.mlflow_auth.platform_login import platform_login
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.store import TokenFile, Tokens
from snippets.mlflow_auth.web import json_of, origin, refusal, session

SCOPE = "openid profile email offline_access"  # the last asks for a refresh token
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SIGN_IN = {"platform": platform_login, "form": form_login}


@dataclass(frozen=True)
class Provider:
    """What a provider says of itself (OpenID Connect Discovery 1.0, 3)."""

    authorization_endpoint: str
    token_endpoint: str
    device_authorization_endpoint: str
    posts_secret: bool  # takes a client secret only in the form, not in the header
    says_issuer: bool  # puts ``iss`` into its answer (RFC 9207)


@dataclass(frozen=True)
class Attempt:
    """One attempt to sign in, and what its answer must agree with."""

    url: str
    verifier: Secret
    state: Secret
    nonce: Secret


def discover(web: requests.Session, settings: Settings) -> Provider:
    """Ask the provider where its endpoints are (OpenID Connect Discovery 1.0, 4).

    Raises
    ------
    UnexpectedAnswer
        If it is no provider, calls itself otherwise, or names an address without TLS.
    """
    url = f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration"
    found = json_of(web.request("GET", url))
    if found.get("issuer") != settings.issuer:
        raise errors.UnexpectedAnswer(
            f'the provider calls itself "{found.get("issuer")}"',
            url,
            "set MLFLOW_SSO_ISSUER to the provider's own spelling",
        )
    names = (
        "authorization_endpoint",
        "token_endpoint",
        "device_authorization_endpoint",
    )
    ends = {name: str(found.get(name, "")) for name in names}
    for name, end in ends.items():
        if end and origin(end)[0] != "https":
            raise errors.UnexpectedAnswer(f"its {name} is not https: {end}", url)
    ways = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Provider(
        **ends,
        posts_secret="client_secret_basic" not in ways,
        says_issuer=bool(found.get("authorization_response_iss_parameter_supported")),
    )


def pkce_pair() -> tuple[Secret, str]:
    """Return a fresh code verifier and its S256 challenge (RFC 7636, 4.1 and 4.2)."""
    verifier = Secret(secrets.token_urlsafe(32))  # 43 characters
    return verifier, challenge(verifier)


def challenge(verifier: Secret) -> str:
    """Return BASE64URL(SHA256(verifier)) without padding (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.reveal().encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def login(settings: Settings) -> Tokens:
    """Sign in as the settings say, and return the tokens; nothing is stored.

    The authorization code flow (RFC 6749, 4.1; OpenID Connect Core 1.0, 3.1) with
    PKCE, state and nonce. Nobody calls the redirect URI: the code is read from it.

    Raises
    ------
    AuthError
        One class for each cause; see :mod:`snippets.mlflow_auth.errors`.
    """
    if settings.login == "device":
        return device_login(settings)
    web = session(settings)
    provider = discover(web, settings)
    attempt = begin(settings, provider)
    callback = SIGN_IN[settings.login](web, settings, attempt.url)
    return finish(web, settings, provider, attempt, callback)


def begin(settings: Settings, provider: Provider) -> Attempt:
    """Return a new authorization request (RFC 6749, 4.1.1)."""
    verifier, code_challenge = pkce_pair()
    state, nonce = Secret(secrets.token_urlsafe(16)), Secret(secrets.token_urlsafe(16))
    query = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": settings.need("redirect_uri"),
        "scope": SCOPE,
        "state": state.reveal(),
        "nonce": nonce.reveal(),
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
    }
    if settings.login == "form":
        query["prompt"] = "consent"  # offline_access asks for it (OIDC Core 1.0, 11)
    mark = "&" if "?" in provider.authorization_endpoint else "?"
    url = f"{provider.authorization_endpoint}{mark}{urlencode(query)}"
    return Attempt(url, verifier, state, nonce)


def finish(
    web: requests.Session,
    settings: Settings,
    provider: Provider,
    attempt: Attempt,
    callback: str,
) -> Tokens:
    """Take the code from the callback, and exchange it (RFC 6749, 4.1.2 and 4.1.3).

    Raises
    ------
    StateMismatch
        If the callback answers another attempt, or comes from another issuer.
    InvalidGrant
        If the code was used before, or belongs to another verifier.
    """
    code = _code(settings, provider, attempt, callback)
    fields = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": settings.redirect_uri,
        "code_verifier": attempt.verifier.reveal(),
    }
    answer = json_of(_post(web, settings, provider.token_endpoint, fields, provider))
    return _tokens(settings, answer, attempt.nonce)


def _code(
    settings: Settings, provider: Provider, attempt: Attempt, callback: str
) -> Secret:
    """Return the code of an authorization answer that is ours."""
    if callback.partition("?")[0] != settings.redirect_uri.partition("?")[0]:
        raise errors.StateMismatch("the answer goes to another redirect URI", callback)
    query = parse_qs(urlsplit(callback).query)
    found = {name: values[0] for name, values in query.items() if len(values) == 1}
    if not compare_digest(
        found.get("state", "").encode(), attempt.state.reveal().encode()
    ):
        raise errors.StateMismatch("the answer has another state", callback)
    issuer = found.get("iss", "" if provider.says_issuer else settings.issuer)
    if issuer != settings.issuer:
        raise errors.StateMismatch(
            f'the answer comes from the issuer "{issuer}"', callback
        )
    if "error" in found:
        raise refusal(found, callback)
    if "code" not in found:
        raise errors.UnexpectedAnswer("the answer holds no code", callback)
    return Secret(found["code"])


def refresh(settings: Settings, tokens: Tokens) -> Tokens:
    """Return newer tokens (RFC 6749, 6; OpenID Connect Core 1.0, 12).

    A provider that rotates sends a new refresh token, which replaces the old; one that
    does not leaves the old in use. Among processes call :func:`current` instead, which
    does this within the token file's lock.

    Raises
    ------
    InvalidGrant
        If there is no refresh token, or it was used before or has expired.
    """
    if tokens.refresh_token is None:
        raise errors.InvalidGrant("the login gave no refresh token", settings.issuer)
    web = session(settings)
    provider = discover(web, settings)
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": tokens.refresh_token.reveal(),
    }
    answer = json_of(_post(web, settings, provider.token_endpoint, fields, provider))
    return _tokens(settings, answer, before=tokens)


def current(settings: Settings, stale: Tokens | None = None) -> Tokens:
    """Return tokens that work: those of the token file, refreshed, or of a new login.

    Processes that share the file renew one after another, and only the first asks the
    provider. A new login needs a password: a person is never asked from here.

    Parameters
    ----------
    settings
        Whose login; tokens of another issuer, client or account are not used.
    stale
        Tokens that a server rejected, or that are due; others are wanted.

    Raises
    ------
    NotSignedIn
        If the file holds no login, and no password is set.
    """
    file = TokenFile(settings.token_file)
    if stale is None:
        found = file.read()
        if found is not None and _ours(settings, found) and not found.due():
            return found
        stale = found
    return file.renew(
        stale,
        lambda found: _newer(settings, found),
        lambda found: _ours(settings, found),
    )


def _newer(settings: Settings, found: Tokens | None) -> Tokens:
    """Refresh what the file holds, or sign in where that is not possible."""
    scripted = settings.password is not None and settings.login in SIGN_IN
    if found is not None and _ours(settings, found) and found.refresh_token:
        try:
            return refresh(settings, found)
        except errors.InvalidGrant:
            if not scripted:
                raise
    if scripted:
        return login(settings)
    raise errors.NotSignedIn(
        f"{settings.token_file} holds no login of {settings.username or 'anyone'} for "
        f"{settings.client_id}",
        settings.issuer,
    )


def _ours(settings: Settings, tokens: Tokens) -> bool:
    """Return whether tokens are of the login that the settings speak of."""
    wanted = (settings.issuer, settings.client_id)
    same = (tokens.issuer, tokens.client_id) == wanted
    return same and _account(settings) in ("", tokens.account)


def _account(settings: Settings) -> str:
    """Return who signs in; who holds the device says nothing of that beforehand."""
    return settings.username if settings.login in SIGN_IN else ""


def device_login(
    settings: Settings, show: Callable[[str, str], None] | None = None
) -> Tokens:
    """Let a person sign in on any device, by a code (RFC 8628).

    Parameters
    ----------
    settings
        Client and issuer; no password is needed, nor a redirect URI.
    show
        Gets the address to open and the code to enter there; prints them if left out.

    Raises
    ------
    TokenExpired
        If nobody entered the code in time.
    BadCredentials
        If the person refused.
    """
    web = session(settings)
    provider = discover(web, settings)
    url = provider.device_authorization_endpoint
    if not url:
        raise errors.UnexpectedAnswer(
            "the provider has no device login", settings.issuer, "use another login"
        )
    answer = json_of(_post(web, settings, url, {"scope": SCOPE}, provider))
    grant = {"grant_type": DEVICE_GRANT, "device_code": str(answer.get("device_code"))}
    device_code = Secret(grant["device_code"])  # held, so that messages hide it
    (show or _print_code)(
        str(answer.get("verification_uri")), str(answer.get("user_code"))
    )
    wait = _seconds(answer.get("interval"), 5)
    end = time.monotonic() + _seconds(answer.get("expires_in"), 600)
    while device_code and time.monotonic() < end:
        reply = _post(web, settings, provider.token_endpoint, grant, provider)
        error = _error_of(reply)
        if error not in ("authorization_pending", "slow_down"):
            return _tokens(settings, json_of(reply))
        wait += 5 if error == "slow_down" else 0
        time.sleep(max(0.0, min(wait, end - time.monotonic())))
    raise errors.TokenExpired("nobody entered the code in time", url)


def _seconds(told: Any, usual: float) -> float:
    """Return a time that a server told, or else the usual one."""
    return told if isinstance(told, int | float) and told >= 0 else usual


def _print_code(address: str, code: str) -> None:
    """Tell a person where to enter the code."""
    print(f"Open {address} and enter {code}", flush=True)


def _error_of(answer: requests.Response) -> str:
    """Return the name of an OAuth error, if the answer is one."""
    try:
        return str(answer.json().get("error", ""))
    except (ValueError, AttributeError):
        return ""


def _post(
    web: requests.Session,
    settings: Settings,
    url: str,
    fields: Mapping[str, str],
    provider: Provider,
) -> requests.Response:
    """Post as the client: by header, by form, or by name alone (RFC 6749, 2.3.1)."""
    fields, auth = dict(fields), None
    secret = settings.client_secret
    if secret is None or provider.posts_secret:
        fields["client_id"] = settings.client_id
    if secret is not None and provider.posts_secret:
        fields["client_secret"] = secret.reveal()
    if secret is not None and not provider.posts_secret:
        auth = (quote_plus(settings.client_id), quote_plus(secret.reveal()))
    return web.request(
        "POST", url, data=fields, auth=auth, headers={"Accept": "application/json"}
    )


def _tokens(
    settings: Settings,
    answer: Mapping[str, Any],
    nonce: Secret | None = None,
    before: Tokens | None = None,
) -> Tokens:
    """Return the tokens of an answer whose ID token is for us.

    Issuer, audience, expiry and nonce are checked. Its signature is not: the token
    comes from the token endpoint over verified TLS, which OpenID Connect Core 1.0
    (3.1.3.7, 6) takes for one. Whoever gets it from elsewhere, as MLflow's proxy does,
    verifies the signature.
    """
    if not answer.get("id_token"):
        if before:  # which OpenID Connect Core 1.0 (12.2) allows
            raise errors.InvalidGrant("no ID token was renewed", settings.issuer)
        raise errors.UnexpectedAnswer(
            "the provider sent no ID token", settings.issuer, "ask for the scope openid"
        )
    token = Secret(str(answer["id_token"]))
    found = claims.decode(token)
    _check(settings, token, found, nonce, before)
    fresh = answer.get("refresh_token")
    kept = before.refresh_token if before else None
    return Tokens(
        token,
        Secret(str(fresh)) if fresh else kept,
        settings.issuer,
        settings.client_id,
        float(found["exp"]),
        before.account if before else _account(settings),
    )


def _check(
    settings: Settings,
    token: Secret,
    found: Mapping[str, Any],
    nonce: Secret | None,
    before: Tokens | None,
) -> None:
    """Raise unless an ID token is for this login (OpenID Connect Core 1.0, 3.1.3.7)."""
    exp = found.get("exp")
    alive = isinstance(exp, int | float) and exp > time.time()
    mine = settings.client_id in claims.audiences(found)
    echoed = nonce is None or found.get("nonce") == nonce.reveal()
    same = not before or claims.decode(before.id_token).get("sub") == found.get("sub")
    signed = claims.header(token).get("alg", "none") != "none"
    for fine, kind, wrong in (
        (signed, errors.UnexpectedAnswer, "is not signed"),
        (
            found.get("iss") == settings.issuer,
            errors.StateMismatch,
            "is of another issuer",
        ),
        (mine, errors.WrongAudience, f"is not for {settings.client_id}"),
        (alive, errors.TokenExpired, "has expired on arrival"),
        (echoed, errors.StateMismatch, "has another nonce"),
        (same, errors.StateMismatch, "is of another person"),
    ):
        if not fine:
            told = claims.summary(found)
            raise kind(f"the ID token {wrong} ({told})", settings.issuer)
