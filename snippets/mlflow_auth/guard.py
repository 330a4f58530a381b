"""Watches each request to MLflow: a credential goes out, and a refusal is seen to.

MLflow hands its requests to the ``requests`` library, whose authentication sees each
one before it leaves, and its answer before a redirect is followed.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import mlflow
import requests
from requests.auth import AuthBase

from snippets.mlflow_auth import answers, errors
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.web import origin

PAUSE = 15.0  # seconds until a renewal that failed is tried again
FINAL = (errors.BadCredentials, errors.CaptchaRequired)  # a second try locks people out

_log = logging.getLogger(__name__)
_origin = functools.lru_cache(origin)


# region: guard
class Guard(AuthBase):
    """A credential on each request to MLflow, and a look at each answer.

    A server answers 401 to a token that it does not take (RFC 6750, 3); a proxy that
    signs people in answers with a redirect to the login. Both are followed by one
    renewal and the same request again, then by an error that says why. The credential
    goes to the tracking server and the registry, never to another host.
    """

    header = "Authorization"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._trouble: errors.AuthError | None = None
        self._until, self._seen = 0.0, None  # by time.monotonic, and what was at hand

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credential, and watch the answer."""
        where = origin(request.url)
        servers = mlflow.get_tracking_uri, mlflow.get_registry_uri
        if not any(where == _origin(server()) for server in servers):
            _log.warning("%s://%s:%d is not MLflow's: it gets no credential", *where)
            return request
        value = self.value()
        request.headers.pop("Authorization", None)  # of MLflow's user and password
        request.headers[self.header] = value.reveal()
        judge = functools.partial(self._judge, where, value)
        request.register_hook("response", judge)
        return request

    def _judge(
        self, where: tuple, value: Secret, answer: requests.Response, **sent: Any
    ) -> requests.Response:
        """Renew once if the answer refuses the credential; raise what stays refused."""
        if origin(answer.url) != where:  # a redirect led away: that host gets nothing
            return answer
        if answers.refuses(answer):
            fresh = self.carefully(self.renew, value, answer)
            answer = answers.repeated(answer, self.header, fresh, sent)
            if answers.refuses(answer):
                raise self._remembered(self.why(answer, fresh))
        problem = answers.forbids(answer, self.who)
        if problem is not None:
            raise problem
        return answer

    # endregion: guard

    def value(self) -> Secret:
        """Return the header's value, from memory while it is fresh."""
        raise NotImplementedError

    def renew(self, value: Secret, answer: requests.Response) -> Secret:
        """Return another value than the one that an answer refused."""
        raise NotImplementedError

    def why(self, answer: requests.Response, value: Secret) -> errors.AuthError:
        """Return the error that says why an answer refuses a value."""
        raise NotImplementedError

    def who(self) -> str:
        """Return whom MLflow takes this process for."""
        raise NotImplementedError

    def at_hand(self) -> object:
        """Return what changes when somebody else signed in meanwhile."""
        return None

    def carefully(self, ask: Callable[..., Any], *given: Any) -> Any:
        """Ask the provider, unless that failed a moment ago: it counts failures."""
        with self._lock:
            waits = time.monotonic() < self._until and self._seen == self.at_hand()
            if self._trouble is not None and waits:
                raise self._trouble.with_traceback(None)
            try:
                found = ask(*given)
            except errors.AuthError as error:
                raise self._remembered(error)  # noqa: B904, the same error
            self._trouble = None
            return found

    def _remembered(self, error: errors.AuthError) -> errors.AuthError:
        if isinstance(error, errors.Unreachable):
            return error  # nobody counted it
        pause = float("inf") if isinstance(error, FINAL) else PAUSE
        self._trouble, self._until = error, time.monotonic() + pause
        self._seen = self.at_hand()
        return error
