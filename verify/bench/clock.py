"""Times whole processes, taking turns, so that a noisy minute hurts all tools alike."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT = 600


class BenchError(Exception):
    """A tool did not do what is measured, so its time means nothing."""


@dataclass(frozen=True)
class Done:
    """One finished process: its seconds, what it printed, its processor time."""

    seconds: float
    text: str
    cpu: float


def timed(command: Sequence[str], cwd: Path, **env: str) -> Done:
    """Run one process to its end and return how long it took.

    Parameters
    ----------
    command : sequence of str
        What to run; the clock covers all of it, from start to exit.
    cwd : Path
        Where to run it.
    **env : str
        Added to the environment.

    Raises
    ------
    BenchError
        If it fails or takes longer than ten minutes.
    """
    began, busy = time.perf_counter(), _busy()
    try:
        done = subprocess.run(
            list(command),
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{_short(command)} took more than {LIMIT} s") from error
    seconds = time.perf_counter() - began
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise BenchError(f"{_short(command)} ended with {done.returncode}:\n{tail}")
    return Done(seconds, done.stdout, _busy() - busy)


def in_turns(
    runs: int, jobs: Mapping[str, Callable[[], float]], what: str
) -> dict[str, list[float]]:
    """Run every job ``runs`` times, in an order that turns round each time.

    Parameters
    ----------
    runs : int
        How often each job runs.
    jobs : mapping of str to callable
        Name of the tool -> what runs it and returns seconds.
    what : str
        Names the measurement in the lines of progress.
    """
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(runs):
        order = list(jobs) if number % 2 == 0 else list(reversed(jobs))
        for name in order:
            found[name].append(round(jobs[name](), 4))
        told = ", ".join(f"{name} {found[name][-1]:.2f} s" for name in jobs)
        say(f"{what}, {number + 1} of {runs}: {told}")
    return found


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"bench > {text}", flush=True)


def repeated(runs: int, job: Callable[[], Done], what: str) -> dict[str, list[float]]:
    """Run one job ``runs`` times; return its seconds beside its processor time.

    The second tells what it takes where something else runs on the machine too.
    """
    found: dict[str, list[float]] = {"seconds": [], "cpu": []}
    for number in range(runs):
        done = job()
        found["seconds"].append(round(done.seconds, 4))
        found["cpu"].append(round(done.cpu, 4))
        took = f"{done.seconds:.2f} s, {done.cpu:.2f} s of processor time"
        say(f"{what}, {number + 1} of {runs}: {took}")
    return found


def _busy() -> float:
    """Return the processor time of all processes that this one has waited for."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _short(command: Sequence[str]) -> str:
    words = [Path(command[0]).name, *command[1:]]
    return " ".join(words)[:120].splitlines()[0]
