"""A credential stays with the server that it was meant for, wherever that one leads."""

from __future__ import annotations

import http.server
import threading

import mlflow
import pytest
import requests

from snippets.mlflow_auth import errors
from snippets.mlflow_auth.guard import Guard
from snippets.mlflow_auth.secret import Secret


class Fresh(Guard):
    """Has another token at hand for whoever refuses the first."""

    def value(self):
        return Secret("Bearer the first token")

    def renew(self, value, answer):
        return Secret("Bearer the second token")

    def why(self, answer, value):
        return errors.RejectedByProxy("refused twice", answer.url)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.headers.get("Authorization"))
        self.send_response(self.server.status)
        self.send_header("Location", self.server.goal)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start a server that answers all with one status."""
    servers = []

    def start(status: int, goal: str = "/") -> http.server.ThreadingHTTPServer:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.status, server.goal, server.seen = status, goal, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    mlflow.set_tracking_uri(None)


def test_a_host_that_a_redirect_leads_to_gets_no_token_by_refusing_it(serve):
    other = serve(401)
    server = serve(302, f"{other.url}/file")
    mlflow.set_tracking_uri(server.url)
    answer = requests.get(f"{server.url}/file", auth=Fresh(), timeout=30)
    assert answer.status_code == 401 and server.seen == ["Bearer the first token"]
    assert other.seen == [None]


def test_the_server_itself_gets_a_second_token_after_it_refused_the_first(serve):
    server = serve(401)
    mlflow.set_tracking_uri(server.url)
    with pytest.raises(errors.RejectedByProxy, match="refused twice"):
        requests.get(server.url, auth=Fresh(), timeout=30)
    assert server.seen == ["Bearer the first token", "Bearer the second token"]
