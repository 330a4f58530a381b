"""Tries each hop between this process and MLflow, and says at which one it ends."""

from __future__ import annotations

import os
import socket
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import requests

from snippets.mlflow_auth import answers, claims, errors, oidc
from snippets.mlflow_auth.secret import Secret, place, quoted
from snippets.mlflow_auth.settings import VARIABLES, Settings
from snippets.mlflow_auth.web import origin, said, session

SKEW = 30.0  # seconds that a clock may differ; more, and fresh tokens seem expired
SECONDS = 5.0  # to wait for a connection
WRAP = textwrap.TextWrapper(66, break_long_words=False, break_on_hyphens=False)


# region: row
@dataclass(frozen=True)
class Row:
    """What one hop answered, and what to do about it."""

    hop: str
    result: str  # "ok", "look", "FAILED" or "not tried"
    said: str = ""
    todo: str = ""
    # endregion: row


class Look(Exception):
    """Something works, and may surprise: what was found, and what to do."""


@dataclass
class Trip:
    """What earlier hops found out, for later ones."""

    settings: Settings | None = None
    web: requests.Session | None = None
    client: str = ""  # whom the proxy signs people in for
    token: Secret | None = None
    who: str = ""
    apart: float = 0.0  # seconds that the provider's clock is ahead
    rows: list[Row] = field(default_factory=list)

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """Ask MLflow with the token, its API in the workspace of the settings."""
        headers = {"Authorization": f"Bearer {self.token.reveal()}"}
        if path.startswith("/api/"):
            headers[answers.WORKSPACE] = self.settings.workspace
        url = f"{self.settings.tracking_uri}{path}"
        answer = self.web.request(method, url, headers=headers, **more)
        if answers.refuses(answer):
            raise answers.token_refused(answer, self.token)
        return answer


# region: doctor
def doctor() -> list[Row]:
    """Try each hop in order, print a table, and return its rows.

    A hop that fails ends the trip if what follows cannot work without it; those are
    shown as not tried. Nothing is changed on the server; a login is made if none is at
    hand and a password is. No secret is printed.
    """
    trip, ended = Trip(), False
    for name, hop, needed in HOPS:
        row = Row(name, "not tried") if ended else _tried(name, hop, trip)
        trip.rows.append(row)
        ended = ended or (needed and row.result == "FAILED")
    print(table(trip.rows))
    return trip.rows


def _tried(name: str, hop: Callable[[Trip], str], trip: Trip) -> Row:
    """Try one hop."""
    try:
        return Row(name, "ok", hop(trip))
    except errors.AuthError as error:
        where = f" ({error.where})" if error.where else ""
        text = f"{type(error).__name__}: {error.what}{where}"
        return Row(name, "FAILED", text, error.remedy)
    except Look as found:
        return Row(name, "look", *found.args)
    # endregion: doctor


def table(rows: list[Row]) -> str:
    """Return the rows as text: hop, result, what was said, what to do."""
    lines = []
    for row in rows:
        text = [row.said] if row.said else []
        text += [f"To do: {row.todo}"] if row.todo else []
        start = f"{row.hop:<11}{row.result:<11}"
        wrapped = [line for part in text for line in WRAP.wrap(part)]
        lines += [start + (wrapped[0] if wrapped else "")]
        lines += [" " * len(start) + line for line in wrapped[1:]]
    return "\n".join(line.rstrip() for line in lines)


def _settings(trip: Trip) -> str:
    trip.settings = Settings.from_environment()
    trip.settings.need("tracking_uri")
    trip.web = session(trip.settings)
    login = f"login {trip.settings.login} as {trip.settings.username or 'anyone'}"
    return f"{login}, tokens in {trip.settings.token_file}"


def _ends(trip: Trip) -> list[str]:
    """Return the two addresses that must be reached, MLflow's first."""
    return [trip.settings.tracking_uri, trip.settings.issuer]


def _dns(trip: Trip) -> str:
    found = []
    for url in _ends(trip):
        _, host, port = origin(url)
        try:
            first = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
        except OSError as error:
            raise errors.Unreachable(
                f"no address is known for {host} ({error.strerror})",
                remedy="check the name, and whether it exists only within the cluster",
            ) from error
        found.append(f"{host} is {first}")
    return ", ".join(dict.fromkeys(found))


def _tcp(trip: Trip) -> str:
    for url in _ends(trip):
        _, host, port = origin(url)
        try:
            socket.create_connection((host, port), SECONDS).close()
        except OSError as error:
            raise errors.Unreachable(
                f"{host}:{port} takes no connection ({error.strerror or error})",
                remedy="check the port, the firewall, and whether the server is up",
            ) from error
    return "both take connections"


def _tls(trip: Trip) -> str:
    for url in _ends(trip):
        if urlsplit(url).scheme == "https":
            trip.web.request("GET", url)  # raises TlsNotTrusted with the reason
    if trip.settings.insecure_tls:
        todo = "set MLFLOW_SSO_CA_BUNDLE, and unset MLFLOW_SSO_INSECURE_TLS"
        raise Look("nothing is verified: anyone on the way can read your tokens", todo)
    plain = urlsplit(trip.settings.tracking_uri).scheme == "http"
    where = " (MLflow itself without TLS, as within a cluster)" if plain else ""
    bundle = trip.settings.ca_bundle or "this machine"
    return f"certificates are trusted by {bundle}{where}"


def _proxy(trip: Trip) -> str:
    url = f"{trip.settings.tracking_uri}/version"
    answer = trip.web.request("GET", url)
    if answer.status_code == 200:
        raise Look(
            f"MLflow {quoted(answer.text, 20)} answers without a login",
            "ask by the address of the proxy: behind it everyone is whom they say",
        )
    if not answers.refuses(answer):
        raise errors.UnexpectedAnswer(
            f"the answer is {answer.status_code}, not a login: {said(answer)}",
            url,
            f"check the path of {VARIABLES['tracking_uri']}",
        )
    there = answer.headers.get("Location", "")
    trip.client = parse_qs(urlsplit(there).query).get("client_id", [""])[0]
    return f"leads to {place(there)} for {trip.client}" if there else "asks for a login"


def _provider(trip: Trip) -> str:
    settings = trip.settings
    found = oidc.discover(trip.web, settings)
    date = trip.web.request("GET", settings.issuer).headers.get("Date")
    trip.apart = parsedate_to_datetime(date).timestamp() - time.time() if date else 0.0
    return f"tokens come from {found.token_endpoint}"


def _token(trip: Trip) -> str:
    tokens = oidc.current(trip.settings)
    trip.token, trip.who = tokens.id_token, ""
    renewal = "can be renewed" if tokens.refresh_token else "cannot be renewed"
    if tokens.refresh_token is None and trip.settings.password is None:
        todo = f"sign in again within {tokens.seconds_left():.0f} s, or set a password"
        raise Look("the login gave no refresh token: a long run ends with it", todo)
    return f"there is one, and it {renewal}"


def _claims(trip: Trip) -> str:
    found = claims.decode(trip.token)
    trip.who, told = claims.identity(found), claims.summary(found)
    if abs(trip.apart) > SKEW:
        raise errors.TokenExpired(
            f"this clock is {trip.apart:.0f} s behind the provider's ({told})",
            remedy="set the clock, or start its time service",
        )
    if trip.client and trip.client not in claims.audiences(found):
        raise Look(
            f"{trip.who}, {told}; the proxy signs people in for {trip.client}",
            "if it refuses this audience, set MLFLOW_SSO_CLIENT_ID to that client",
        )
    return f"{trip.who}, {told}"


def _accepted(trip: Trip) -> str:
    answer = trip.ask("GET", "/version")
    if not answer.ok:
        raise errors.UnexpectedAnswer(
            f"{answer.status_code}: {said(answer)}", answer.url
        )
    return "the proxy takes the token"


def _server(trip: Trip) -> str:
    import mlflow

    there, here = quoted(trip.ask("GET", "/version").text, 20), mlflow.__version__
    if there.split(".")[:2] != here.split(".")[:2]:
        raise Look(
            f"the server is MLflow {there}, the client {here}",
            f"install mlflow=={there} if a call is not known to the server",
        )
    return f"MLflow {there}, the client is {here}"


def _workspace(trip: Trip) -> str:
    name = trip.settings.workspace
    if not name:
        raise errors.SettingMissing(f"{VARIABLES['workspace']} is not set")
    answer = trip.ask("GET", f"/api/3.0/mlflow/workspaces/{quote(name, safe='')}")
    problem = answers.forbids(answer, lambda: trip.who)
    if problem and not isinstance(problem, errors.ForbiddenWorkspace):
        raise problem
    return f'"{name}" exists'


def _read(trip: Trip) -> str:
    nobodys = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=doctor"
    return _allowed(trip, "read", trip.ask("GET", nobodys))


def _create(trip: Trip) -> str:
    nothing = trip.ask("POST", "/api/2.0/mlflow/experiments/create", json={})
    return _allowed(trip, "create", nothing)  # without a name nothing is created


def _allowed(trip: Trip, verb: str, answer: requests.Response) -> str:
    if problem := answers.forbids(answer, lambda: trip.who):
        raise problem
    return f"{trip.who} may {verb} experiments"


def _client(trip: Trip) -> str:
    """Look at what MLflow's client reads from the environment of this process."""
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.tracking.request_auth.registry import _request_auth_provider_registry
    from mlflow.utils.credentials import read_mlflow_creds

    names = {one.get_name() for one in _request_auth_provider_registry}
    chosen = os.environ.get("MLFLOW_TRACKING_AUTH", "")
    call = "call snippets.mlflow_auth.register.connect()"
    if chosen not in names or not chosen.startswith("oidc"):
        found = f'MLFLOW_TRACKING_AUTH is "{chosen}", and the plugin is'
        found += " installed" if "oidc" in names else " not installed"
        raise Look(found, f"{call}, or install the wheel and set it to oidc")
    if any(read_mlflow_creds()):
        raise Look("MLflow has a user and a password too", "unset both; see the guide")
    owner = resolve_tags().get("mlflow.user")
    if owner != trip.who:
        raise Look(f"runs would be tagged as those of {owner}, not of {trip.who}", call)
    if os.environ.get("MLFLOW_ALLOW_HTTP_REDIRECTS", "true").lower() != "false":
        raise Look(
            "redirects to the login are followed", "MLFLOW_ALLOW_HTTP_REDIRECTS=false"
        )
    return f"MLflow uses the plugin, and tags runs as those of {owner}"


HOPS: tuple[tuple[str, Callable[[Trip], str], bool], ...] = (
    ("settings", _settings, True),
    ("DNS", _dns, True),
    ("TCP", _tcp, True),
    ("TLS", _tls, True),
    ("proxy", _proxy, True),
    ("provider", _provider, True),
    ("token", _token, True),
    ("claims", _claims, False),
    ("accepted", _accepted, True),
    ("server", _server, False),
    ("workspace", _workspace, True),
    ("read", _read, False),
    ("create", _create, False),
    ("client", _client, False),
)
