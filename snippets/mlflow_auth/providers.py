"""Lets MLflow find the credential and the owner: the classes that its plugins need.

MLflow calls them because a wheel declares them as entry points, or because
:func:`snippets.mlflow_auth.register.connect` registered them in this process. See
https://mlflow.org/docs/latest/ml/plugins/, "Authoring custom plugins".
"""

from __future__ import annotations

import functools
import logging
import os

import mlflow
from mlflow.tracking.context.abstract_context import RunContextProvider
from mlflow.tracking.request_auth.abstract_request_auth_provider import (
    RequestAuthProvider,
)
from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)

from snippets.mlflow_auth.bearer import BearerAuth, StaticAuth, stamp
from snippets.mlflow_auth.guard import Guard
from snippets.mlflow_auth.session_cookie import CookieAuth
from snippets.mlflow_auth.settings import VARIABLES, Settings

TOKEN, COOKIE = "oidc", "oidc-cookie"  # values of MLFLOW_TRACKING_AUTH
OWNER = "mlflow.user"  # the tag that MLflow's pages show as the owner of a run
FILES = ("MLFLOW_SSO_CLIENT_SECRET_FILE", "MLFLOW_SSO_PASSWORD_FILE")
WATCHED = (
    *(name for key, name in VARIABLES.items() if key != "workspace"),
    *FILES,
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
)

_log = logging.getLogger(__name__)


class OidcAuthProvider(RequestAuthProvider):
    """``MLFLOW_TRACKING_AUTH=oidc``: a token, renewed for as long as the run takes."""

    def get_name(self) -> str:
        """Return the value of ``MLFLOW_TRACKING_AUTH`` that selects this."""
        return TOKEN

    def get_auth(self) -> Guard:
        """Return what MLflow hands to ``requests``, the same for each request."""
        return guard(TOKEN)


class OidcCookieAuthProvider(RequestAuthProvider):
    """``MLFLOW_TRACKING_AUTH=oidc-cookie``: the proxy's cookie, renewed likewise."""

    def get_name(self) -> str:
        """Return the value of ``MLFLOW_TRACKING_AUTH`` that selects this."""
        return COOKIE

    def get_auth(self) -> Guard:
        """Return what MLflow hands to ``requests``, the same for each request."""
        return guard(COOKIE)


# region: owner
class OwnerContext(RunContextProvider):
    """Tags a run with the identity that the server knows, not with the OS user.

    MLflow's pages show the tag ``mlflow.user`` as owner, and the client sets it to the
    name of the local account, ``root`` in a container. This sets it to the claim that
    the server takes the owner from, so that both agree.
    """

    def in_context(self) -> bool:
        """Return whether runs go to a server that one signs in to by this package."""
        remote = mlflow.get_tracking_uri().startswith(("http://", "https://"))
        return remote and os.environ.get("MLFLOW_TRACKING_AUTH") in (TOKEN, COOKIE)

    def tags(self) -> dict[str, str]:
        """Return the one tag."""
        return {OWNER: guard(os.environ["MLFLOW_TRACKING_AUTH"]).who()}
        # endregion: owner


# region: header
class ProxyCookieHeader(RequestHeaderProvider):
    """The proxy's cookie as a request header, which may be registered twice.

    MLflow joins the values of all providers of a header, so a second registration
    would make the cookie unreadable: here only the first registered one answers. A
    header provider sees no answers and renews nothing; ``MLFLOW_TRACKING_AUTH`` set to
    ``oidc-cookie`` does, and is used by ``connect(method="cookie")``. This one is for
    where that variable has another use.
    """

    def in_context(self) -> bool:
        """Return whether this is the one that sends the cookie to MLflow."""
        # A private name of MLflow: nothing public tells who is registered.
        from mlflow.tracking.request_header import registry

        providers = registry._request_header_provider_registry
        first = next((p for p in providers if isinstance(p, ProxyCookieHeader)), self)
        return first is self and os.environ.get("MLFLOW_TRACKING_AUTH") != TOKEN

    def request_headers(self) -> dict[str, str]:
        """Return the ``Cookie`` header."""
        return {"Cookie": guard(COOKIE).value().reveal()}
        # endregion: header


def guard(kind: str) -> Guard:
    """Return this process's credential, the same one while the settings are the same.

    Raises
    ------
    SettingMissing
        If the environment says neither where to sign in nor holds a token.
    """
    files = tuple(stamp(os.environ[name]) for name in FILES if os.environ.get(name))
    return _guard(kind, os.getpid(), tuple(map(os.environ.get, WATCHED)), files)


@functools.lru_cache(maxsize=8)
def _guard(kind: str, process: int, watched: tuple, files: tuple) -> Guard:
    """Make a credential; a forked process gets its own, with a lock of its own."""
    _warn_of_password()
    if kind == COOKIE:
        return CookieAuth(Settings.from_environment())
    if os.environ.get("MLFLOW_TRACKING_TOKEN") and not os.environ.get(
        VARIABLES["issuer"]
    ):
        return StaticAuth()
    return BearerAuth(Settings.from_environment())


def _warn_of_password() -> None:
    """Say that MLflow's own user and password are not what is sent."""
    # A private name of MLflow: it reads the variables, and ~/.mlflow/credentials.
    from mlflow.utils.credentials import read_mlflow_creds

    if any(read_mlflow_creds()):
        _log.warning(
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are set, or in "
            "~/.mlflow/credentials. MLflow would send them, and no token. This plugin "
            "sends its own credential, and not them: unset them."
        )
