"""Behind an air gap a run asks nobody: tell the libraries, and see that it holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# region: variables
# Set these before any import: libraries read them once.
VARIABLES = {
    "HF_HUB_OFFLINE": "1",  # hub names are looked up in the local cache alone
    "HF_HUB_DISABLE_TELEMETRY": "1",  # no counts of what is loaded
    "MLFLOW_DISABLE_TELEMETRY": "true",  # MLflow 3 reports which calls are used
    "WANDB_MODE": "offline",  # where Weights & Biases is installed
    "UNSLOTH_DISABLE_STATISTICS": "1",  # read in its source, not run here
    "DO_NOT_TRACK": "true",  # what several tools agreed on
}


def set_variables() -> None:
    """Tell the libraries of this process, and those it starts, to stay offline.

    Raises
    ------
    RuntimeError
        If huggingface_hub was imported before: it would not see the variables.
    """
    if "huggingface_hub" in sys.modules:
        raise RuntimeError(
            "huggingface_hub is imported already and has read its settings: restart "
            "the kernel and call set_variables() first"
        )
    os.environ.update(VARIABLES)


# endregion: variables


# region: watch
LOCAL = ("127.", "::1", "localhost", "0.0.0.0")
WATCHED = ("socket.getaddrinfo", "socket.connect", "socket.sendto")
_lists: list[list[str]] = []
_hooked = False


@contextmanager
def watch() -> Iterator[list[str]]:
    """Refuse and list every address that Python code reaches for inside the block.

    It sees sockets of Python, of all threads; this machine itself is let through. A
    native library with sockets of its own is not seen: cut the network off to be sure.
    Processes that are started inside are not watched.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_look)  # cannot be removed, so it is added once
        _hooked = True
    tried: list[str] = []
    _lists.append(tried)
    try:
        yield tried
    finally:
        _lists.remove(tried)


def _look(event: str, args: tuple) -> None:
    if not _lists or event not in WATCHED:
        return
    address = args[0] if event == "socket.getaddrinfo" else args[1]
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    if not isinstance(host, str) or host.startswith((*LOCAL, "/")) or not host:
        return
    for tried in _lists:
        tried.append(host)
    raise OSError(f"{host} was asked for, and this block stays offline")


# endregion: watch
