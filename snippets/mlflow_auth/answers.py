"""Tells what an answer on the way to MLflow means: who refuses, what, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.utils import rewind_body

from snippets.mlflow_auth import claims, errors
from snippets.mlflow_auth.secret import Secret

WORKSPACE = "X-MLFLOW-WORKSPACE"  # the header that MLflow's client sends
CACHED = 300  # seconds that the Kubernetes plugin keeps an answer, its default


# region: refuses
def refuses(answer: requests.Response) -> bool:
    """Return whether an answer asks to sign in instead of doing what was asked.

    That is 401 (RFC 6750, 3), a redirect to a login, or the 403 with a page by which
    oauth2-proxy shows its sign-in button. MLflow itself says 403 in JSON.
    """
    page = "text/html" in answer.headers.get("Content-Type", "")
    if answer.is_redirect:
        return _to_login(answer)
    return answer.status_code == 401 or (answer.status_code == 403 and page)
    # endregion: refuses


def _to_login(answer: requests.Response) -> bool:
    """Return whether a redirect leads to an authorization request, or to its proxy."""
    there = urlsplit(answer.headers["Location"])
    return "response_type" in parse_qs(there.query) or "/oauth2/" in there.path


# region: repeated
def repeated(
    answer: requests.Response, header: str, value: Secret, sent: Mapping[str, Any]
) -> requests.Response:
    """Send the request of an answer again, with another value in one header.

    Raises
    ------
    RejectedByProxy
        If its body was a stream that cannot be read twice.
    """
    answer.close()
    again = answer.request.copy()
    if not isinstance(again.body, bytes | str | None):
        try:
            rewind_body(again)
        except requests.exceptions.UnrewindableBodyError:
            raise errors.RejectedByProxy(
                "the credential was refused in the middle of a stream, and is renewed",
                answer.url,
                "send it again",
            ) from None
    again.headers[header] = value.reveal()
    fresh = answer.connection.send(again, **sent)
    fresh.history.append(answer)
    fresh.request = again
    return fresh
    # endregion: repeated


# region: token_refused
def token_refused(answer: requests.Response, token: Secret) -> errors.AuthError:
    """Return why a proxy refused a token, by what both say of themselves."""
    try:
        found = claims.decode(token)
    except errors.UnexpectedAnswer as error:
        what = f"the proxy refused the token: {error.what}"
        return errors.RejectedByProxy(what, answer.url, error.remedy)
    told = claims.summary(found)
    if re.search(r" -\d+ s left", told):
        return errors.TokenExpired(f"the token has expired ({told})", answer.url)
    asked = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
    wanted = asked.get("client_id", [""])[0]
    if wanted and wanted not in claims.audiences(found):
        return errors.WrongAudience(
            f"the proxy signs people in for {wanted}, and the token is not ({told})",
            answer.url,
        )
    return errors.RejectedByProxy(
        f"the proxy refused a token that has not expired ({told})", answer.url
    )
    # endregion: token_refused


# region: forbids
def forbids(
    answer: requests.Response, who: Callable[[], str]
) -> errors.AuthError | None:
    """Return the error for a refusal that MLflow's client would not name.

    The Kubernetes plugin answers in another form than MLflow, which makes of each
    refusal an ``INTERNAL_ERROR``.

    Parameters
    ----------
    answer
        The answer to a request of MLflow's client.
    who
        Gives the identity that the server saw, if it is needed.
    """
    if answer.status_code not in (400, 403, 404):
        return None
    said = _json(answer)
    workspace = answer.request.headers.get(WORKSPACE, "")
    code, text = _code(said)
    if code == "PERMISSION_DENIED":
        call = f"{answer.request.method} {urlsplit(answer.url).path}"
        return errors.ForbiddenWorkspace(
            f'{who()} may not do this in the workspace "{workspace}"',
            call,
            f"ask the owner of {workspace} for a RoleBinding. MLflow keeps its answer "
            f"for {CACHED} s per token: wait, or get a new token by "
            "`python -m snippets.mlflow_auth login`",
        )
    if workspace and text.startswith(f"Workspace '{workspace}' not found"):
        return errors.UnknownWorkspace(f'there is no workspace "{workspace}"')
    if not workspace and text.startswith("Workspace context is required"):
        return errors.SettingMissing(
            "MLflow wants a workspace, and the request names none",
            remedy="set MLFLOW_WORKSPACE, or call connect(workspace=...)",
        )
    return None
    # endregion: forbids


# region: cause
def cause(error: BaseException) -> errors.AuthError | None:
    """Return the error of this package within one of MLflow's, if there is one.

    MLflow's client turns whatever a request raises into an ``MlflowException`` with
    its text; the class that says what happened is in its context.
    """
    while error is not None and not isinstance(error, errors.AuthError):
        error = error.__cause__ or error.__context__
    return error
    # endregion: cause


def _json(answer: requests.Response) -> Mapping[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _code(said: Mapping[str, Any]) -> tuple[str, str]:
    """Return code and text of an error in the plugin's form, or in MLflow's."""
    inner = said.get("error")
    if isinstance(inner, dict):
        return str(inner.get("code")), str(inner.get("message"))
    return str(said.get("error_code")), str(said.get("message"))
