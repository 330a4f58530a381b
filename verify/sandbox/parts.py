"""The three processes of a sandbox: what each runs, with which settings."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from verify.sandbox.state import ROOT, SandboxError

HERE = Path(__file__).resolve().parent
SELECTOR = "mlflow.kubeflow.org/workspace=true"  # the label that makes a workspace
PLUGIN = "mlflow_kubernetes_plugins.auth.middleware:create_app"  # kubernetes-auth
MAKE = "make them: python3 noxfile.py -s sandbox -- up"


@dataclass(frozen=True)
class Part:
    """A part of the sandbox, as `status` describes it.

    Attributes
    ----------
    name : str
        Its name on the command line.
    about : tuple of (str, str, str)
        What it serves: the name of the address in the state file, ``real`` or
        ``double``, and what that is.
    healthy : str
        The address, in the state file's names, and the path that answer 200 when it
        can work.
    """

    name: str
    about: tuple[tuple[str, str, str], ...]
    healthy: tuple[str, str]


PARTS = {
    part.name: part
    for part in (
        Part(
            "platform",
            (
                ("issuer", "real", "OpenID provider (npm oidc-provider)"),
                ("platform", "double", "Dex-like login"),
                ("kubernetes", "double", "Kubernetes RBAC API"),
            ),
            ("issuer", "/.well-known/openid-configuration"),
        ),
        Part(
            "proxy",
            (
                ("mlflow", "double", "oauth2-proxy-compatible proxy, outside"),
                ("mlflow_service", "double", "the same proxy, in the cluster"),
            ),
            ("mlflow_service", "/ping"),
        ),
        Part(
            "mlflow",
            (("mlflow_container", "real", "MLflow server with its Kubernetes plugin"),),
            ("mlflow_container", "/health"),
        ),
    )
}


def node(folder: Path, part: str) -> list[str]:
    """Return the command of `platform` or `proxy`.

    The programs are copied beside a link to their modules, because Node.js looks for a
    module above the program's own folder and nowhere else.
    """
    return [_node(), str(folder / "node" / f"{part}.mjs"), str(folder / "config.json")]


def copy_node(folder: Path) -> None:
    """Put this checkout's Node.js programs into a sandbox's folder."""
    modules = _installed("HANDBOOK_SANDBOX_NODE", "sandbox-node") / "node_modules"
    home = folder / "node"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    for program in (HERE / "node").glob("*.mjs"):
        shutil.copy(program, home)
    shutil.copy(HERE / "node" / "package.json", home)
    (home / "node_modules").symlink_to(modules)


def python() -> str:
    """Return the Python of the server's environment."""
    return str(_installed("HANDBOOK_SANDBOX_PYTHON", "sandbox/bin/python"))


def mlflow(port: int) -> list[str]:
    """Return the command of the MLflow server: one process.

    With `mlflow_settings` it equals ``mlflow server --app-name kubernetes-auth
    --enable-workspaces --workspace-store-uri "kubernetes://?label_selector=..."
    --backend-store-uri sqlite:///... --serve-artifacts --artifacts-destination ...
    --workers 1``, which sets the same variables and starts the same uvicorn, but first
    imports all of MLflow itself and then stays (measured on a busy machine: 1.4 to 2.2
    times as long to start, and 233 MB more).
    """
    where = ["--host", "127.0.0.1", "--port", str(port)]
    quiet = ["--log-level", "info", "--no-use-colors"]
    return [python(), "-m", "uvicorn", "--factory", *where, *quiet, PLUGIN]


def mlflow_settings(folder: Path) -> dict[str, str]:
    """Return the variables of the MLflow server."""
    store = f"sqlite:///{folder / 'mlflow.db'}"
    return {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_WORKSPACE_STORE_URI": f"kubernetes://?label_selector={SELECTOR}",
        "MLFLOW_K8S_AUTH_AUTHORIZATION_MODE": "self_subject_access_review",
        "MLFLOW_K8S_AUTH_USERNAME_CLAIM": "email",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 3 processes of 340 MB
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "KUBECONFIG": str(folder / "kubeconfig"),
        "HOME": str(folder / "home"),
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # 40 threads would else keep an arena each
        # --allowed-hosts is left alone: localhost and private addresses, as ever. A
        # name of a Service is refused, which the troubleshooting page shows.
    }


def kubeconfig(folder: Path, address: str) -> str:
    """Return how the server reaches Kubernetes: its own account, token in a file."""
    token = folder / "secrets" / "service-account.token"
    cluster = {"name": "sandbox", "cluster": {"server": address}}
    user = {"name": "mlflow", "user": {"tokenFile": str(token)}}
    context = {"cluster": "sandbox", "user": "mlflow"}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [user],
            "contexts": [{"name": "sandbox", "context": context}],
            "current-context": "sandbox",
        }
    )


def node_config(folder: Path, ports: Mapping[str, int], users: object) -> str:
    """Return the settings of the Node.js programs; platform.mjs describes them."""
    tls = {"key": folder / "tls" / "server.key", "cert": folder / "tls" / "server.pem"}
    seconds = {"token_seconds": 600}  # nosec B105 # a number, no token
    config = {
        "folder": folder,
        "secrets": folder / "secrets",
        "rbac": HERE / "rbac",
        "ports": ports,
        "tls": {**tls, "ca": folder / "ca.pem"},
        "users": users,
        **seconds,
    }
    return json.dumps(config, indent=2, default=str)


def _node() -> str:
    if found := shutil.which("node"):
        return found
    raise SandboxError("The sandbox needs Node.js 20 or newer, and there is no node.")


def _installed(variable: str, usual: str) -> Path:
    """Return what noxfile.py installs, and names to the programs that it starts."""
    path = Path(os.environ.get(variable) or ROOT / ".nox" / "env" / usual)
    if not path.exists():
        raise SandboxError(f"{path} is missing, which the sandbox's parts need; {MAKE}")
    return path
