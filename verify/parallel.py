"""Keeps as many notebooks in flight as the machine has room for, and none for long."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify import beside, budget, crew, display, ending, flight, machine, versions
from verify.beside import Beside
from verify.budget import Budget, Need
from verify.catalog import CatalogError, Entry
from verify.display import Display, Show
from verify.execute import Interrupted
from verify.flight import Flight
from verify.receipts import Receipt
from verify.reuse import blank, drop, recorded
from verify.standalone import sandbox

TICK = 0.05


@dataclass(frozen=True)
class Options:
    """How one command runs its notebooks.

    ``sockets`` is a folder with a short path, ``beside`` the sandbox for those that
    need one, ``workbenches`` where standalone copies leave what they installed.
    """

    profile: str
    threads: int
    display: Display
    sockets: Path
    beside: Beside | None = None
    workbenches: Path | None = None


def execute(
    root: Path,
    entries: Sequence[Entry],
    profile: str,
    jobs: int | None,
    show: Show,
) -> dict[str, Receipt]:
    """Run notebooks, as many at once as the machine has room for.

    Parameters
    ----------
    root : Path
        The repository root.
    entries : sequence of Entry
        What runs.
    profile : str
        The profile to run under.
    jobs : int or None
        How many at once, at most.
    show : Show
        How to tell of it.

    Raises
    ------
    CatalogError
        When the machine lacks what a notebook needs, or another command runs it.
    Interrupted
        On Ctrl-C or SIGTERM, after every kernel and the sandbox were ended.
    """
    _able(entries, profile)
    with (
        _locked(root, entries),
        tempfile.TemporaryDirectory(prefix="verify-") as sockets,
        _signals_raise(),
        contextlib.ExitStack() as stack,
        display.choose(show) as screen,
    ):
        crew.prepare()  # loads while the sandbox starts
        box = stack.enter_context(beside.started(root, entries, profile, screen.say))
        waiting = budget.needs(entries, profile)
        accelerated = any(need.gpu for need in waiting)
        purse = Budget.of_machine(jobs, accelerated)
        threads = machine.cores() // max(1, len(purse.gpus)) if accelerated else 1
        screen.say(f"{len(waiting)} to run, {purse.words()}")
        benches = stack.enter_context(sandbox.shared(root, entries, profile))
        sockets = Path(sockets)
        options = Options(profile, max(1, threads), screen, sockets, box, benches)
        return _execute_all(waiting, purse, options)


def _able(entries: Sequence[Entry], profile: str) -> None:
    """Refuse to begin where the machine lacks what a notebook needs."""
    for needs in dict.fromkeys(entry.profiles[profile].needs for entry in entries):
        entry = next(e for e in entries if e.profiles[profile].needs == needs)
        lacking = machine.unmet(entry.profiles[profile])
        if lacking:
            raise CatalogError(f"{entry.name}: profile {profile!r} {lacking}")


def _execute_all(
    waiting: list[Need], purse: Budget, options: Options
) -> dict[str, Receipt]:
    """Keep as many in flight as fit; return each one's receipt."""
    results: dict[str, Receipt] = {}
    running: list[Flight] = []
    try:
        while waiting or running:
            while taken := purse.take(waiting):
                need, gpu = taken
                waiting.remove(need)
                started = _start(need, gpu, options)
                if isinstance(started, Flight):
                    running.append(started)
                else:
                    results[started.notebook] = started
                    purse.give_back(started.notebook)
            time.sleep(TICK)
            for one in list(running):
                flight.watch(one)
                if one.ended:
                    running.remove(one)
                    purse.give_back(one.entry.name)
                    receipt = flight.land(one)
                    results[receipt.notebook] = receipt
                    options.display.say(display.line(receipt))
            options.display.show(running, len(waiting))
    finally:
        for one in running:
            flight.end(one)
    return results


def _start(need: Need, gpu: str | None, options: Options) -> Flight | Receipt:
    """Drop what an earlier run left, and start a worker; or say what forbids it."""
    entry, profile = need.entry, options.profile
    drop(entry, profile)
    receipt = blank(entry, profile, gpu)
    problem = _problem(entry, receipt)
    if problem:
        receipt = recorded(ending.failed(receipt, "setup", problem), entry)
        options.display.say(display.line(receipt))
        return receipt
    options.display.say(
        f"{entry.name} [{profile}] started, limit {entry.time_limit:g} s"
    )
    return flight.start(
        entry,
        receipt,
        sockets=options.sockets,
        expected=need.seconds,
        gpu=gpu,
        threads=options.threads,
        beside=options.beside if beside.needed(entry, profile) else None,
        workbenches=options.workbenches,
    )


def _problem(entry: Entry, receipt: Receipt) -> str | None:
    """Say what forbids a run before it begins, or None."""
    parameters, chosen = receipt.parameters, entry.profiles[receipt.profile]
    asked = {**parameters["injected"], **chosen.again}
    unknown = [name for name in asked if name not in parameters["published"]]
    if unknown:
        return f"no cell tagged 'parameters' assigns: {', '.join(unknown)}"
    if chosen.alone:
        return sandbox.lacking()  # it brings its own packages
    absent = machine.missing(entry.packages)
    if absent:
        return f"not installed, though the catalog lists it: {', '.join(absent)}"
    differing = versions.installed(receipt.key_parts["versions"])[1]
    if differing:
        return (
            f"this environment is not the locked one: {'; '.join(differing)}; "
            "run it through python3 noxfile.py"
        )
    return None


@contextlib.contextmanager
def _locked(root: Path, entries: Sequence[Entry]) -> Iterator[None]:
    """Keep a second command from running the same notebook in the same folders."""
    import fcntl

    with contextlib.ExitStack() as stack:
        for entry in entries:
            path = root / "_build" / "jobs" / f"{entry.name}.lock"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CatalogError(
                    f"{entry.name} is being run by another command; wait for it"
                ) from error
        yield


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an exception, so that kernels end on its way."""

    def stop(number: int, _: Any) -> None:
        raise Interrupted(signal.Signals(number).name)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
