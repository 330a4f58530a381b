"""What the sandbox refuses, and what it never writes down.

Real here: the OpenID provider (npm oidc-provider), the checks of tokens (jose), the
sign-in of the proxy (openid-client), MLflow and its Kubernetes plugin. Doubles: the
proxy's own behaviour (oauth2-proxy-compatible), the login API (Dex-like) and the
Kubernetes RBAC API. So a refusal by the proxy or by the API shows what this sandbox
does and what clients make of it, not what oauth2-proxy or a cluster would do.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import psutil
import pytest
import requests

from tests.sandbox import attacker
from tests.sandbox.attacker import Forger, authorize, now, redeem, refresh, sign_in, web
from verify.sandbox import Sandbox, ports
from verify.sandbox.processes import living

ROOT = Path(__file__).resolve().parents[2]
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
JSON = {"Accept": "application/json"}
SESSION, CSRF = "_oauth2_proxy", "_oauth2_proxy_csrf"
WAYS = ("outside", "inside", "server")
# The proxy alone, for which nobody behind it can refuse; then whole ways to MLflow.
DOORS = ("proxy outside", "proxy inside", *WAYS, "kubernetes")
SECONDS = 10
NOBODY = 9  # a port that nobody listens on


# region: doors
@pytest.fixture(scope="module")
def alice(sandbox: Sandbox) -> dict:
    return attacker.tokens(sandbox, "alice")


@pytest.fixture(scope="module")
def bob(sandbox: Sandbox) -> dict:
    return attacker.tokens(sandbox, "bob")


@pytest.fixture(scope="module")
def forger(sandbox: Sandbox, alice: dict) -> Forger:
    return Forger(sandbox, alice["id_token"])


def knock(sandbox: Sandbox, door: str, token: str) -> int:
    """Show a token to a part that judges it, or on a way to MLflow; return a status."""
    bearer = {"Authorization": f"Bearer {token}"}
    if door == "kubernetes":
        asked = {"group": "mlflow.kubeflow.org", "resource": "experiments"}
        spec = {"resourceAttributes": {**asked, "verb": "list", "namespace": "team-a"}}
        url, body = sandbox.kubernetes + REVIEW, {"spec": spec}
        answer = web(sandbox).post(url, json=body, headers=bearer, timeout=SECONDS)
        return answer.status_code
    path = "/oauth2/userinfo" if door.startswith("proxy ") else SEARCH
    way = base(sandbox, door.removeprefix("proxy "))
    return mlflow(sandbox, path, bearer, base=way).status_code


def base(sandbox: Sandbox, door: str) -> str:
    """The address of MLflow behind a door."""
    ways = {
        "outside": sandbox.mlflow,
        "inside": sandbox.mlflow_service,
        "server": sandbox.mlflow_container,
    }
    return ways[door]


def mlflow(
    sandbox: Sandbox,
    path: str,
    headers: dict[str, str],
    *,
    workspace: str = "team-a",
    base: str = "",
    body: dict | None = None,
) -> requests.Response:
    """Ask MLflow's REST API in a workspace."""
    headers = {**JSON, "X-MLFLOW-WORKSPACE": workspace, **headers}
    url, method = (base or sandbox.mlflow) + path, "POST" if body else "GET"
    return web(sandbox).request(
        method, url, json=body, headers=headers, timeout=SECONDS, allow_redirects=False
    )


def bearer(tokens: dict) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['id_token']}"}


# endregion


# region: tokens
FORGERIES: dict[str, Callable[[Forger], str]] = {
    "expired": lambda f: f.token(exp=now() - 1),
    "without an expiry": lambda f: f.token(exp=None),
    "not valid yet": lambda f: f.token(nbf=now() + 3600),
    "of another client": lambda f: f.token(aud="other-app"),
    "without an audience": lambda f: f.token(aud=None),
    "of another issuer": lambda f: f.token(iss="https://evil.example/dex"),
    "of an issuer with a slash more": lambda f: f.token(iss=f.claims["iss"] + "/"),
    "without an issuer": lambda f: f.token(iss=None),
    "unsigned": lambda f: f.unsigned("RS256"),
    "with alg none": lambda f: f.unsigned("none"),
    "with alg NoNe": lambda f: f.unsigned("NoNe"),
    "with another's signature": lambda f: f.unsigned("RS256", f.signature, iat=1),
    "tampered with": lambda f: f.unsigned(
        "RS256", f.signature, email="bob@example.com", exp=now() + 9999
    ),
    "HS256 with the public key": lambda f: f.confused(),
    "signed by a key it brings along": lambda f: f.self_signed(),
    "of an unknown key": lambda f: f.token({"kid": "nobody"}),
    "that is no token": lambda f: "garbage",
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_token_is_refused_if_it_is(forgery, door, sandbox, forger):
    assert knock(sandbox, door, FORGERIES[forgery](forger)) == 401


@pytest.mark.parametrize("door", DOORS)
def test_a_token_that_is_wrong_in_nothing_is_taken(door, sandbox, forger):
    """The canary: the forger's tokens are refused for what is wrong with them."""
    assert knock(sandbox, door, forger.token()) in (200, 201)


@pytest.mark.parametrize("door", DOORS)
def test_a_real_token_of_another_client_is_refused(door, sandbox):
    other = attacker.tokens(sandbox, "alice", sandbox.other_client_id)
    assert knock(sandbox, door, other["id_token"]) == 401


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_only_the_id_token_opens_a_door(kind, door, sandbox, alice):
    assert knock(sandbox, door, alice[kind]) == 401


def test_the_token_of_today_is_refused_tomorrow(sandbox):
    """The provider's own expiry, not a forged one."""
    for seconds in (1, 2, 4, 8):  # a busy machine needs more for the first knock
        sandbox.control("token-seconds", seconds=seconds)
        short = attacker.tokens(sandbox, "alice")["id_token"]
        expiry = attacker.decode(short.split(".")[1])["exp"]
        first = knock(sandbox, "proxy outside", short)
        if time.time() < expiry:
            break
    assert first == 200
    time.sleep(max(0, expiry - time.time()) + 0.05)
    assert knock(sandbox, "proxy outside", short) == 401


def test_a_bad_bearer_token_is_sent_to_sign_in_unless_json_is_asked_for(sandbox):
    bad = {"Authorization": "Bearer garbage", "Accept": "*/*"}
    answer = mlflow(sandbox, SEARCH, bad)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{sandbox.issuer}/auth?")
    assert mlflow(sandbox, SEARCH, {**bad, **JSON}).status_code == 401


# endregion


# region: sign-in
def test_a_code_works_once(sandbox):
    attempt = authorize(sandbox, "alice")
    first, second = redeem(sandbox, attempt), redeem(sandbox, attempt)
    assert first.status_code == 200
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")


def test_a_replayed_code_ends_what_it_had_given(sandbox):
    attempt = authorize(sandbox, "alice")
    first = redeem(sandbox, attempt).json()
    redeem(sandbox, attempt)
    answer = refresh(sandbox, first["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("verifier", ["x" * 43, ""])
def test_a_code_is_useless_without_its_verifier(verifier, sandbox):
    answer = redeem(sandbox, authorize(sandbox, "alice"), code_verifier=verifier)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_code_is_useless_to_another_client(sandbox):
    attempt = authorize(sandbox, "alice")
    stolen = replace(attempt, client=sandbox.other_client_id)
    assert redeem(sandbox, stolen).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("changes", [{}, {"code_challenge_method": "plain"}])
def test_the_provider_wants_pkce_with_s256(changes, sandbox):
    asks = attacker.Attempt(sandbox.client_id, sandbox.redirect_uri).asks()
    if not changes:
        del asks["code_challenge"], asks["code_challenge_method"]
    url = f"{sandbox.issuer}/auth"
    answer = web(sandbox).get(
        url, params={**asks, **changes}, allow_redirects=False, timeout=SECONDS
    )
    assert attacker.query(answer.headers["Location"])["error"] == "invalid_request"


@pytest.mark.parametrize("path", ["/elsewhere", "/oauth2/callback/../elsewhere"])
def test_the_provider_sends_nobody_to_an_address_it_does_not_know(path, sandbox):
    asks = attacker.Attempt(sandbox.client_id, sandbox.platform + path).asks()
    url = f"{sandbox.issuer}/auth"
    answer = web(sandbox).get(url, params=asks, allow_redirects=False, timeout=SECONDS)
    assert (answer.status_code, answer.is_redirect) == (400, False)


def test_a_rotated_refresh_token_ends_the_whole_family_when_it_comes_back(sandbox):
    old = attacker.tokens(sandbox, "alice")["refresh_token"]
    new = refresh(sandbox, old).json()["refresh_token"]
    assert new != old
    for token in (old, new):
        answer = refresh(sandbox, token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_wrong_client_secret_gets_no_tokens(sandbox):
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    answer = web(sandbox).post(
        f"{sandbox.issuer}/token",
        data=form,
        auth=(sandbox.client_id, "wrong"),
        timeout=SECONDS,
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_the_login_api_tells_bad_padding_from_nothing_else(sandbox):
    """Else its answers would decrypt passwords, one question at a time."""
    session = web(sandbox)
    asks = attacker.Attempt(sandbox.client_id, sandbox.redirect_uri).asks()
    api = f"{sandbox.issuer}/api/v1/authorize"
    name = session.get(api, params=asks, timeout=SECONDS).json()["req"]
    offer = session.get(f"{sandbox.issuer}/pubkey", timeout=SECONDS).json()
    padded = attacker.seal(offer["pubkey"], b"well padded, and no password")
    blocks = (byte * 256 for byte in (b"", b"\0", b"\1", b"\2", b"\3", b"\xff"))
    said = set()
    for sealed in (padded, *blocks):
        body = {"account": "alice", "password": base64.b64encode(sealed).decode()}
        answer = session.post(
            f"{api}/local", params={"req": name}, json=body, timeout=SECONDS
        )
        said.add((answer.status_code, answer.text))
    ((status, text),) = said
    assert status == 400 and "fresh public key" in text


# endregion


# region: the proxy's cookie
class Visit:
    """One browser on its way through the proxy's own sign-in."""

    def __init__(self, sandbox: Sandbox, user: str, door: str = "outside") -> None:
        self.sandbox, self.user, self.base = sandbox, user, base(sandbox, door)
        self.session = web(sandbox)

    def begin(self, rd: str | None = None) -> str:
        """Go to the sign-in, and return where the provider sends back to."""
        url = f"{self.base}/oauth2/start" + (f"?rd={quote(rd)}" if rd else "")
        return sign_in(self.session, self.sandbox, self.user, url)

    def open(self, url: str) -> requests.Response:
        return self.session.get(
            url, headers=JSON, allow_redirects=False, timeout=SECONDS
        )

    def is_known_as(self) -> str | None:
        """The e-mail by which the proxy knows this browser."""
        answer = self.open(f"{self.base}/oauth2/userinfo")
        return answer.json()["email"] if answer.status_code == 200 else None

    def cookie(self, name: str) -> str:
        return next(one.value for one in self.session.cookies if one.name == name)

    def with_cookie(self, name: str, value: str) -> Visit:
        """Another browser that holds nothing but this cookie."""
        other = Visit(self.sandbox, self.user)
        other.base = self.base
        other.session.cookies.set(name, value)
        return other


@pytest.mark.parametrize("door", ["outside", "inside"])
def test_a_browser_that_signs_in_is_known(door, sandbox):
    visit = Visit(sandbox, "alice", door)
    assert visit.open(visit.begin()).status_code == 302
    assert visit.is_known_as() == "alice@example.com"
    headers = {"X-MLFLOW-WORKSPACE": "team-a"}
    answer = visit.session.get(visit.base + SEARCH, headers=headers, timeout=SECONDS)
    assert answer.status_code == 200


def test_a_callback_without_the_cookie_of_its_start_is_refused(sandbox):
    callback = Visit(sandbox, "alice").begin()
    stranger = Visit(sandbox, "alice")
    answer = stranger.open(callback)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_callback_with_another_state_is_refused(sandbox):
    visit = Visit(sandbox, "alice")
    state = attacker.query(callback := visit.begin())["state"]
    assert visit.open(callback.replace(state, "x" * len(state))).status_code == 403
    assert visit.is_known_as() is None


def test_nobody_is_signed_in_as_their_attacker(sandbox):
    """Login CSRF, RFC 6749, section 10.12: bob's callback in alice's browser."""
    victim = Visit(sandbox, "alice")
    victim.begin()
    assert victim.open(Visit(sandbox, "bob").begin()).status_code == 403
    assert victim.is_known_as() is None


def test_a_refusal_of_the_provider_is_not_a_session(sandbox):
    visit = Visit(sandbox, "alice")
    state = attacker.query(visit.begin())["state"]
    url = f"{visit.base}/oauth2/callback?error=access_denied&state={quote(state)}"
    assert visit.open(url).status_code == 403
    assert visit.is_known_as() is None


def test_a_code_replayed_at_the_proxy_is_refused(sandbox):
    visit = Visit(sandbox, "alice")
    callback = visit.begin()
    thief = visit.with_cookie(CSRF, visit.cookie(CSRF))
    assert visit.open(callback).status_code == 302
    assert thief.open(callback).status_code == 403
    assert thief.is_known_as() is None


@pytest.mark.parametrize("part", [0, 2, 3, 4])
def test_a_tampered_session_cookie_is_refused(part, sandbox):
    visit = Visit(sandbox, "alice")
    visit.open(visit.begin())
    good = visit.cookie(SESSION)
    assert visit.with_cookie(SESSION, good).is_known_as() == "alice@example.com"
    parts = good.split(".")
    first = parts[part][0]
    parts[part] = ("A" if first != "A" else "B") + parts[part][1:]
    assert visit.with_cookie(SESSION, ".".join(parts)).is_known_as() is None


def test_the_cookie_of_a_start_is_no_session(sandbox):
    visit = Visit(sandbox, "alice")
    visit.begin()
    other = visit.with_cookie(SESSION, visit.cookie(CSRF))
    assert other.open(f"{visit.base}/oauth2/userinfo").status_code == 401


@pytest.mark.parametrize("door", ["outside", "inside"])
def test_cookies_are_kept_from_scripts_and_from_plain_text(door, sandbox):
    visit = Visit(sandbox, "alice", door)
    lines = visit.open(visit.begin()).raw.headers.getlist("Set-Cookie")
    (line,) = [line for line in lines if line.startswith(f"{SESSION}=ey")]
    for attribute in ("HttpOnly", "SameSite=Lax"):
        assert attribute in line
    assert ("Secure" in line) == (door == "outside")


def test_a_session_cookie_shows_nothing_to_who_finds_it(sandbox):
    visit = Visit(sandbox, "alice")
    visit.open(visit.begin())
    open_parts = [attacker.unpack(part) for part in visit.cookie(SESSION).split(".")]
    assert not any(b"alice" in part or b"eyJ" in part for part in open_parts)


def test_a_session_outlives_its_id_token_and_mlflow_refuses_it(sandbox):
    """As oauth2-proxy documents it for cookie-refresh=0; a token ends on time."""
    sandbox.control("token-seconds", seconds=2)
    visit = Visit(sandbox, "alice")
    visit.open(visit.begin())
    time.sleep(2.1)
    assert visit.is_known_as() == "alice@example.com"
    headers = {"X-MLFLOW-WORKSPACE": "team-a"}
    answer = visit.session.get(visit.base + SEARCH, headers=headers, timeout=SECONDS)
    assert answer.status_code == 401


def test_signing_out_ends_the_session_in_the_browser(sandbox):
    visit = Visit(sandbox, "alice")
    visit.open(visit.begin())
    visit.open(f"{visit.base}/oauth2/sign_out")
    assert visit.is_known_as() is None


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "/\t/evil.example/",
    "/./\\evil.example",
    "/.//evil.example/",
    "/a/..//evil.example/",
    "javascript:alert(1)",
    "/ok\r\nSet-Cookie: a=b",
)


@pytest.fixture(scope="module")
def visitor(sandbox: Sandbox) -> Visit:
    """A browser that is signed in at the provider, so that each trip is short."""
    return Visit(sandbox, "alice")


@pytest.mark.parametrize("rd", ELSEWHERE)
def test_nobody_is_led_elsewhere_after_the_sign_in(rd, visitor):
    for answer in (
        visitor.open(visitor.begin(rd)),
        visitor.open(f"{visitor.base}/oauth2/sign_out?rd={quote(rd)}"),
    ):
        assert answer.status_code == 302
        there = urljoin(visitor.base, answer.headers["Location"])
        assert urlsplit(there).netloc == urlsplit(visitor.base).netloc
        assert "evil" not in there


def test_a_visitor_comes_back_to_where_they_were_going(visitor):
    """The canary of the test above: a local address is kept."""
    path = urlsplit(visitor.base).path + "/graphs?run=1&step=2"
    assert visitor.open(visitor.begin(path)).headers["Location"] == path


# endregion


# region: identity
FORGED = {
    "X-Forwarded-User": "mallory",
    "X-Forwarded-Email": "mallory@example.com",
    "X-Forwarded-Groups": "mallory",
    "X-Forwarded-Preferred-Username": "mallory",
    "X-Forwarded-Access-Token": "mallory",
    "X-Forwarded-Host": "mallory.example",
    "X-Auth-Request-User": "mallory",
    "X-Auth-Request-Email": "mallory@example.com",
    "X-Remote-User": "mallory@example.com",
    "X_Remote_User": "mallory@example.com",
    "x_forwarded_email": "mallory@example.com",
    "X-Remote-Groups": "mallory",
    "X-Real-Ip": "203.0.113.66",
    "Forwarded": "for=203.0.113.66;host=mallory.example",
}


class Echo(BaseHTTPRequestHandler):
    """In MLflow's place: answers with the headers that reach it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def echo() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def second_proxy(
    sandbox: Sandbox, folder: Path, behind: int, **settings: bool
) -> Iterator[Sandbox]:
    """Another proxy of the same sandbox, with another server behind it."""
    config = json.loads((sandbox.folder / "config.json").read_text())
    own = ports.choose(["mlflow", "mlflow_service"])
    config["ports"] |= {**own, "mlflow_container": behind}
    path = folder / "config.json"
    path.write_text(json.dumps({**config, "proxy": settings}))
    program = sandbox.folder / "node" / "proxy.mjs"
    command = [str(shutil.which("node")), str(program), str(path)]
    proxy = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert proxy.stdout and proxy.stdout.readline() == "ready\n"
        yield replace(
            sandbox,
            mlflow=f"https://127.0.0.1:{own['mlflow']}/clusters/local/mlflow",
            mlflow_service=f"http://127.0.0.1:{own['mlflow_service']}",
        )
    finally:
        proxy.terminate()
        proxy.communicate(timeout=SECONDS)
    assert proxy.returncode == 0


def test_what_a_client_says_about_itself_never_reaches_mlflow(sandbox, bob, tmp_path):
    with echo() as port, second_proxy(sandbox, tmp_path, port) as other:
        for way in (other.mlflow, other.mlflow_service):
            headers = {**FORGED, **bearer(bob), "Cookie": "_oauth2_proxy=x; mine=1"}
            arrived = mlflow(other, "/", headers, base=way).json()
            names = [name.lower() for name, _ in arrived]
            told = dict(zip(names, (value for _, value in arrived), strict=True))
            assert "mallory" not in json.dumps(arrived)
            assert "203.0.113.66" not in json.dumps(arrived)
            assert len(names) == len(set(names))
            assert told["x-forwarded-email"] == "bob@example.com"
            assert told["x-forwarded-access-token"] == bob["id_token"]
            assert told["authorization"] == f"Bearer {bob['id_token']}"
            assert told["cookie"] == "mine=1"


def test_a_proxy_without_the_fallback_refuses_a_bad_bearer_token(sandbox, tmp_path):
    bad = {"Authorization": "Bearer garbage", "Accept": "*/*"}
    settings = {"bearer_login_fallback": False}
    with second_proxy(sandbox, tmp_path, NOBODY, **settings) as other:
        assert mlflow(other, SEARCH, bad).status_code == 403
        assert mlflow(other, SEARCH, {"Accept": "*/*"}).status_code == 302


def test_a_proxy_says_that_mlflow_is_away(sandbox, alice, tmp_path):
    with second_proxy(sandbox, tmp_path, NOBODY) as other:
        assert mlflow(other, SEARCH, bearer(alice)).status_code == 502


@pytest.mark.parametrize("door", ["outside", "inside"])
@pytest.mark.parametrize("header", FORGED)
def test_no_header_opens_the_proxy(header, door, sandbox, alice):
    value = FORGED[header]
    if header == "X-Forwarded-Access-Token":
        value = alice["id_token"]  # a good token, in a place only the proxy may fill
    answer = mlflow(sandbox, SEARCH, {header: value}, base=base(sandbox, door))
    assert answer.status_code == 401


def test_a_run_belongs_to_who_signed_in_whatever_else_is_claimed(sandbox, bob, alice):
    claims = {**FORGED, "X-Forwarded-Access-Token": alice["id_token"], **bearer(bob)}
    made = create_run(sandbox, claims, "team-b", user_id="alice@example.com")
    assert made["user_id"] == "bob@example.com"


def create_run(sandbox: Sandbox, headers: dict, workspace: str, **claims: str) -> dict:
    """Create an experiment and a run in it, and return the run's `info`."""
    api, name = "/api/2.0/mlflow", f"security-{time.time_ns()}"
    answer = mlflow(
        sandbox,
        f"{api}/experiments/create",
        headers,
        workspace=workspace,
        body={"name": name},
    )
    body = {"experiment_id": answer.json()["experiment_id"], **claims}
    answer = mlflow(
        sandbox, f"{api}/runs/create", headers, workspace=workspace, body=body
    )
    return answer.json()["run"]["info"]


# endregion


# region: workspaces
@pytest.mark.parametrize("door", WAYS)
def test_a_user_may_not_look_into_another_workspace(door, sandbox, alice, bob):
    path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    for who, other in ((alice, "team-b"), (bob, "team-a")):
        way = base(sandbox, door)
        answer = mlflow(sandbox, path, bearer(who), workspace=other, base=way)
        assert answer.status_code == 403


def test_a_search_in_another_workspace_finds_nothing_and_is_not_refused(
    sandbox, alice, bob
):
    """The plugin filters lists; it answers 200 where nothing may be seen."""
    create_run(sandbox, bearer(alice), "team-a")
    found = {
        user: mlflow(sandbox, SEARCH, bearer(who), workspace="team-a").json()
        for user, who in (("alice", alice), ("bob", bob))
    }
    assert len(found["alice"]["experiments"]) == 1
    assert found["bob"].get("experiments", []) == []


def test_a_user_may_not_write_into_another_workspace(sandbox, bob):
    path, body = "/api/2.0/mlflow/experiments/create", {"name": "burglary"}
    answer = mlflow(sandbox, path, bearer(bob), body=body)
    assert answer.status_code == 403


def test_a_user_sees_only_their_workspaces(sandbox, alice, bob):
    for who, own in ((alice, "team-a"), (bob, "team-b")):
        answer = mlflow(sandbox, "/api/3.0/mlflow/workspaces", bearer(who))
        assert [one["name"] for one in answer.json()["workspaces"]] == [own]


@pytest.mark.parametrize("workspace", ["default", "kube-system", "nope"])
def test_a_namespace_without_the_label_is_no_workspace(workspace, sandbox, alice):
    answer = mlflow(sandbox, SEARCH, bearer(alice), workspace=workspace)
    assert answer.status_code >= 400
    assert "experiments" not in answer.json()


def test_a_run_is_not_found_from_another_workspace(sandbox, alice, bob):
    run = create_run(sandbox, bearer(alice), "team-a")["run_id"]
    path = f"/api/2.0/mlflow/runs/get?run_id={run}"
    assert mlflow(sandbox, path, bearer(alice)).status_code == 200
    assert mlflow(sandbox, path, bearer(bob)).status_code == 403
    assert mlflow(sandbox, path, bearer(bob), workspace="team-b").status_code == 404


@pytest.mark.parametrize(
    "path", ["../team-a", "%2e%2e/team-a", "..%2fteam-a", "/team-a", "x/../../team-a"]
)
def test_no_artifact_path_leads_out_of_a_workspace(path, sandbox, bob):
    api = "/api/2.0/mlflow-artifacts/artifacts"
    for url in (f"{api}?path={path}", f"{api}/{path}/secret.txt"):
        answer = mlflow(sandbox, url, bearer(bob), workspace="team-b")
        listed = answer.json().get("files", []) if answer.ok else []
        assert listed == []


def test_the_kubernetes_api_double_keeps_its_lists_to_the_server(sandbox, alice):
    url = f"{sandbox.kubernetes}/api/v1/namespaces"
    answer = web(sandbox).get(url, headers=bearer(alice), timeout=SECONDS)
    assert answer.status_code == 403
    assert web(sandbox).get(url, timeout=SECONDS).status_code == 401


# endregion


# region: the machine
def processes(sandbox: Sandbox) -> list[psutil.Process]:
    """Every process of the sandbox, with its children."""
    parts = living(sandbox.folder)
    assert set(parts) == {"platform", "proxy", "mlflow"}
    return [one for part in parts.values() for one in part]


def test_every_port_is_open_to_this_machine_only(sandbox):
    ports = [
        place.laddr.ip
        for process in processes(sandbox)
        for place in process.net_connections(kind="inet")
        if place.status == psutil.CONN_LISTEN
    ]
    assert len(ports) == 6
    assert set(ports) == {"127.0.0.1"}


def test_secrets_are_for_the_owner_s_eyes_only(sandbox):
    folder = sandbox.folder / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


@pytest.mark.parametrize("key", ["", "wrong", None])
def test_the_dials_turn_for_the_holder_of_the_key_only(key, sandbox):
    headers = {} if key is None else {"X-Sandbox-Key": key}
    url = f"{sandbox.control_port}/token-seconds"
    answer = web(sandbox).post(
        url, json={"seconds": 9999}, headers=headers, timeout=SECONDS
    )
    assert answer.status_code == 403


# endregion


# region: secrets
TOKEN = re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY")
PRIVATE = ("secrets", "tls", "tokens")


def spellings(secret: str) -> set[bytes]:
    """A secret as it stands, as base64 and in an address."""
    ways = (secret, base64.b64encode(secret.encode()).decode(), quote(secret, safe=""))
    return {way.encode() for way in ways}


def leaks(secrets: dict[str, str], data: bytes) -> list[str]:
    """The names of the secrets that stand in some bytes."""
    return [
        name
        for name, secret in secrets.items()
        if any(way in data for way in spellings(secret))
    ]


def public_files(sandbox: Sandbox) -> list[Path]:
    """Every file of a sandbox but those that are there to hold a secret."""
    found = [path for path in sandbox.folder.rglob("*") if path.is_file()]
    places = [(path, path.relative_to(sandbox.folder).parts[0]) for path in found]
    return [path for path, place in places if place not in (*PRIVATE, "node")]


@pytest.fixture(scope="module")
def used(sandbox: Sandbox) -> dict[str, str]:
    """Every secret of the sandbox, after each was used once, rightly and wrongly."""
    files = (sandbox.folder / "secrets").iterdir()
    known = {file.name: file.read_text().strip() for file in files}
    known["signing-key.json"] = json.loads(known["signing-key.json"])["d"]
    attempt = authorize(sandbox, "alice")
    issued = redeem(sandbox, attempt).json()
    visit = Visit(sandbox, "bob")
    callback = visit.begin()
    visit.open(callback)
    typed = {"login": "alice", "password": "a-password-that-was-mistyped"}
    page = web(sandbox)
    url = f"{sandbox.issuer}/auth"
    form = page.get(url, params=attempt.asks(), timeout=SECONDS)
    page.post(form.url, data=typed, timeout=SECONDS)
    create_run(sandbox, bearer(issued), "team-a")
    mlflow(sandbox, SEARCH, {"Authorization": f"Bearer {issued['access_token']}"})
    refresh(sandbox, issued["refresh_token"])
    names = ("id_token", "access_token", "refresh_token")
    return {
        **known,
        **{name: issued[name] for name in names},
        "a code": attempt.code,
        "the proxy's code": attacker.query(callback)["code"],
        "a verifier": attempt.verifier,
        "a session cookie": visit.cookie(SESSION),
        "a mistyped password": typed["password"],
    }


def test_no_file_of_the_sandbox_tells_a_secret(sandbox, used):
    files = public_files(sandbox)
    logs = [path for path in files if path.is_relative_to(sandbox.logs)]
    assert len(logs) >= 3 and all(path.stat().st_size for path in logs)
    assert sandbox.folder / "sandbox.json" in files
    told = {path: leaks(used, path.read_bytes()) for path in files}
    assert {path: names for path, names in told.items() if names} == {}


def test_no_process_of_the_sandbox_tells_a_secret(sandbox, used):
    for process in processes(sandbox):
        for kind in ("cmdline", "environ"):
            data = Path(f"/proc/{process.pid}/{kind}").read_bytes()
            assert data
            assert leaks(used, data) == []


@pytest.mark.parametrize("folder", ["_build/executed", "receipts"])
def test_no_output_and_no_receipt_tells_a_secret(folder, used):
    files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    if not files:
        pytest.skip(f"{folder} holds nothing yet")
    for path in files:
        data = path.read_bytes()
        assert leaks(used, data) == [], path
        assert not TOKEN.search(data), path


def test_a_planted_secret_is_found(sandbox, used, tmp_path):
    """The canary of the search: in each spelling, of each secret, in a log."""
    log = tmp_path / "a.log"
    for name, secret in used.items():
        for way in spellings(secret):
            log.write_bytes(b"GET /callback?code=" + way + b" 200\n")
            assert name in leaks(used, log.read_bytes())
    assert TOKEN.search(f"a token: {used['id_token']}".encode())
    planted = sandbox.logs / "planted.log"
    planted.write_text(used["alice.password"])
    try:
        assert planted in public_files(sandbox)
    finally:
        planted.unlink()


# endregion
