"""One sandbox for all tests of a worker, its dials set back after each of them."""

from __future__ import annotations

import os

import pytest

from verify import machine
from verify.sandbox import Sandbox, running
from verify.sandbox.parts import PARTS
from verify.sandbox.processes import living

TOKEN_SECONDS = 600


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory) -> Sandbox:
    """A running sandbox, which ends with this process, however that ends."""
    needs_sandbox()
    with running(tmp_path_factory.mktemp("sandbox")) as found:
        yield found


@pytest.fixture(autouse=True)
def _as_it_was(request):
    """Undo what a test did at its end: parts that it ended, and dials that it turned.

    Not before the next one: what a module's fixtures take from the sandbox, such as a
    token, they take before that.
    """
    wants = "sandbox" in request.fixturenames
    sandbox = request.getfixturevalue("sandbox") if wants else None
    yield
    if sandbox:
        for part in PARTS.keys() - living(sandbox.folder).keys():
            sandbox.start(part)
        sandbox.control("token-seconds", seconds=TOKEN_SECONDS)
        sandbox.control("reset-failures")
        sandbox.control("rbac", "DELETE")


@pytest.fixture
def alice(sandbox, monkeypatch, tmp_path):
    """Be Alice in this process, with a token file of her own; return her settings."""
    import mlflow

    from snippets.mlflow_auth.register import connect
    from snippets.mlflow_auth.settings import Settings

    for name in [n for n in os.environ if n.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    wanted = sandbox.environment("alice")
    wanted["MLFLOW_SSO_TOKEN_FILE"] = str(tmp_path / "token.json")
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    connect()
    yield Settings.from_environment()
    mlflow.set_workspace(None)
    mlflow.set_tracking_uri(None)


@pytest.fixture
def fresh_folder(tmp_path):
    """A folder for a sandbox of the test's own; what is left there is ended."""
    needs_sandbox()
    from verify.sandbox import down

    yield tmp_path / "sandbox"
    down(tmp_path / "sandbox")


def needs_sandbox() -> None:
    """Skip where the machine has no Node.js, or nox has not installed the parts."""
    if lacks := machine.lacks("sandbox"):
        pytest.skip(f"no sandbox: {lacks}")
