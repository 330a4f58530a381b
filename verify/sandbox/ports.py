"""Chooses free ports on loopback, out of the way of outgoing connections."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence

from verify.sandbox.state import SandboxError

# Below what Linux, macOS and Windows take for outgoing connections (RFC 6335 leaves
# 49152 and above to them, Linux starts at 32768): a port that was free stays free.
FIRST, LAST = 18_000, 32_000
ATTEMPTS = 200


def choose(names: Sequence[str]) -> dict[str, int]:
    """Return a free port for each name, side by side.

    Raises
    ------
    SandboxError
        If no such row of ports is free.
    """
    step = len(names)
    for _ in range(ATTEMPTS):
        base = random.randrange(FIRST, LAST, step)  # nosec B311 # no secret, a port
        if all(free(port) for port in range(base, base + step)):
            return {name: base + place for place, name in enumerate(names)}
    raise SandboxError(f"No {step} ports in a row are free from {FIRST} to {LAST}.")


def free(port: int) -> bool:
    """Say whether nobody listens on a port of the loopback address."""
    with socket.socket() as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
