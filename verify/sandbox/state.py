"""Says where a running sandbox is, how a user reaches it, and turns its dials."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verify.sandbox import web

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "_build" / "sandbox"
FILE = "sandbox.json"
KEY = "X-Sandbox-Key"
SECONDS = 10


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the message says what to do."""


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, as its state file describes it.

    Attributes
    ----------
    folder, logs, ca : Path
        Its folder, that of its logs, and the certificate that its clients must trust.
    platform, issuer : str
        Addresses of the sign-in platform and of its OpenID provider.
    mlflow, mlflow_service, mlflow_container : str
        Addresses of MLflow: through the proxy from outside, through it from within the
        cluster, and the server itself behind it.
    kubernetes, control_port : str
        Addresses of the Kubernetes RBAC API (double) and of the dials.
    client_id, other_client_id, device_client_id : str
        The proxy's client, one with the wrong audience, and the device flow's.
    redirect_uri : str
        The registered one.
    users : dict
        Name -> ``email`` and ``workspaces``.
    workspaces : tuple of str
        Every workspace.
    pids : dict
        Part -> process id when it was started last.
    tied : bool
        Whether parts that this object starts end with the calling process.
    """

    folder: Path
    platform: str
    issuer: str
    mlflow: str
    mlflow_service: str
    mlflow_container: str
    kubernetes: str
    control_port: str
    ca: Path
    client_id: str
    other_client_id: str
    device_client_id: str
    redirect_uri: str
    users: dict[str, dict[str, Any]]
    workspaces: tuple[str, ...]
    logs: Path
    pids: dict[str, int]
    tied: bool = False

    @classmethod
    def read(cls, folder: Path | str | None = None) -> Sandbox:
        """Read the state file of the sandbox in a folder.

        Parameters
        ----------
        folder : Path or str, optional
            Without it: what ``HANDBOOK_SANDBOX`` names, or else ``_build/sandbox``.

        Raises
        ------
        SandboxError
            If no sandbox is up there, or one of another version.
        """
        home = place(folder)
        start = "Start one: python3 noxfile.py -s sandbox -- up"
        try:
            text = (home / FILE).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise SandboxError(f"No sandbox is up in {home}. {start}") from error
        try:
            found = json.loads(text)
            return cls(
                control_port=found.pop("control"),
                workspaces=tuple(found.pop("workspaces")),
                **{name: Path(found.pop(name)) for name in ("folder", "ca", "logs")},
                **found,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SandboxError(
                f"{home / FILE} is not of this version of the sandbox. {start}"
            ) from error

    def write(self) -> None:
        """Write the state file beside, then move it into place."""
        names = [name for name in self.__dataclass_fields__ if name != "tied"]
        state = {name: getattr(self, name) for name in names}
        state["control"] = state.pop("control_port")
        text = json.dumps(state, indent=2, default=str) + "\n"
        write(self.folder / FILE, text)

    def secret(self, name: str) -> str:
        """Return a secret of this sandbox, such as ``alice.password``."""
        return self.secret_file(name).read_text(encoding="utf-8").strip()

    def secret_file(self, name: str) -> Path:
        """Return the file of a secret, for variables that end in ``_FILE``."""
        return self.folder / "secrets" / name

    def environment(self, user: str) -> dict[str, str]:
        """Return the variables by which a client reaches MLflow as one user.

        None holds a secret: those that end in ``_FILE`` name a file with one.
        """
        if user not in self.users:
            known = ", ".join(self.users)
            raise SandboxError(f"The sandbox has no user {user!r}; it has {known}.")
        secrets = {
            "MLFLOW_SSO_CLIENT_SECRET_FILE": self.secret_file("client.secret"),
            "MLFLOW_SSO_PASSWORD_FILE": self.secret_file(f"{user}.password"),
        }
        return {
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.ca),
            "MLFLOW_TRACKING_AUTH": "oidc",
            "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
            "MLFLOW_WORKSPACE": self.users[user]["workspaces"][0],
            "MLFLOW_SSO_ISSUER": self.issuer,
            "MLFLOW_SSO_CLIENT_ID": self.client_id,
            "MLFLOW_SSO_USERNAME": user,
            "MLFLOW_SSO_LOGIN": "platform",
            "MLFLOW_SSO_REDIRECT_URI": self.redirect_uri,
            "MLFLOW_SSO_CA_BUNDLE": str(self.ca),
            "MLFLOW_SSO_TOKEN_FILE": str(self.folder / "tokens" / f"{user}.json"),
            **{name: str(path) for name, path in secrets.items()},
        }

    def control(self, dial: str, method: str | None = None, **body: Any) -> Any:
        """Turn a dial, such as ``control("token-seconds", seconds=6)``.

        Parameters
        ----------
        dial : str
            ``token-seconds``, ``reset-failures``, ``rbac``, ``approve-device``, or
            ``requests``, which is read.
        method : str, optional
            ``DELETE`` restores the rules of ``rbac``.
        **body
            What the dial takes.

        Raises
        ------
        SandboxError
            If the platform refuses, with its reason.
        """
        method = method or ("GET" if dial == "requests" else "POST")
        headers = {KEY: self.secret("control.key"), "Content-Type": "application/json"}
        sent = json.dumps(body) if body else None
        address = f"{self.control_port}/{dial}"
        answer = web.ask(address, method, headers, sent, seconds=SECONDS)
        if answer.status >= 400:
            raise SandboxError(f"{method} {dial} was refused: {answer.text}")
        return json.loads(answer.text) if answer.text else None

    def stop(self, part: str) -> None:
        """End ``platform``, ``proxy`` or ``mlflow`` at once, as a crash would."""
        from verify.sandbox import life

        life.stop(self.folder, part)

    def start(self, part: str) -> None:
        """Start a part again, at its old address, and wait until it answers."""
        from verify.sandbox import life

        life.start(self, part)

    def with_pid(self, part: str, pid: int) -> Sandbox:
        """Return this sandbox with the process of a part that was started again."""
        return replace(self, pids={**self.pids, part: pid})


def place(folder: Path | str | None = None) -> Path:
    """Return a sandbox's folder: the one given, the environment's, or the default."""
    return Path(folder or os.environ.get("HANDBOOK_SANDBOX") or FOLDER).resolve()


def write(path: Path, text: str | bytes, mode: int = 0o600) -> None:
    """Write beside, for nobody else's eyes, then move into place."""
    beside = path.with_name(f"{path.name}.part")
    beside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    data = text if isinstance(text, bytes) else text.encode()
    with open(os.open(beside, flags, mode), "wb") as file:
        file.write(data)
    os.replace(beside, path)
