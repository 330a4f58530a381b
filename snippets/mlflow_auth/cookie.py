"""Signs in as a browser does, through the proxy in front of MLflow, for its cookie."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import requests

from snippets.mlflow_auth import errors
from snippets.mlflow_auth.oidc import SIGN_IN, discover
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.web import onward, said, session

HOPS = 6


def proxy_cookie(settings: Settings, name: str = "_oauth2_proxy") -> Secret:
    """Return the proxy's session cookie as the value of a ``Cookie`` header.

    Opens MLflow's address, follows the proxy to the provider, signs in there, and
    hands the answer to the proxy, which sets the cookie. State, PKCE and nonce are the
    proxy's own. A cookie that is too long for one comes in parts, ``NAME_0`` onwards.

    Raises
    ------
    RejectedByProxy
        If the proxy does not lead to the provider, or sets no cookie.
    AuthError
        As :func:`snippets.mlflow_auth.oidc.login` does.
    """
    if settings.login not in SIGN_IN:
        raise errors.SettingMissing(
            "a cookie needs a login with user and password",
            remedy="set MLFLOW_SSO_LOGIN to platform or form",
        )
    web = session(settings)
    authorization_url = _to_provider(web, settings)
    callback = SIGN_IN[settings.login](web, settings, authorization_url)
    answer = web.request("GET", callback, headers={"Accept": "text/html"})
    parts = _parts(web, f"{settings.tracking_uri}/", name)
    if not answer.is_redirect or not parts:
        raise errors.RejectedByProxy(
            f"the proxy answered {answer.status_code} and set no cookie {name}: "
            f"{said(answer)}",
            callback,
        )
    return Secret("; ".join(parts))


def _to_provider(web: requests.Session, settings: Settings) -> str:
    """Follow the proxy's redirects until one leads to the provider's authorization."""
    provider = discover(web, settings)
    url = f"{settings.need('tracking_uri')}/"
    for _ in range(HOPS):
        answer = web.request("GET", url, headers={"Accept": "text/html"})
        if not answer.is_redirect:
            break
        url = onward(answer, answer.headers["Location"])
        if url.partition("?")[0] == provider.authorization_endpoint:
            if "redirect_uri" in parse_qs(urlsplit(url).query):
                return url
            break
    raise errors.RejectedByProxy(
        "MLflow's address does not lead to the provider's login: "
        f"{answer.status_code} {said(answer)}",
        url,
        "check MLFLOW_TRACKING_URI and MLFLOW_SSO_ISSUER; a proxy that shows a page "
        "first needs skip-provider-button",
    )


def _parts(web: requests.Session, url: str, name: str) -> list[str]:
    """Return the parts, in order, that a browser would send there (RFC 6265, 5.4)."""
    request = requests.Request("GET", url).prepare()
    sent = requests.cookies.get_cookie_header(web.cookies, request) or ""
    pattern = re.compile(rf"{re.escape(name)}(?:_(\d+))?=")
    found = [(pattern.match(pair), pair) for pair in sent.split("; ")]
    return [
        pair for _, pair in sorted((int(m[1] or 0), pair) for m, pair in found if m)
    ]
