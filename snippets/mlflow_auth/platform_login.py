"""Signs in through the platform's login API, for scripts where no browser is."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from snippets.mlflow_auth import errors
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.web import json_of


def platform_login(
    web: requests.Session, settings: Settings, authorization_url: str
) -> str:
    """Return the callback URL that a browser would be sent to after signing in.

    Parameters
    ----------
    web
        A session of :func:`snippets.mlflow_auth.web.session`.
    settings
        User and password; the API lies below the issuer.
    authorization_url
        The authorization request, whose query the API takes.

    Raises
    ------
    PkceRequired, BadCredentials, CaptchaRequired
        As the API answers.
    """
    account, password = settings.need("username"), settings.need("password")
    api = f"{settings.issuer.rstrip('/')}/api/v1/authorize"
    query = urlsplit(authorization_url).query
    request = json_of(web.request("GET", f"{api}?{query}"))
    key = json_of(web.request("GET", f"{settings.issuer.rstrip('/')}/pubkey"))
    sealed = seal(password, str(key.get("ts")), str(key.get("pubkey")))
    url = f"{api}/local?{urlencode({'req': str(request.get('req'))})}"
    body = {"account": account, "password": sealed}
    callback = str(json_of(web.request("POST", url, json=body)).get("redirect_url"))
    wanted = parse_qs(query).get("redirect_uri", [""])[0]
    if callback.partition("?")[0] != wanted.partition("?")[0]:
        raise errors.UnexpectedAnswer(
            f"the login API sends to another address than {wanted}", callback
        )
    return callback


def seal(password: Secret, ts: str, pubkey: str) -> str:
    """Return the password as the API takes it: encrypted with its public key.

    RSAES-PKCS1-v1_5 (RFC 8017, 7.2) of a JSON object with ``ts``, the time that came
    with the key, in Base64. TLS protects it on the way; this hides it from the logs of
    whatever ends TLS.

    Raises
    ------
    UnexpectedAnswer
        If the key is none.
    SettingMissing
        If the password is too long for the key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        key = serialization.load_pem_public_key(pubkey.encode())
    except ValueError:
        key = None
    if not isinstance(key, rsa.RSAPublicKey):
        raise errors.UnexpectedAnswer("the login API's public key is no RSA key in PEM")
    plain = json.dumps({"ts": ts, "password": password.reveal()}, ensure_ascii=False)
    if len(plain.encode()) > key.key_size // 8 - 11:
        raise errors.SettingMissing(
            "the password is too long for the login API's public key",
            remedy="set a shorter password, or MLFLOW_SSO_LOGIN to another way",
        )
    sealed = key.encrypt(plain.encode(), padding.PKCS1v15())
    return base64.b64encode(sealed).decode("ascii")
