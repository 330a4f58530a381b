"""Checks an MLflow behind single sign-on, yours: ``python -m verify.smoke.mlflow``.

It signs in as the environment says, logs a small run by token and by cookie, tries what
must be refused, deletes all that it made, and prints a table. Exit codes: 0 every leg
passed; 1 one failed, or something could not be deleted; 77 none failed and a leg could
not run, with the reason; 128 and the signal's number when stopped by one.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# Read when MLflow is imported: a server that is down is told in seconds, not minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
import requests
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from snippets.mlflow_auth import errors
from snippets.mlflow_auth.answers import WORKSPACE, cause
from snippets.mlflow_auth.providers import COOKIE, OWNER, TOKEN, guard
from snippets.mlflow_auth.register import connect
from snippets.mlflow_auth.secret import redact
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.web import VerifiedSession, session

FOREIGN = "MLFLOW_SMOKE_FOREIGN_WORKSPACE"
PASSED, FAILED, CANNOT = "passed", "FAILED", "cannot run"
CANNOT_RUN = 77  # Automake's exit code for a test that was skipped
PREFIX = "smoke-test-"
FORGER = "mallory"
FORGED = dict.fromkeys(
    ("X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Auth-Request-Email"),
    FORGER,
)  # what a proxy must drop or overwrite, see its documentation on request headers
LOCKING = (errors.BadCredentials, errors.CaptchaRequired)
WIDTH = 62


class Failed(Exception):
    """A leg found what may not be; the message says what and what to do."""


class Cannot(Exception):
    """A leg cannot run here; the message says why."""


class Stopped(BaseException):
    """A signal asked to end; what was made is deleted on the way out."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@dataclass
class Smoke:
    """One smoke test: whose login, what it made so far, and what it found.

    Attributes
    ----------
    settings : Settings
        As the environment says.
    made : list of (str, str)
        Workspace and name of each experiment that was asked for.
    rows : list of (str, str, str)
        Leg, result, and what was seen.
    identities : dict
        Method to whom the server takes us for, of the methods that signed in.
    locked : str
        Why no further login is tried.
    """

    settings: Settings
    made: list[tuple[str, str]] = field(default_factory=list)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    identities: dict[str, str] = field(default_factory=dict)
    locked: str = ""

    def name(self, workspace: str) -> str:
        """Return a new experiment's name; it is on the list before it is made."""
        name = f"{PREFIX}{secrets.token_hex(4)}"
        self.made.append((workspace, name))
        return name


def main(words: Sequence[str] | None = None) -> int:
    """Run every leg, delete what was made, print the table; return the exit code."""
    _parser().parse_args(words)
    try:
        settings = Settings.from_environment()
        settings.need("tracking_uri")
    except errors.SettingMissing as error:
        print(f"cannot run: {error}", file=sys.stderr)
        return CANNOT_RUN
    with tempfile.TemporaryDirectory(prefix="mlflow-smoke-") as folder:
        smoke = Smoke(_of_its_own(settings, Path(folder)))
        stopped = None
        try:
            with _signals_raise():
                for name, leg in LEGS.items():
                    smoke.rows.append((name, *_tried(smoke, leg)))
        except Stopped as signalled:
            stopped = signalled
        finally:
            left = _cleaned(smoke)
    print(_table(smoke.rows))
    for line in left:
        print(line, file=sys.stderr)
    if stopped is not None:
        print(f"stopped by {stopped}", file=sys.stderr)
        return 128 + stopped.number
    return 1 if left else exit_code(smoke.rows)


def _parser() -> argparse.ArgumentParser:
    """Return the parser: what there is to set, the environment says."""
    plain = argparse.RawDescriptionHelpFormatter
    told = f"{__doc__}\n{FOREIGN}: a workspace that exists and that you may not see"
    name = "python -m verify.smoke.mlflow"
    return argparse.ArgumentParser(prog=name, description=told, formatter_class=plain)


def exit_code(rows: list[tuple[str, str, str]]) -> int:
    """Say as an exit code what became of the legs: 0, 1 or 77."""
    results = {result for _, result, _ in rows}
    return 1 if FAILED in results else CANNOT_RUN if CANNOT in results else 0


def _of_its_own(settings: Settings, folder: Path) -> Settings:
    """Sign in afresh where a password is at hand; leave the user's token file alone.

    A login that needs a person is taken from their token file.
    """
    if settings.login == "device" or settings.password is None:
        return settings
    os.environ["MLFLOW_SSO_TOKEN_FILE"] = str(folder / "token.json")
    return replace(settings, token_file=folder / "token.json")


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an exception, and ignore them while cleaning up."""

    def stop(number: int, _: Any) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(number)

    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)


def _tried(smoke: Smoke, leg: Callable[[Smoke], str]) -> tuple[str, str]:
    """Run one leg; return its result and what it showed."""
    try:
        return PASSED, redact(leg(smoke))
    except Cannot as reason:
        return CANNOT, str(reason)
    except Failed as found:
        return FAILED, redact(str(found))
    except (errors.AuthError, MlflowException, requests.RequestException) as error:
        known = cause(error) or error
        if isinstance(known, LOCKING):
            smoke.locked = f"{type(known).__name__} before: one more may lock you out"
        return FAILED, redact(f"{type(known).__name__}: {known}")


# region: legs
def by_token(smoke: Smoke) -> str:
    """Log a run with a bearer token."""
    return _logged(smoke, "token")


def by_cookie(smoke: Smoke) -> str:
    """Log a run with the session cookie of the proxy's own login."""
    if smoke.settings.login == "device" or smoke.settings.password is None:
        raise Cannot("a cookie needs MLFLOW_SSO_LOGIN=platform or form and a password")
    return _logged(smoke, "cookie")


def isolation(smoke: Smoke) -> str:
    """Look for a workspace that this user may not see, read in it, write to it."""
    foreign = os.environ.get(FOREIGN, "")
    if not foreign:
        raise Cannot(f"{FOREIGN} does not name a workspace that you may not see")
    _connected(smoke)
    if foreign in [workspace.name for workspace in mlflow.list_workspaces()]:
        raise Failed(f"{foreign} is listed for this user: check its RoleBindings")
    for what, call in (
        ("read it", lambda: mlflow.get_experiment_by_name(PREFIX)),
        ("write to it", lambda: mlflow.create_experiment(smoke.name(foreign))),
    ):
        with mlflow_workspace(foreign):
            problem = _refusal(call)
        if problem is None:
            raise Failed(f"this user may {what}: check the RoleBindings in {foreign}")
        if not isinstance(problem, errors.ForbiddenWorkspace):
            raise Failed(f"{foreign} did not answer that it is forbidden: {problem}")
    smoke.made = [one for one in smoke.made if one[0] != foreign]
    return f"{foreign} is not listed, and may be neither read nor written"


def forged_owner(smoke: Smoke) -> str:
    """Claim to be someone else in the request, and in the headers of a proxy."""
    method = _connected(smoke)
    identity = smoke.identities[method]
    workspace = smoke.settings.workspace
    experiment = mlflow.create_experiment(smoke.name(workspace))
    answer = _raw(
        smoke,
        "mlflow/runs/create",
        {"experiment_id": experiment, "user_id": FORGER},
        {**FORGED, **_credential(method)},
    )
    if "PERMISSION_DENIED" in answer.text:
        raise Failed(
            f"MLflow asked what {FORGER} may do, and not what {identity} may: it "
            "believes a header that the proxy must drop"
        )
    if answer.status_code in (400, 401, 403):
        return f"the server refuses it with {answer.status_code}"
    if answer.status_code != 200:
        raise Failed(f"{answer.status_code} is neither a run nor a refusal")
    run = mlflow.get_run(answer.json()["run"]["info"]["run_id"])
    if run.info.user_id != identity:
        raise Failed(
            f"the server stored user_id {run.info.user_id!r} of {identity}'s run: "
            "anyone can log in another's name; check the authentication app"
        )
    return f"user_id and headers said {FORGER}, the run is {identity}'s"


def forged_tag(smoke: Smoke) -> str:
    """Set the tag that MLflow's pages show as owner; say what the server does."""
    method = _connected(smoke)
    experiment = mlflow.create_experiment(smoke.name(smoke.settings.workspace))
    run = mlflow.MlflowClient().create_run(experiment, tags={OWNER: FORGER})
    kept = mlflow.get_run(run.info.run_id)
    if kept.info.user_id != smoke.identities[method]:
        raise Failed(f"the tag changed user_id to {kept.info.user_id!r}")
    shown = kept.data.tags.get(OWNER)
    if shown == FORGER:
        return "user_id is right; the tag says what a client likes: trust user_id"
    return f"user_id is right, and the server keeps the tag at {shown}"


def stranger(smoke: Smoke) -> str:
    """Ask without any credential, and with a token that nobody signed."""
    unsigned = f"{_part({'alg': 'none'})}.{_part({'email': FORGER})}."
    for who, headers in (
        ("a request without credential", FORGED),
        ("an unsigned token", {"Authorization": f"Bearer {unsigned}"}),
    ):
        answer = _raw(smoke, "mlflow/experiments/search", {"max_results": 1}, headers)
        if answer.status_code == 200:
            raise Failed(f"MLflow answered {who}: it is open to everybody")
    return f"neither a request without credential nor {who} is answered"


LEGS: dict[str, Callable[[Smoke], str]] = {
    "token": by_token,
    "cookie": by_cookie,
    "isolation": isolation,
    "forged owner": forged_owner,
    "forged tag": forged_tag,
    "stranger": stranger,
}
# endregion


def owned(run: Run, identity: str) -> None:
    """Hold a run's two owners against who signed in.

    Raises
    ------
    Failed
        Naming the one that differs.
    """
    tag = run.data.tags.get(OWNER)
    for name, value in (("user_id", run.info.user_id), (f"tag {OWNER}", tag)):
        if value != identity:
            raise Failed(
                f"{name} of the run is {value!r}, and you are {identity}: check the "
                "claim that the server takes names from, and the context provider"
            )


def _logged(smoke: Smoke, method: str) -> str:
    """Log a run, read it back, and hold its owners against who signed in."""
    if smoke.locked:
        raise Cannot(smoke.locked)
    identity = connect(method=method)
    experiment = mlflow.create_experiment(smoke.name(smoke.settings.workspace))
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_param("leg", method)
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_text("smoke", "note.txt")
    kept = mlflow.get_run(run.info.run_id)
    there = mlflow.artifacts.load_text(f"{kept.info.artifact_uri}/note.txt")
    seen = (kept.info.status, kept.data.params, kept.data.metrics, there)
    if seen != ("FINISHED", {"leg": method}, {"loss": 0.5}, "smoke"):
        raise Failed(f"what was read back differs from what was logged: {seen}")
    owned(kept, identity)
    smoke.identities[method] = identity
    return f"a run with its artifact, owned by {identity} in user_id and tag"


def _connected(smoke: Smoke) -> str:
    """Return a method that works, and have MLflow use it."""
    if not smoke.identities:
        raise Cannot("neither token nor cookie works")
    method = next(iter(smoke.identities))
    connect(method=method)
    return method


@contextlib.contextmanager
def mlflow_workspace(name: str) -> Iterator[None]:
    """Use another workspace for a moment."""
    before = os.environ.get("MLFLOW_WORKSPACE")
    mlflow.set_workspace(name)
    try:
        yield
    finally:
        mlflow.set_workspace(before or None)


def _refusal(call: Callable[[], Any]) -> Exception | None:
    """Return why a call was refused, or None."""
    try:
        call()
    except (errors.AuthError, MlflowException) as error:
        return cause(error) or error
    return None


def _credential(method: str) -> dict[str, str]:
    one = guard({"token": TOKEN, "cookie": COOKIE}[method])
    return {one.header: one.value().reveal()}


def _raw(
    smoke: Smoke, path: str, body: dict[str, Any], headers: dict[str, str]
) -> requests.Response:
    """Ask MLflow's REST API without its client."""
    web: VerifiedSession = session(smoke.settings)
    url = f"{smoke.settings.tracking_uri}/api/2.0/{path}"
    sent = {"Accept": "application/json", **headers}
    if smoke.settings.workspace:
        sent[WORKSPACE] = smoke.settings.workspace
    return web.request("POST", url, json=body, headers=sent)


def _part(value: dict[str, str]) -> str:
    """Return one part of a JSON Web Token (RFC 7515, 2)."""
    text = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    return text.rstrip("=")


def _cleaned(smoke: Smoke) -> list[str]:
    """Delete every experiment that was asked for; say which are still there."""
    left, foreign = [], os.environ.get(FOREIGN)
    for workspace, name in smoke.made:
        try:
            if workspace:
                mlflow.set_workspace(workspace)
            found = mlflow.get_experiment_by_name(name)
            if found is not None and found.lifecycle_stage == "active":
                mlflow.delete_experiment(found.experiment_id)
        except (errors.AuthError, MlflowException, requests.RequestException) as error:
            known = cause(error) or error
            if isinstance(known, errors.ForbiddenWorkspace) and workspace == foreign:
                continue  # where it could not be made either
            where = f"the experiment {name} in {workspace}"
            left.append(f"could not delete {where}: {redact(str(known))}")
    return left


def _table(rows: list[tuple[str, str, str]]) -> str:
    """Set legs and results in columns, what was seen wrapped beside them."""
    lines = [f"{'leg':14}{'result':12}what it showed"]
    for leg, result, told in rows:
        first, *more = textwrap.wrap(told, WIDTH) or [""]
        lines.append(f"{leg:14}{result:12}{first}".rstrip())
        lines += [f"{'':26}{line}" for line in more]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
