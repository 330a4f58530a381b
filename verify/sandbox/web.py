"""Asks the sandbox's own servers, past any proxy and CA bundle of the environment."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """An HTTP answer: its status and its body."""

    status: int
    text: str


def ask(
    address: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str | None = None,
    *,
    ca: Path | None = None,
    seconds: float = 10,
) -> Answer:
    """Send one request and return its answer; redirects are not followed.

    Parameters
    ----------
    address : str
        An ``http`` or ``https`` address on this machine.
    method, headers, body
        What is sent.
    ca : Path, optional
        The certificate to trust, for ``https``.
    seconds : float
        How long to wait for the connection and for each part of the answer.

    Raises
    ------
    OSError, http.client.HTTPException
        If nobody answers there.
    """
    parts = urlsplit(address)
    if parts.scheme == "https":
        trust = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=seconds, context=trust
        )
    else:
        connection = http.client.HTTPConnection(
            parts.hostname, parts.port, timeout=seconds
        )
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        connection.request(method, target, body=body, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(errors="replace"))
    finally:
        connection.close()
