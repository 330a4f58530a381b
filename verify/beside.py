"""Starts what notebooks need beside them: one MLflow sandbox a command, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from verify import leaks
from verify.catalog import CatalogError, Entry
from verify.display import Say
from verify.leaks import Secret

NEED = "sandbox"
USER = "alice"
PACKAGES = ("mlflow", "mlflow-kubernetes-plugins")  # of Python, then of npm
NODE_PACKAGES = ("oidc-provider", "openid-client", "jose")
DOUBLES = (
    "oauth2-proxy-compatible proxy (double)",
    "Dex-like login (double)",
    "Kubernetes RBAC API (double)",
)
ASK = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


@dataclass(frozen=True)
class Beside:
    """The sandbox that runs beside notebooks, as a run needs to know it.

    Attributes
    ----------
    environment : mapping
        What a kernel is given: how one user reaches MLflow, with secrets as paths to
        files, and ``HANDBOOK_SANDBOX``, the folder by which a notebook finds the rest.
    told : mapping
        What a receipt says of it: ``versions``, and which parts are ``doubles``.
    folder : Path
        Where it lives, with what no output, receipt or log may show.
    """

    environment: Mapping[str, str]
    told: Mapping[str, Any]
    folder: Path

    def secrets(self) -> tuple[Secret, ...]:
        """Read its secrets, and the tokens that clients keep in its folder."""
        return leaks.secrets(self.folder / "secrets", self.folder / "tokens")


def needed(entry: Entry, profile: str) -> bool:
    """Say whether a notebook runs beside a sandbox under a profile."""
    return NEED in entry.profiles[profile].needs


def owns(process: psutil.Process) -> bool:
    """Say whether a process is a part of a sandbox, whoever started it."""
    from verify.sandbox.processes import MARK

    with contextlib.suppress(psutil.Error, OSError):
        return MARK in process.environ()
    return False


@contextlib.contextmanager
def started(
    root: Path, entries: Sequence[Entry], profile: str, say: Say
) -> Iterator[Beside | None]:
    """Run one sandbox while notebooks run, when one of them needs it.

    Parameters
    ----------
    root : Path
        The repository root. The sandbox lives in ``_build/jobs``, and what its parts
        logged stays there afterwards.
    entries : sequence of Entry
        What runs.
    profile : str
        The profile that it runs under.
    say : callable
        Receives one line when it is up.

    Raises
    ------
    CatalogError
        When another command runs a sandbox for this profile, or it does not start.
    """
    if not any(needed(entry, profile) for entry in entries):
        yield None
        return
    from verify import sandbox  # most runs need none of what it imports

    folder = root / "_build" / "jobs" / f"{NEED}.{profile}"
    began = time.monotonic()
    with _locked(folder, profile), contextlib.ExitStack() as stack:
        try:
            box = stack.enter_context(sandbox.running(folder))
        except sandbox.SandboxError as error:
            raise CatalogError(f"the sandbox did not start: {error}") from error
        say(f"the MLflow sandbox is up after {time.monotonic() - began:.1f} s")
        environment = {**box.environment(USER), "HANDBOOK_SANDBOX": str(folder)}
        told = {"versions": versions(), "doubles": list(DOUBLES)}
        yield Beside(environment, told, folder)


def versions() -> dict[str, str]:
    """Return the versions of the server, its plugin, the provider and its clients."""
    python = os.environ["HANDBOOK_SANDBOX_PYTHON"]
    modules = Path(os.environ["HANDBOOK_SANDBOX_NODE"], "node_modules")
    found: dict[str, str] = json.loads(_said(python, "-c", ASK, *PACKAGES))
    for name in NODE_PACKAGES:
        about = (modules / name / "package.json").read_text(encoding="utf-8")
        found[name] = json.loads(about)["version"]
    return {**found, "node": _said("node", "--version").removeprefix("v")}


def _said(*command: str) -> str:
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=clean
    )
    return done.stdout.strip()


@contextlib.contextmanager
def _locked(folder: Path, profile: str) -> Iterator[None]:
    """Keep a second command from using the same sandbox's folder."""
    import fcntl

    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CatalogError(
                f"the sandbox of profile {profile!r} is used by another command; "
                "wait for it"
            ) from error
        yield
