"""Connects MLflow in this process to a server behind single sign-on, in one call."""

from __future__ import annotations

import os
from typing import Any

import mlflow

# Private names of MLflow. Entry points of an installed wheel need none of them.
from mlflow.tracking.context.registry import _run_context_provider_registry
from mlflow.tracking.request_auth.registry import _request_auth_provider_registry

from snippets.mlflow_auth.providers import (
    COOKIE,
    TOKEN,
    OidcAuthProvider,
    OidcCookieAuthProvider,
    OwnerContext,
    guard,
)
from snippets.mlflow_auth.settings import Settings

METHODS = {"token": TOKEN, "cookie": COOKIE}


# region: connect
def connect(workspace: str | None = None, method: str = "token") -> str:
    """Set MLflow up in this process, sign in, and return who you are.

    What MLflow reads from the environment is set there, so that child processes have
    it too: the tracking server, its certificate authority, the plugin, the workspace,
    and that redirects are errors: MLflow's client follows a redirect to a login page,
    and fails at reading it.

    Parameters
    ----------
    workspace
        The workspace to work in; left out, ``MLFLOW_WORKSPACE``.
    method
        ``"token"``: a bearer token, renewed for as long as the process lives.
        ``"cookie"``: the session cookie of the proxy, where it takes no tokens.

    Returns
    -------
    str
        The identity that owns what you log: the e-mail address, as a rule.

    Raises
    ------
    AuthError
        One class for each cause; see :mod:`snippets.mlflow_auth.errors`.
    ValueError
        If there is no such method.
    """
    if method not in METHODS:
        known = " or ".join(map(repr, METHODS))
        raise ValueError(f"method is {method!r}: use {known}")
    settings = Settings.from_environment()
    _export(settings, METHODS[method])
    register()
    mlflow.set_tracking_uri(settings.need("tracking_uri"))
    if workspace or settings.workspace:
        mlflow.set_workspace(workspace or settings.workspace)
    return guard(METHODS[method]).who()
    # endregion: connect


# region: register
def register() -> None:
    """Register the plugins with MLflow in this process, unless they are already.

    An installed wheel declares them as entry points, which MLflow reads when it is
    imported; then there is nothing to do. A downloaded notebook has no such wheel.
    """
    for registry, kinds in (
        (_request_auth_provider_registry, (OidcAuthProvider, OidcCookieAuthProvider)),
        (_run_context_provider_registry, (OwnerContext,)),
    ):
        for kind in kinds:
            if not any(_same(one, kind) for one in registry):
                registry.register(kind)
    # endregion: register


def _same(one: Any, kind: type) -> bool:
    """Compare by name: a module that was loaded again has classes of its own."""
    return type(one).__qualname__ == kind.__qualname__


def _export(settings: Settings, kind: str) -> None:
    """Put into the environment what MLflow's client reads there."""
    os.environ["MLFLOW_TRACKING_URI"] = settings.need("tracking_uri")
    os.environ["MLFLOW_TRACKING_AUTH"] = kind
    os.environ["MLFLOW_ALLOW_HTTP_REDIRECTS"] = "false"
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        # With a line break MLflow refuses it before it asks a plugin, and prints it.
        os.environ["MLFLOW_TRACKING_TOKEN"] = token.strip()
    if settings.insecure_tls:
        os.environ["MLFLOW_TRACKING_INSECURE_TLS"] = "true"
        os.environ.pop("MLFLOW_TRACKING_SERVER_CERT_PATH", None)  # MLflow takes one
    elif settings.ca_bundle is not None:
        os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(settings.ca_bundle)
