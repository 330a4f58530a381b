"""Keeps a token on each request to MLflow fresh, for as long as a run takes."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

import requests

from snippets.mlflow_auth import answers, claims, errors, oidc
from snippets.mlflow_auth.guard import PAUSE, Guard
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.store import Tokens

Stamp = tuple[int, int, int] | None


class Held(NamedTuple):
    """A token in memory, and what tells that another one is wanted."""

    stamp: Stamp  # of the file when the token was read
    tokens: Tokens
    value: Secret
    due: float  # seconds since 1970


# region: bearer
class BearerAuth(Guard):
    """An ID token as bearer token (RFC 6750, 2.1), shared through the token file.

    While the token is fresh, a request costs one look at the file's times: nothing is
    read or parsed. In its last minute, or its last third if that is less, the first of
    the processes that share the file renews it for all. A provider that is away is no
    error until MLflow refuses the token: if both are away, MLflow's client tries again.

    Parameters
    ----------
    settings
        Whose login it is, and the file that keeps it.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self._path = os.path.expanduser(settings.token_file)
        self._held: Held | None = None

    def value(self) -> Secret:
        """Return ``Bearer`` and a token that is not due."""
        held = self._held
        if held and time.time() < held.due and held.stamp == stamp(self._path):
            return held.value
        with self._lock:
            return self._read().value

    def _read(self) -> Held:
        """Take what the file holds, renewed if it is due."""
        seen, held = stamp(self._path), self._held
        try:
            tokens = self.carefully(oidc.current, self.settings)
        except (errors.Unreachable, errors.UnexpectedAnswer):
            if held is None:
                raise
            # It may do still; if not, the answer says so, and the renewal then raises.
            pause = max(1.0, min(PAUSE, held.tokens.seconds_left() / 2))
            self._held = held._replace(due=time.time() + pause)
            return self._held
        return self._hold(seen, tokens)
        # endregion: bearer

    def renew(self, value: Secret, answer: requests.Response) -> Secret:
        """Return what another thread or process fetched meanwhile, or a new token."""
        held = self._held
        if held is not None and held.value != value:
            return held.value
        seen = stamp(self._path)
        tokens = oidc.current(self.settings, stale=held.tokens if held else None)
        return self._hold(seen, tokens).value

    def why(self, answer: requests.Response, value: Secret) -> errors.AuthError:
        """Compare what the token says of itself with what the proxy asks for."""
        return answers.token_refused(answer, token_of(value))

    def who(self) -> str:
        """Return whom the token speaks of, the name that the server sees."""
        return claims.identity(self.claims())

    def claims(self) -> dict[str, Any]:
        """Return what the token in use says of itself."""
        return claims.decode(token_of(self.value()))

    def at_hand(self) -> Stamp:
        """Return the token file's stamp."""
        return stamp(self._path)

    def _hold(self, seen: Stamp, tokens: Tokens) -> Held:
        issued = claims.decode(tokens.id_token).get("iat", tokens.expires_at - 180)
        early = min(60.0, (tokens.expires_at - issued) / 3)
        value = Secret(f"Bearer {tokens.id_token.reveal()}")
        self._held = Held(seen, tokens, value, tokens.expires_at - early)
        return self._held


# region: static
class StaticAuth(Guard):
    """``MLFLOW_TRACKING_TOKEN``, which nothing can renew from here.

    Whoever issued the token puts a new one into the variable; it is read again on each
    request.
    """

    def value(self) -> Secret:
        """Return ``Bearer`` and what the variable holds."""
        return Secret(f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN'].strip()}")

    def renew(self, value: Secret, answer: requests.Response) -> Secret:
        """Return what the variable holds now, if that is another token."""
        if (now := self.value()) != value:
            return now
        raise self.why(answer, value)

    def why(self, answer: requests.Response, value: Secret) -> errors.AuthError:
        """Say what is wrong with the token, and that it stays so."""
        error = answers.token_refused(answer, token_of(value))
        remedy = (
            "MLFLOW_TRACKING_TOKEN cannot be renewed from here: set a new one, or set "
            "MLFLOW_SSO_ISSUER and MLFLOW_SSO_CLIENT_ID, by which tokens are renewed"
        )
        return type(error)(error.what, error.where, remedy)

    def who(self) -> str:
        """Return whom the token speaks of."""
        return claims.identity(claims.decode(token_of(self.value())))
        # endregion: static

    def at_hand(self) -> Secret:
        """Return what the variable holds."""
        return self.value()


def token_of(value: Secret) -> Secret:
    """Return the token in the value of an ``Authorization`` header."""
    return Secret(value.reveal().partition(" ")[2])


def stamp(path: str) -> Stamp:
    """Return what differs when a file was replaced; nothing if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
