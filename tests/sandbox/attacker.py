"""Signs in as a browser would, and makes tokens that no provider ever issued."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from verify.sandbox import Sandbox

SCOPE = "openid email groups offline_access"
SECONDS = 10
ACTION = re.compile(r'<form method="post" action="([^"]+)"')


def web(sandbox: Sandbox) -> requests.Session:
    """A browser's start: no cookies, the sandbox's authority trusted, nobody else's."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(sandbox.ca)
    return session


@dataclass
class Attempt:
    """One trip to the provider: what the client keeps, and where it was sent back."""

    client: str
    redirect_uri: str
    scope: str = SCOPE
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    callback: str = ""

    @property
    def code(self) -> str:
        return query(self.callback)["code"]

    def asks(self) -> dict[str, str]:
        """The authorization request of RFC 6749, with PKCE (RFC 7636)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return {
            "client_id": self.client,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": self.scope,
            "state": self.state,
            "code_challenge": encode(digest),
            "code_challenge_method": "S256",
        }


def query(url: str) -> dict[str, str]:
    """The query of an address, one value a name."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def sign_in(session: requests.Session, sandbox: Sandbox, user: str, url: str) -> str:
    """Walk through the login page, and return where the provider sends the browser."""
    answer = session.get(url, allow_redirects=False, timeout=SECONDS)
    while answer.is_redirect:
        url = urljoin(url, answer.headers["Location"])
        if "/dex/" not in urlsplit(url).path:
            return url
        answer = session.get(url, allow_redirects=False, timeout=SECONDS)
        if form := ACTION.search(answer.text):
            fields = {"login": user, "password": sandbox.secret(f"{user}.password")}
            url = urljoin(url, form[1])
            answer = session.post(
                url, data=fields, allow_redirects=False, timeout=SECONDS
            )
    raise AssertionError(f"the provider did not send {user} back: {answer.status_code}")


def authorize(sandbox: Sandbox, user: str, client: str | None = None) -> Attempt:
    """Sign a user in for a client, up to the code."""
    attempt = Attempt(client or sandbox.client_id, sandbox.redirect_uri)
    prepared = requests.Request("GET", f"{sandbox.issuer}/auth", params=attempt.asks())
    url = str(prepared.prepare().url)
    attempt.callback = sign_in(web(sandbox), sandbox, user, url)
    return attempt


def redeem(sandbox: Sandbox, attempt: Attempt, **changes: str) -> requests.Response:
    """Exchange a code for tokens, as RFC 6749, section 4.1.3, wants it."""
    form = {
        "grant_type": "authorization_code",
        "code": attempt.code,
        "redirect_uri": attempt.redirect_uri,
        "code_verifier": attempt.verifier,
    }
    return token_endpoint(sandbox, {**form, **changes}, attempt.client)


def refresh(sandbox: Sandbox, token: str) -> requests.Response:
    """Ask for new tokens with a refresh token."""
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return token_endpoint(sandbox, form, sandbox.client_id)


def token_endpoint(
    sandbox: Sandbox, form: dict[str, str], client: str
) -> requests.Response:
    """Post a form to the token endpoint as a client with its secret."""
    names = {sandbox.client_id: "client", sandbox.other_client_id: "other-client"}
    secret = sandbox.secret(f"{names[client]}.secret")
    url = f"{sandbox.issuer}/token"
    return web(sandbox).post(url, data=form, auth=(client, secret), timeout=SECONDS)


def tokens(sandbox: Sandbox, user: str, client: str | None = None) -> dict[str, Any]:
    """The tokens of a user who signed in for a client."""
    answer = redeem(sandbox, authorize(sandbox, user, client))
    assert answer.status_code == 200, answer.text
    return answer.json()


class Forger:
    """Holds the provider's real key, so that each forgery is wrong in one point only.

    An attacker has no such key. With it, a refusal is owed to the check under test and
    to no other.
    """

    def __init__(self, sandbox: Sandbox, genuine: str) -> None:
        jwk = json.loads(sandbox.secret("signing-key.json"))
        self.key = _private_key(jwk)
        self.public = self.key.public_key()
        header, claims, self.signature = genuine.split(".")
        self.header, self.claims = decode(header), decode(claims)

    def token(self, header: dict | None = None, key: Any = None, **claims: Any) -> str:
        """A token with the genuine claims but for `claims`; None leaves one out."""
        merged = {**self.claims, **claims}
        body = {name: value for name, value in merged.items() if value is not None}
        start = f"{pack({**self.header, **(header or {})})}.{pack(body)}"
        return f"{start}.{encode(_sign(key or self.key, start))}"

    def unsigned(self, algorithm: str, signature: str = "", **claims: Any) -> str:
        """A token without a signature, or with somebody else's."""
        header = {**self.header, "alg": algorithm}
        return f"{pack(header)}.{pack({**self.claims, **claims})}.{signature}"

    def confused(self, **claims: Any) -> str:
        """An HMAC token whose secret is the public key, which everybody has."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = self.public.public_bytes(serialization.Encoding.PEM, form)
        return self.token({"alg": "HS256"}, key=pem, **claims)

    def self_signed(self, **claims: Any) -> str:
        """A token signed by the attacker's key, which its header brings along."""
        own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = own.public_key().public_numbers()
        jwk = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        return self.token({"jwk": jwk}, key=own, **claims)


def _private_key(jwk: dict[str, str]) -> rsa.RSAPrivateKey:
    whole = {name: int.from_bytes(unpack(jwk[name])) for name in "nedpq"}
    n, e, d, p, q = (whole[name] for name in "nedpq")
    public = rsa.RSAPublicNumbers(e, n)
    parts = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *parts, public).private_key()


def _sign(key: Any, text: str) -> bytes:
    if isinstance(key, bytes):
        return hmac.new(key, text.encode(), hashlib.sha256).digest()
    return key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())


def seal(pem: str, data: bytes) -> bytes:
    """Bytes under RSA with PKCS#1 v1.5 padding, as the login API takes them."""
    public = serialization.load_pem_public_key(pem.encode())
    return public.encrypt(data, padding.PKCS1v15())


def encode(data: bytes) -> str:
    """Base64url without padding, as RFC 7515 writes it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unpack(text: str) -> bytes:
    """The bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(value: int) -> str:
    """A number as RFC 7518 writes those of a key."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8))


def pack(part: dict[str, Any]) -> str:
    """A header or claims, as they stand in a token."""
    return encode(json.dumps(part).encode())


def decode(part: str) -> dict[str, Any]:
    """A token's header or claims, unchecked."""
    return json.loads(unpack(part))


def now() -> int:
    """The time as tokens count it."""
    return int(time.time())
