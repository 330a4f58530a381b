"""One class for each reason why a sign-in fails, so that each says what to do."""

from __future__ import annotations

from snippets.mlflow_auth.secret import place, redact


class AuthError(Exception):
    """What was wrong, where, and what to do; never a secret.

    Parameters
    ----------
    what
        What was wrong. Secrets of this process are taken out.
    where
        The URL that was asked; its query is left out.
    remedy
        What to do, if that is not what the class says.
    """

    remedy = "run `python -m snippets.mlflow_auth doctor` to see which hop fails"

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        self.what = redact(what)
        self.where = redact(place(where))
        self.remedy = redact(remedy or type(self).remedy)
        super().__init__(self.what, self.where, self.remedy)

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        return f"{self.what}{where}: {self.remedy}"


class SettingMissing(AuthError):
    """A setting is missing, or cannot be what it says."""

    remedy = "set it in the environment"


class Unreachable(AuthError):
    """Nobody answers: no name, no connection, no answer in time, or a server error."""

    remedy = "check the address, the network and the proxy settings, then try again"


class TlsNotTrusted(AuthError):
    """The certificate is not trusted, or the CA bundle that should say so is broken."""

    remedy = (
        "set MLFLOW_SSO_CA_BUNDLE to the PEM file of the authority that signed it "
        "(for MLflow's own client, MLFLOW_TRACKING_SERVER_CERT_PATH)"
    )


class PkceRequired(AuthError):
    """The provider wants a PKCE code challenge, and the request had none (RFC 7636)."""

    remedy = "send code_challenge and code_challenge_method=S256 with the request"


class CaptchaRequired(AuthError):
    """After failed logins the login API wants a captcha, password right or wrong."""

    remedy = (
        "sign in once in a browser, where the captcha is shown, or wait, and correct "
        "the password before the next try"
    )


class NotSignedIn(AuthError):
    """No login is at hand, and no password with which to make one."""

    remedy = "sign in: `python -m snippets.mlflow_auth login`"


class BadCredentials(AuthError):
    """User and password, or client and client secret, were not accepted."""

    remedy = "check MLFLOW_SSO_USERNAME and MLFLOW_SSO_PASSWORD or its _FILE"


class InvalidGrant(AuthError):
    """A code or refresh token was used before, has expired, or was not for us."""

    remedy = "log in again: `python -m snippets.mlflow_auth login`"


class StateMismatch(AuthError):
    """The answer belongs to another request: state, nonce or issuer differ."""

    remedy = "begin the login again; do not use an answer that you did not ask for"


class WrongAudience(AuthError):
    """The token was made for another client than the one that MLflow's proxy takes."""

    remedy = "set MLFLOW_SSO_CLIENT_ID to the client that the proxy accepts"


class TokenExpired(AuthError):
    """The token, or the code that a person was to enter, has expired."""

    remedy = "log in again, and check this machine's clock"


class RejectedByProxy(AuthError):
    """The proxy in front of MLflow did not take the credential."""

    remedy = "log in again; compare audience and issuer with what the proxy accepts"


class ForbiddenWorkspace(AuthError):
    """The workspace exists, and your roles do not reach into it."""

    remedy = (
        "ask its owner for a RoleBinding, then log in again: the server keeps an "
        "answer for up to five minutes per token"
    )


class UnknownWorkspace(AuthError):
    """No workspace has this name."""

    remedy = "set MLFLOW_WORKSPACE to one that `mlflow.list_workspaces()` names"


class TokenFileUnusable(AuthError):
    """The token file is open to others, damaged, or cannot be written."""

    remedy = "remove it and log in again: `python -m snippets.mlflow_auth login`"


class UnexpectedAnswer(AuthError):
    """A server answered something that the standard does not foresee."""

    remedy = "check that the address is the provider's, and ask its administrator"
