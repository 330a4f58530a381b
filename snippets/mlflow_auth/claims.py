"""Reads what a token says of itself, for messages; it proves nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from snippets.mlflow_auth.errors import UnexpectedAnswer
from snippets.mlflow_auth.secret import Secret


def decode(token: Secret) -> dict[str, Any]:
    """Return the claims of a JSON Web Token without verifying it (RFC 7519, 3).

    Whoever rests a decision on claims verifies the signature first, as MLflow's proxy
    does. Here they say in words why a proxy refuses a token.

    Raises
    ------
    UnexpectedAnswer
        If it is no JSON Web Token, as many access tokens are none.
    """
    return _part(token, 1)


def header(token: Secret) -> dict[str, Any]:
    """Return a token's header, which names its algorithm (RFC 7515, 4)."""
    return _part(token, 0)


def identity(claims: Mapping[str, Any]) -> str:
    """Return whom the token speaks of: e-mail, else name for login, else subject."""
    for name in ("email", "preferred_username", "sub"):
        if claims.get(name):
            return str(claims[name])
    raise UnexpectedAnswer(
        "the ID token names nobody: it has no email, preferred_username or sub",
        remedy="ask for the scopes openid, profile and email",
    )


def audiences(claims: Mapping[str, Any]) -> list[str]:
    """Return whom the token is for; ``aud`` may be one text or a list (RFC 7519)."""
    aud = claims.get("aud", [])
    return [str(one) for one in aud] if isinstance(aud, list) else [str(aud)]


def summary(claims: Mapping[str, Any], now: float | None = None) -> str:
    """Return issuer, audience and seconds left, the three a proxy refuses for."""
    now = time.time() if now is None else now
    left = claims.get("exp")
    known = isinstance(left, int | float)
    life = f"{left - now:.0f} s left" if known else "no expiry"
    return f"iss={claims.get('iss')} aud={','.join(audiences(claims))} {life}"


def _part(token: Secret, index: int) -> dict[str, Any]:
    """Return one JSON part of a token in compact form."""
    parts = token.reveal().split(".")
    found = None
    if len(parts) == 3:
        padded = parts[index] + "=" * (-len(parts[index]) % 4)
        try:
            found = json.loads(base64.urlsafe_b64decode(padded))
        except ValueError:
            found = None
    if not isinstance(found, dict):
        raise UnexpectedAnswer(
            f"this is no JSON Web Token: it has {len(parts)} parts of the three, or "
            "they are not JSON",
            remedy="use the ID token; an access token may be a text without content",
        )
    return found
