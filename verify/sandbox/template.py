"""Makes the server's database once, so that each start need not migrate a new one."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from verify.sandbox import parts
from verify.sandbox.state import ROOT, SandboxError

# MLflow's own first start, in the server's environment: tables, then migrations.
MAKE = """
import sys
from mlflow.server.handlers import initialize_backend_stores
initialize_backend_stores(sys.argv[1], sys.argv[1], "mlflow-artifacts:/")
"""


def put(target: Path) -> None:
    """Copy the template database to a new sandbox, made first where there is none."""
    kept = ROOT / "_build" / "cache" / "sandbox" / f"mlflow-{_version()}.db"
    kept.parent.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several tests start at once
            if not kept.exists():
                _make(kept)
    target.touch(mode=0o600)
    shutil.copyfile(kept, target)


def _make(kept: Path) -> None:
    beside = kept.with_suffix(".part")
    beside.unlink(missing_ok=True)
    address = f"sqlite:///{beside}"
    environment = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(kept.parent)}
    done = subprocess.run(
        [parts.python(), "-c", MAKE, address],
        env=environment,
        cwd=kept.parent,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-5:])
        raise SandboxError(f"MLflow could not make its database:\n{tail}")
    os.replace(beside, kept)


def _version() -> str:
    """Return the locked version of MLflow, which decides the tables."""
    lock = (ROOT / ".ci" / "locks" / "notebooks.txt").read_text(encoding="utf-8")
    return next(
        line.split("==")[1].split()[0]
        for line in lock.splitlines()
        if line.startswith("mlflow==")
    )
