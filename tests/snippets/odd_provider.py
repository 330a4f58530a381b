"""An OpenID provider (double) that answers what no provider should, over real TLS."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.settings import Settings
from verify.sandbox import certificates

DISCOVERY = "/.well-known/openid-configuration"


class OddProvider:
    """Answers each path with what a test put there, and remembers what was asked.

    An answer is ``(status, headers, body)``, or a function of the request's fields
    that returns one; several in a list are given in turn, the last one from then on.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.ca = folder / "ca.pem"
        key, certificate = certificates.make(folder, self.ca)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        self.server = ThreadingHTTPServer((host, 0), _Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.owner = self
        self.server.handle_error = lambda *_: None  # a client that does not trust us
        self.url = f"https://{host}:{self.server.server_port}"
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self.answers: dict[str, Any] = {DISCOVERY: as_json(self.discovery())}
        serve = self.server.serve_forever
        threading.Thread(target=serve, args=(0.02,), daemon=True).start()

    def discovery(self, **changed: Any) -> dict[str, Any]:
        """What a provider says of itself, with some of it changed."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "device_authorization_endpoint": f"{self.url}/device",
        } | changed

    def id_token(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """An ID token for the client ``mlflow``, with some of it changed."""
        now = time.time()
        claims = {"iss": self.url, "aud": "mlflow", "sub": "alice"}
        claims |= {"iat": now, "exp": now + 600} | changed
        parts = [header or {"alg": "RS256"}, claims]
        raw = [base64.urlsafe_b64encode(json.dumps(p).encode()) for p in parts]
        return ".".join([*(r.rstrip(b"=").decode() for r in raw), "c2lnbmF0dXJl"])

    def settings(self, folder: Path, **changed: Any) -> Settings:
        """Settings of a client of this provider."""
        return Settings(
            **{
                "issuer": self.url,
                "client_id": "mlflow",
                "client_secret": Secret("client: secret/%"),
                "username": "alice",
                "password": Secret("a password of alice"),
                "login": "form",
                "redirect_uri": "https://app.example.com/callback",
                "ca_bundle": self.ca,
                "token_file": folder / "private" / "token.json",
            }
            | changed
        )

    def close(self) -> None:
        """Stop answering."""
        self.server.shutdown()
        self.server.server_close()


def as_json(body: Any, status: int = 200) -> tuple[int, dict[str, str], str]:
    return status, {"Content-Type": "application/json"}, json.dumps(body)


def page(body: str, status: int = 200) -> tuple[int, dict[str, str], str]:
    return status, {"Content-Type": "text/html"}, body


def to(location: str) -> tuple[int, dict[str, str], str]:
    return 302, {"Location": location}, ""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802
        self.reply(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        found = parse_qs(body, keep_blank_values=True)
        self.reply({name: values[0] for name, values in found.items()})

    def reply(self, fields: dict[str, str]) -> None:
        owner, path = self.server.owner, urlsplit(self.path).path
        owner.asked.append((self.command, path, fields, dict(self.headers)))
        answer = owner.answers.get(path, (404, {}, ""))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        status, headers, body = answer(fields) if callable(answer) else answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing: a test looks into ``asked``."""
