"""Keeps the proxy's session cookie on each request, where no token is to be had."""

from __future__ import annotations

import requests

from snippets.mlflow_auth import errors
from snippets.mlflow_auth.cookie import proxy_cookie
from snippets.mlflow_auth.guard import Guard
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.web import json_of, session


# region: cookie_auth
class CookieAuth(Guard):
    """The cookie of a browser's session, for this process alone.

    A cookie lives longer than a token, and the token inside it does not: when either
    has expired, this process signs in again. It needs a password for that; no file
    keeps a cookie.

    Parameters
    ----------
    settings
        How to sign in, and MLflow's address.
    """

    header = "Cookie"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self._held: Secret | None = None
        self._who = ""

    def value(self) -> Secret:
        """Return the cookie as a header, from memory after the first time."""
        with self._lock:
            if self._held is None:
                self._held = self.carefully(proxy_cookie, self.settings)
            return self._held

    def renew(self, value: Secret, answer: requests.Response) -> Secret:
        """Sign in again, unless another thread just has."""
        if self._held == value:
            self._held = proxy_cookie(self.settings)
        return self._held
        # endregion: cookie_auth

    def why(self, answer: requests.Response, value: Secret) -> errors.AuthError:
        """Say that not even a new cookie was taken."""
        return errors.RejectedByProxy(
            f"the proxy answered {answer.status_code} to a new session cookie",
            answer.url,
            "use a token: connect(method='token')",
        )

    def who(self) -> str:
        """Ask the proxy whom it takes the cookie for (oauth2-proxy's userinfo)."""
        if not self._who:
            url = f"{self.settings.need('tracking_uri')}/oauth2/userinfo"
            headers = {"Cookie": self.value().reveal()}
            found = json_of(session(self.settings).request("GET", url, headers=headers))
            self._who = str(found.get("email") or found.get("user"))
        return self._who
