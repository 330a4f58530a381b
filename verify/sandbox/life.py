"""Brings a sandbox up and down: whole, clean, and nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from verify.sandbox import certificates, parts, ports, processes, template, web
from verify.sandbox.parts import PARTS
from verify.sandbox.state import FILE, Sandbox, SandboxError, place, write

USERS = {
    "alice": {"email": "alice@example.com", "workspaces": ["team-a"]},
    "bob": {"email": "bob@example.com", "workspaces": ["team-b"]},
}
PORTS = (
    "platform",
    "mlflow",
    "mlflow_service",
    "mlflow_container",
    "kubernetes",
    "control",
)
SECRETS = (
    *(f"{user}.password" for user in USERS),
    "client.secret",
    "other-client.secret",
    "control.key",
    "service-account.token",
)
KEPT = ("logs", "lock")  # what `down` leaves in the folder
ROUTE = "/clusters/local/mlflow"
# A cold start compiles 4000 modules: up to 73 s were measured on a busy machine.
SECONDS = 120
PAUSE = 0.05
TAIL = 8  # lines of a log that an error ends with
TAKEN = ("EADDRINUSE", "address already in use")


def up(folder: Path | str | None = None, *, tied: bool = False) -> Sandbox:
    """Start a sandbox and wait until every part of it answers.

    What a killed or half-started one left in the folder is ended and removed first.

    Parameters
    ----------
    folder : Path or str, optional
        A folder of its own: empty, missing, or a sandbox's. Default ``_build/sandbox``.
    tied : bool
        End its processes with the calling one, however that ends (Linux only).

    Raises
    ------
    SandboxError
        If a part does not start; the message ends with what its log says last.
    """
    home = place(folder)
    with _locked(home):
        for attempts_left in (2, 1, 0):
            _clear(home)
            try:
                return _up(home, tied)
            except BaseException as error:
                processes.end(_all(home))
                _forget(home)
                taken = any(text in str(error) for text in TAKEN)
                if not (taken and attempts_left):
                    raise
    raise AssertionError("the last attempt returns or raises")


def down(folder: Path | str | None = None) -> bool:
    """End a sandbox and remove all but its logs; say whether there was one."""
    home = place(folder)
    if not home.exists():
        return False
    with _locked(home):
        return _clear(home)


@contextlib.contextmanager
def running(folder: Path | str | None = None) -> Iterator[Sandbox]:
    """Run a sandbox for the length of a `with`.

    Nothing of it stays behind; on Linux, even if this process is killed.
    """
    sandbox = up(folder, tied=sys.platform == "linux")
    try:
        yield sandbox
    finally:
        down(sandbox.folder)


def standing(folder: Path | str | None = None) -> Sandbox | None:
    """Return the sandbox in a folder if every part of it answers."""
    try:
        found = Sandbox.read(folder)
    except SandboxError:
        return None
    return found if all(healthy(found, part) for part in PARTS) else None


def stop(folder: Path, part: str) -> None:
    """End one part at once, as a crash would."""
    _known(part)
    processes.end(processes.living(folder).get(part, []))


def start(sandbox: Sandbox, part: str) -> Sandbox:
    """Start a part again at its old address, and wait until it answers."""
    _known(part)
    if processes.living(sandbox.folder).get(part):
        raise SandboxError(f"{part} is running already; stop it first.")
    process = _spawn(sandbox, part)
    _wait(sandbox, {part: process})
    current = Sandbox.read(sandbox.folder).with_pid(part, process.pid)
    current.write()
    return replace(current, tied=sandbox.tied)


def _known(part: str) -> None:
    if part not in PARTS:
        known = ", ".join(PARTS)
        raise SandboxError(f"The sandbox has no part {part!r}; it has {known}.")


def _up(home: Path, tied: bool) -> Sandbox:
    """Prepare the folder, start all parts at once, wait for all, then say so."""
    chosen = ports.choose(PORTS)
    sandbox = _describe(home, chosen, tied)
    _prepare(sandbox, chosen)
    started = {part: _spawn(sandbox, part) for part in PARTS}
    _wait(sandbox, started)
    pids = {part: process.pid for part, process in started.items()}
    sandbox = replace(sandbox, pids=pids)
    sandbox.write()
    return sandbox


def _describe(home: Path, chosen: dict[str, int], tied: bool) -> Sandbox:
    def at(name: str, scheme: str = "http", path: str = "") -> str:
        return f"{scheme}://127.0.0.1:{chosen[name]}{path}"

    return Sandbox(
        folder=home,
        platform=at("platform", "https"),
        issuer=at("platform", "https", "/dex"),
        mlflow=at("mlflow", "https", ROUTE),
        mlflow_service=at("mlflow_service"),
        mlflow_container=at("mlflow_container"),
        kubernetes=at("kubernetes"),
        control_port=at("control"),
        ca=home / "ca.pem",
        client_id="mlflow-proxy",
        other_client_id="other-app",
        device_client_id="mlflow-device",
        redirect_uri=at("platform", "https", "/oauth2/callback"),
        users=USERS,
        workspaces=("team-a", "team-b"),
        logs=home / "logs",
        pids={},
        tied=tied,
    )


def _prepare(sandbox: Sandbox, chosen: dict[str, int]) -> None:
    """Write everything that the parts read, and begin new logs."""
    home = sandbox.folder
    shutil.rmtree(sandbox.logs, ignore_errors=True)
    for name in ("secrets", "tls", "logs", "home", "artifacts", "tokens"):
        (home / name).mkdir(mode=0o700, exist_ok=True)
    for name in SECRETS:
        write(home / "secrets" / name, secrets.token_urlsafe(24))
    write(home / "secrets" / "cookie.secret", secrets.token_urlsafe(32))
    certificates.make(home / "tls", sandbox.ca)
    write(home / "config.json", parts.node_config(home, chosen, sandbox.users))
    write(home / "kubeconfig", parts.kubeconfig(home, sandbox.kubernetes))
    parts.copy_node(home)
    template.put(home / "mlflow.db")


def _spawn(sandbox: Sandbox, part: str) -> subprocess.Popen[bytes]:
    home, settings = sandbox.folder, {}
    if part == "mlflow":
        port = int(sandbox.mlflow_container.rpartition(":")[2])
        command, settings = parts.mlflow(port), parts.mlflow_settings(home)
    else:
        command = parts.node(home, part)
    return processes.spawn(home, part, command, settings, tied=sandbox.tied)


def _wait(sandbox: Sandbox, started: dict[str, subprocess.Popen[bytes]]) -> None:
    """Return when every part answers 200; raise when one ended or took too long."""
    deadline = time.monotonic() + SECONDS
    waiting = dict(started)
    while waiting:
        for part, process in list(waiting.items()):
            if process.poll() is not None:  # first: another's part may answer there
                raise SandboxError(_ended(sandbox, part, process.returncode))
            if healthy(sandbox, part):
                del waiting[part]
        if waiting and time.monotonic() > deadline:
            part = next(iter(waiting))
            said = _tail(sandbox, part)
            raise SandboxError(f"{part} did not answer within {SECONDS} s; {said}")
        time.sleep(PAUSE)
    if "mlflow" in started:
        # It finds out what it offers at the first question, in up to 2.7 s, where
        # MLflow's client waits for 3 s at most.
        question = f"{sandbox.mlflow_container}/api/3.0/mlflow/server-info"
        web.ask(question, seconds=SECONDS)


def healthy(sandbox: Sandbox, part: str, seconds: float = 10) -> bool:
    """Say whether a part answers at the address that says so."""
    address, path = PARTS[part].healthy
    url = f"{getattr(sandbox, address)}{path}"
    try:
        return web.ask(url, ca=sandbox.ca, seconds=seconds).status == 200
    except (OSError, http.client.HTTPException):
        return False


def _ended(sandbox: Sandbox, part: str, code: int) -> str:
    return f"{part} ended with exit code {code} at its start; {_tail(sandbox, part)}"


def _tail(sandbox: Sandbox, part: str) -> str:
    """Return the lines that a part's log ends with, or that it says nothing."""
    log = sandbox.logs / f"{part}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = "\n".join(f"  {line}" for line in lines[-TAIL:])
    return f"{log} ends with:\n{said}" if said else f"{log} is empty."


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold a sandbox's folder for oneself; refuse one that holds something else."""
    lock = home / "lock"
    if home.exists() and not lock.exists() and any(home.iterdir()):
        raise SandboxError(
            f"{home} is not a sandbox's folder and not empty; name another: --folder"
        )
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SandboxError(
                f"Another command starts or ends the sandbox in {home}: wait for it."
            ) from error
        yield


def _all(home: Path) -> list[Any]:
    return [one for several in processes.living(home).values() for one in several]


def _clear(home: Path) -> bool:
    """End what runs in a folder; say whether anything was up."""
    found = _all(home)
    was_up = bool(found) or (home / FILE).exists()
    processes.end(found)
    _forget(home)
    return was_up


def _forget(home: Path) -> None:
    """Remove the state file first, then the secrets and all else but the logs."""
    (home / FILE).unlink(missing_ok=True)
    for path in home.iterdir():
        if path.name in KEPT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
