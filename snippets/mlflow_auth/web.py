"""Speaks HTTPS for the sign-in: verified, within a time, with errors that name a cause
and no secret."""

from __future__ import annotations

import functools
import html
import os
import re
import ssl
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from snippets.mlflow_auth import errors
from snippets.mlflow_auth.secret import quoted
from snippets.mlflow_auth.settings import Settings

TIMEOUT = (10.0, 30.0)  # to connect, and between two parts of an answer, in seconds
LOUD = (
    "MLFLOW_SSO_INSECURE_TLS=true: certificates are not verified. Anyone on the way to "
    "the server can read password and tokens. Set MLFLOW_SSO_CA_BUNDLE instead."
)


class InsecureTlsWarning(UserWarning):
    """Certificates are not verified, because the environment says so."""


class VerifiedSession(requests.Session):
    """A session that trusts what it was told to, whatever the environment says.

    ``requests`` prefers ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` to
    ``Session.verify``; here they count only where no bundle was given. The
    environment's proxies are used, its ``.netrc`` is not. No redirect is followed.
    """

    def __init__(self, trust: str | bool) -> None:
        super().__init__()
        self.verify = trust
        self.auth = lambda request: request  # or .netrc would replace Authorization

    def merge_environment_settings(self, *where: Any) -> dict[str, Any]:
        """Take the environment's proxies, and only where nothing else is set its CA."""
        merged = super().merge_environment_settings(*where)
        if self.verify is not True:
            merged["verify"] = self.verify
        return merged

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request, or raise the :class:`~errors.AuthError` of its cause."""
        options = {"timeout": TIMEOUT, **options, "allow_redirects": False}
        try:
            answer = super().request(method, url, **options)
        except (OSError, ValueError) as error:  # the latter of an odd Location
            # Not chained: its text holds the URL with its query, and so codes.
            problem = _explained(error, url, self.verify)
        else:
            if answer.status_code < 500:
                return answer
            problem = errors.Unreachable(
                f"the server answered {answer.status_code}: {said(answer)}", url
            )
        raise problem


def session(settings: Settings) -> VerifiedSession:
    """Return a session that trusts the CA bundle of the settings.

    Raises
    ------
    TlsNotTrusted
        If the bundle is missing or holds no certificate.
    """
    if settings.insecure_tls:
        _warn_loudly()
        return VerifiedSession(False)
    if settings.ca_bundle is None:
        return VerifiedSession(True)
    bundle = str(settings.ca_bundle)
    try:
        folder = os.path.isdir(bundle)
        place = {"capath": bundle} if folder else {"cafile": bundle}
        ssl.create_default_context(**place)
    except (ssl.SSLError, OSError) as error:
        reason = "it holds no PEM certificate"
        if not isinstance(error, ssl.SSLError):
            reason = error.strerror
        raise errors.TlsNotTrusted(
            f"the CA bundle {bundle} cannot be used ({reason})",
            remedy="set MLFLOW_SSO_CA_BUNDLE to a PEM file of certificates",
        ) from None
    return VerifiedSession(bundle)


@functools.cache
def _warn_loudly() -> None:
    """Warn once a process; the warnings of urllib3, one a request, stay as they are."""
    warnings.warn(LOUD, InsecureTlsWarning, stacklevel=4)


def json_of(answer: requests.Response) -> dict[str, Any]:
    """Return an answer's JSON object, or raise what its error means.

    Raises
    ------
    AuthError
        The class of the OAuth error, or ``UnexpectedAnswer``.
    """
    try:
        found = answer.json()
    except ValueError:
        found = None
    if isinstance(found, dict) and answer.ok and not found.get("error"):
        return found
    if isinstance(found, dict) and found.get("error"):
        raise refusal(found, answer.url)
    raise errors.UnexpectedAnswer(
        f"the server answered {answer.status_code} without the JSON that belongs "
        f"there: {said(answer)}",
        answer.url,
    )


def refusal(answer: Mapping[str, Any], where: str) -> errors.AuthError:
    """Return the error that an OAuth answer stands for.

    From RFC 6749 (4.1.2.1, 5.2), RFC 7636 (4.4.1), RFC 8628 (3.5), and the login API,
    which adds ``invalid_credentials`` and ``CaptchaError``.
    """
    name = quoted(str(answer.get("error")))
    text = f"{name}: {quoted(str(answer.get('error_description', '')))}".rstrip(": ")
    if name == "invalid_request" and re.search("pkce|code_challenge", text, re.I):
        return errors.PkceRequired(text, where)
    if name == "invalid_request" and re.search("refresh token", text, re.I):
        return errors.InvalidGrant(text, where)  # Dex's name for one used or expired
    if name in ("invalid_client", "unauthorized_client"):
        client = "check MLFLOW_SSO_CLIENT_ID and MLFLOW_SSO_CLIENT_SECRET or its _FILE"
        return errors.BadCredentials(text, where, client)
    if name in ("invalid_redirect_uri", "redirect_uri_mismatch"):
        uri = "set MLFLOW_SSO_REDIRECT_URI to one that is registered for the client"
        return errors.UnexpectedAnswer(text, where, uri)
    kinds = {
        "invalid_grant": errors.InvalidGrant,
        "invalid_credentials": errors.BadCredentials,
        "access_denied": errors.BadCredentials,
        "CaptchaError": errors.CaptchaRequired,
        "expired_token": errors.TokenExpired,
    }
    return kinds.get(name, errors.UnexpectedAnswer)(text, where)


def said(answer: requests.Response) -> str:
    """Return what an answer says, in one line without markup and secrets."""
    page = answer.text[:20_000]  # more of "<script" would take minutes to match
    text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.S)
    return quoted(html.unescape(text), 120) or "(nothing)"


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address (RFC 6454, 4)."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        raise errors.UnexpectedAnswer("this is no address", url) from None
    return parts.scheme, parts.hostname or "", port


def onward(answer: requests.Response, goal: str) -> str:
    """Return the address that a redirect or a form leads to (RFC 3986, 5).

    Raises
    ------
    UnexpectedAnswer
        If it leaves https, or is no address.
    """
    try:
        url = urljoin(answer.url, goal)
    except ValueError:
        raise errors.UnexpectedAnswer("it leads to no address", answer.url) from None
    if origin(url)[0] != "https":
        raise errors.UnexpectedAnswer("the login leaves https", url)
    return url


def _explained(error: Exception, url: str, trust: str | bool) -> errors.AuthError:
    """Return the error of ours that says what happened on the way to a URL."""
    kinds = requests.exceptions
    root = _root(error)
    if isinstance(error, kinds.SSLError):
        return _untrusted(root, url, trust)
    if isinstance(error, kinds.ProxyError):
        return errors.Unreachable(
            "the proxy that HTTPS_PROXY or HTTP_PROXY names does not answer", url
        )
    if isinstance(error, kinds.Timeout):
        return errors.Unreachable(f"no answer within {TIMEOUT[1]:.0f} s", url)
    if isinstance(error, kinds.ConnectionError):
        reason = getattr(root, "strerror", None) or "the connection was closed"
        return errors.Unreachable(f"nobody answers ({reason})", url)
    if isinstance(error, kinds.RequestException | ValueError):
        return errors.UnexpectedAnswer(
            f"no request was made ({type(error).__name__})", url
        )
    return errors.TlsNotTrusted(f"the CA bundle {_trusted(trust)} cannot be used", url)


def _untrusted(root: BaseException, url: str, trust: str | bool) -> errors.AuthError:
    """Return why a TLS connection was not made."""
    reason = getattr(root, "verify_message", "") or getattr(root, "reason", "")
    if "mismatch" in reason or "not valid for" in reason:
        return errors.TlsNotTrusted(
            f"the certificate is for another name ({reason})",
            url,
            "ask by a name that the certificate holds",
        )
    if reason and not isinstance(root, ssl.SSLCertVerificationError):
        return errors.TlsNotTrusted(
            f"the server speaks no TLS that this machine accepts ({reason})",
            url,
            "check scheme and port of the address",
        )
    return errors.TlsNotTrusted(
        f"the certificate is not trusted ({reason}); {_trusted(trust)} is asked", url
    )


def _trusted(trust: str | bool) -> str:
    """Name what says which certificates are trusted."""
    if isinstance(trust, str):
        return trust
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(name):
            return f"{name}={os.environ[name]}"
    return "the list of certifi"


def _root(error: BaseException) -> BaseException:
    """Return the error of the system or of TLS that the libraries wrapped."""
    while not getattr(error, "strerror", None):
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error
