"""Measures what the plugin adds to a request of MLflow's client while a token is fresh.

Run as a program by the notebooks' Python; prints milliseconds as JSON. The network is
left out: a transport (double) answers at once, and the token is one that nobody issued.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = 2000
SERVER = "https://mlflow.example.com"
ISSUER = "https://provider.example.com"


def measure(rounds: int = ROUNDS) -> dict[str, float]:
    """Send requests with and without the plugin, taking turns.

    Returns
    -------
    dict of str to float
        Medians in milliseconds: ``without`` and ``plugin``.
    """
    import mlflow
    import requests
    from mlflow.tracking.request_auth.registry import fetch_auth

    from snippets.mlflow_auth.register import register

    class Instant(requests.adapters.BaseAdapter):
        """A transport (double) that answers 200 to everything."""

        def send(self, request: Any, **_: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code, answer.request, answer.url = 200, request, request.url
            return answer

        def close(self) -> None:
            pass

    register()
    mlflow.set_tracking_uri(SERVER)
    session = requests.Session()
    session.mount(SERVER, Instant())

    def one(auth: Any) -> float:
        began = time.perf_counter()
        used = fetch_auth("oidc") if auth is None else auth
        session.post(f"{SERVER}/api/2.0/mlflow/runs/log-batch", json={}, auth=used)
        return (time.perf_counter() - began) * 1000

    took: dict[str, list[float]] = {"without": [], "plugin": []}
    for _ in range(rounds):
        took["without"].append(one(lambda request: request))
        took["plugin"].append(one(None))
    return {name: round(median(times), 4) for name, times in took.items()}


def prepare(folder: Path) -> None:
    """Write a token that is fresh for an hour, and say where in the environment."""
    now = time.time()
    claims = {
        "iss": ISSUER,
        "aud": "bench",
        "sub": "bench",
        "iat": now,
        "exp": now + 3600,
    }
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims, {})]
    token = ".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts)
    file = folder / "token.json"
    fields = {"id_token": token, "refresh_token": None, "issuer": ISSUER}
    fields |= {"client_id": "bench", "expires_at": now + 3600, "account": ""}
    file.write_text(json.dumps(fields))
    file.chmod(0o600)
    for name in [n for n in os.environ if n.startswith("MLFLOW_")]:
        del os.environ[name]
    os.environ |= {
        "MLFLOW_SSO_ISSUER": ISSUER,
        "MLFLOW_SSO_CLIENT_ID": "bench",
        "MLFLOW_SSO_TOKEN_FILE": str(file),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        print(json.dumps(measure()))
