"""Starts a sandbox's processes, finds them again, and ends them for certain."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from verify.sandbox.state import SandboxError

# Every process of a sandbox carries this: its folder, a bar, the part's name. A number
# alone would not tell it from a stranger who was given the same pid later.
MARK = "HANDBOOK_SANDBOX_PART"
# What a part is given of the environment: nothing that could change what it does.
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
TIED = Path(__file__).with_name("tied.py")
SECONDS = 10  # to be gone; one with many threads needs a while on a busy machine
_STARTED: list[subprocess.Popen[bytes]] = []


def spawn(
    folder: Path,
    part: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    tied: bool,
) -> subprocess.Popen[bytes]:
    """Start a part in a session of its own, with its output in ``logs/PART.log``.

    Parameters
    ----------
    folder : Path
        The sandbox's folder.
    part : str
        The part's name.
    command : sequence of str
        The program and its arguments. No secret: arguments are seen by everybody.
    environment : mapping
        Its variables, beside the few in `KEPT`.
    tied : bool
        End it with the calling process, however that ends. Linux only, and only from
        the main thread, with which it would otherwise not end.
    """
    if tied:
        command = [*_tie(), *command]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    mark = {MARK: f"{folder}|{part}"}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with open(os.open(folder / "logs" / f"{part}.log", flags, 0o600), "ab") as log:
        started = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, **environment, **mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    _STARTED.append(started)
    return started


def _tie() -> list[str]:
    if sys.platform != "linux":
        raise SandboxError("Only Linux can tie a sandbox's processes to another.")
    if threading.current_thread() is not threading.main_thread():
        raise SandboxError("Start a tied sandbox from the main thread.")
    return [sys.executable, "-I", "-S", str(TIED), str(os.getpid())]


def living(folder: Path) -> dict[str, list[psutil.Process]]:
    """Return the processes of a folder's sandbox by part, whoever started them."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
        except (psutil.Error, OSError):  # another user's, or ended meanwhile
            continue
        home, _, part = mark.rpartition("|")
        if home == str(folder):
            found.setdefault(part, []).append(process)
    return found


def end(processes: Sequence[psutil.Process]) -> None:
    """Kill processes and wait until they are gone.

    Raises
    ------
    SandboxError
        If one is still there after 10 s.
    """
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + SECONDS
    while alive := [process for process in processes if not gone(process)]:
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in alive)
            raise SandboxError(f"Process {pids} does not end; look at it with ps.")
        time.sleep(0.01)
    for mine in _STARTED:
        mine.poll()  # takes note of those that ended, so that none stays a zombie


def gone(process: psutil.Process) -> bool:
    """Say whether a process has ended, even if its parent has not taken note of it.

    Its ports are open until its last thread has ended, which its first may precede.
    """
    try:
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return zombie and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


def memory(process: psutil.Process) -> tuple[int, int]:
    """Return the bytes a process has in memory: RSS, and PSS where Linux tells.

    PSS divides pages that several processes share by their number, so it may be added
    up; see proc_pid_smaps(5).
    """
    from verify import machine

    rss = process.memory_info().rss
    return rss, machine.memory(process.pid) or rss
