"""What a sign-in needs to know, read from the environment once and checked there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from snippets.mlflow_auth.errors import SettingMissing
from snippets.mlflow_auth.secret import Secret

__all__ = ["Secret", "Settings"]

TOKEN_FILE = "~/.config/mlflow-sso/token.json"  # nosec B105 # a place, no token
LOGINS = {
    "platform": "the platform's login API",
    "form": "a login page with user and password",
    "device": "a code that a person enters in a browser",
}
OURS = (
    "issuer",
    "client_id",
    "client_secret",
    "username",
    "password",
    "login",
    "redirect_uri",
    "ca_bundle",
    "token_file",
    "insecure_tls",
)
MLFLOWS = {"tracking_uri": "MLFLOW_TRACKING_URI", "workspace": "MLFLOW_WORKSPACE"}
VARIABLES = {**{name: f"MLFLOW_SSO_{name.upper()}" for name in OURS}, **MLFLOWS}


@dataclass(frozen=True)
class Settings:
    """Where to sign in, as whom, and what to trust; :data:`VARIABLES` names each."""

    issuer: str  # https, exactly as the provider spells it
    client_id: str  # the client that MLflow's proxy takes tokens of
    client_secret: Secret | None = None  # none for a public client
    username: str = ""
    password: Secret | None = None
    login: str = "device"  # one of LOGINS
    redirect_uri: str = ""  # registered for the client; it is never called
    ca_bundle: Path | None = None  # PEM file; what this machine trusts, without
    token_file: Path = Path(TOKEN_FILE)
    insecure_tls: bool = False  # any certificate is taken
    tracking_uri: str = ""
    workspace: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from environment variables.

        ``_FILE`` after a secret's variable names the file that holds it, as a mounted
        Secret is one. Line breaks at a secret's end are dropped.

        Raises
        ------
        SettingMissing
            If issuer or client is missing, or a value cannot be what it says.
        """
        # Not as a default: datasets.map with several processes exchanges os.environ.
        environment = os.environ if environment is None else environment
        text = {n: environment.get(v, "").strip() for n, v in VARIABLES.items()}
        bundle = text["ca_bundle"]
        bundle = bundle or environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH", "")
        found = cls(
            issuer=_https("issuer", text["issuer"]),
            client_id=text["client_id"],
            client_secret=_secret("MLFLOW_SSO_CLIENT_SECRET", environment),
            username=text["username"],
            password=_secret("MLFLOW_SSO_PASSWORD", environment, spaces=True),
            login=_one_of("login", text["login"] or "device", tuple(LOGINS)),
            redirect_uri=text["redirect_uri"],
            ca_bundle=Path(bundle).expanduser() if bundle else None,
            token_file=Path(text["token_file"] or TOKEN_FILE).expanduser(),
            insecure_tls=_one_of(
                "insecure_tls", text["insecure_tls"].lower(), ("", "false", "true")
            )
            == "true",
            tracking_uri=text["tracking_uri"].rstrip("/"),
            workspace=text["workspace"],
        )
        found.need("client_id")
        return found

    def need(self, name: str) -> Any:
        """Return a setting, or raise :class:`SettingMissing` with its variable."""
        value = getattr(self, name)
        if not value:
            secret = name in ("password", "client_secret")
            either = f" or {VARIABLES[name]}_FILE" if secret else ""
            raise SettingMissing(f"{VARIABLES[name]}{either} is not set")
        return value


def _https(name: str, url: str) -> str:
    """Return an address if it can carry a secret."""
    if not url:
        raise SettingMissing(f"{VARIABLES[name]} is not set")
    if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
        raise SettingMissing(
            f"{VARIABLES[name]} is no https address", url, "begin it with https://"
        )
    return url


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    """Return a value if it is among the known ones."""
    if value not in known:
        choices = ", ".join(filter(None, known))
        raise SettingMissing(
            f'{VARIABLES[name]} is "{value}"', remedy=f"set it to one of: {choices}"
        )
    return value


def _secret(
    variable: str, environment: Mapping[str, str], spaces: bool = False
) -> Secret | None:
    """Read a secret from a variable or from the file that ``variable_FILE`` names."""
    value, file = environment.get(variable, ""), environment.get(f"{variable}_FILE", "")
    if value and file:
        raise SettingMissing(
            f"{variable} and {variable}_FILE are both set", remedy="unset one of them"
        )
    source = f"{variable}_FILE {file}" if file else variable
    if file:
        try:
            value = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            raise SettingMissing(
                f"{source} cannot be read ({reason})", remedy="name a readable file"
            ) from None
    value = value.rstrip("\r\n")
    if file and not value:
        raise SettingMissing(f"{source} is empty", remedy="write the secret into it")
    odd = [c for c in value if c.isspace() and not (spaces and c == " ")]
    if odd or value != value.strip():
        raise SettingMissing(
            f"{source} has white space within it or around it",
            remedy="write the secret alone, as it was issued",
        )
    return Secret(value) if value else None
