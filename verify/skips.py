"""Says what may be skipped: never without a probe, a reason, an owner and an end."""

from __future__ import annotations

import datetime
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.version import Version

from verify import machine

KEYS = ("probe", "reason", "owner", "expires")
LONGEST = 366  # days: a skip that nobody looks at for a year is a deletion
EXIT_CODE = 77  # how a shell is told of a skip, after Automake


class SkipError(ValueError):
    """A skip is not declared as it must be, or its probe cannot decide."""


@dataclass(frozen=True)
class Skip:
    """A declared wish not to run a notebook under a profile.

    Attributes
    ----------
    probe, argument : str, any
        The name of a probe and what it is asked, for instance ``lacks`` and ``cuda``.
        The notebook is skipped only where the probe says so.
    reason : str
        What a reader needs to know.
    owner : str
        Who mends it, or renews the skip.
    expires : date
        The last day on which it may be skipped; afterwards the run fails.
    """

    probe: str
    argument: Any
    reason: str
    owner: str
    expires: datetime.date

    def expired(self, today: datetime.date | None = None) -> str | None:
        """Say in one sentence that the skip has expired, or None."""
        if (today or _today()) <= self.expires:
            return None
        return (
            f"its skip expired on {self.expires}: {self.owner} must mend the cause "
            f"({self.reason}) or give a new date with a reason"
        )

    def observed(self) -> str | None:
        """Ask the probe; return what it saw when it says skip, else None.

        Raises
        ------
        SkipError
            When the probe cannot decide.
        """
        return PROBES[self.probe](self.argument)

    def told(self, observed: str) -> dict[str, str]:
        """Return the skip as a receipt holds it."""
        return {
            "probe": f"{self.probe}: {self.argument}",
            "observed": observed,
            "reason": self.reason,
            "owner": self.owner,
            "expires": self.expires.isoformat(),
        }


def parse(value: Any, today: datetime.date | None = None) -> Skip:
    """Read one ``skip:`` of the catalog.

    Parameters
    ----------
    value : mapping
        ``probe`` (one probe's name to what it is asked), ``reason``, ``owner``,
        ``expires`` (a date, at most a year ahead).

    Raises
    ------
    SkipError
        Naming the key that is missing, unknown or ill-typed.
    """
    if not isinstance(value, Mapping):
        raise SkipError(f"must be a mapping with {', '.join(KEYS)}, not {value!r}")
    for key in KEYS:
        if value.get(key) in (None, "", {}):
            raise SkipError(f"a skip without {_article(key)} is a silent pass: add it")
    for key in value:
        if key not in KEYS:
            raise SkipError(f"unknown key {key!r}; known keys: {', '.join(KEYS)}")
    for key in ("reason", "owner"):
        if not isinstance(value[key], str) or not value[key].strip():
            raise SkipError(f"{key} must be a text, not {value[key]!r}")
    name, argument = _probe(value["probe"])
    expires = _date(value["expires"], today or _today())
    return Skip(name, argument, value["reason"], value["owner"], expires)


def _probe(value: Any) -> tuple[str, Any]:
    known = ", ".join(PROBES)
    if not isinstance(value, Mapping) or len(value) != 1:
        raise SkipError(f"probe must name one probe and what it is asked; use: {known}")
    name, argument = next(iter(value.items()))
    if name not in PROBES:
        raise SkipError(f"unknown probe {name!r}; known probes: {known}")
    return name, argument


def _date(value: Any, today: datetime.date) -> datetime.date:
    if isinstance(value, str):
        try:
            value = datetime.date.fromisoformat(value)
        except ValueError as error:
            raise SkipError(f"expires is no date such as 2027-01-31: {error}") from None
    if not isinstance(value, datetime.date):
        raise SkipError(f"expires must be a date such as 2027-01-31, not {value!r}")
    if (value - today).days > LONGEST:
        raise SkipError(f"expires is {value}; a skip may last a year at most")
    return value


def _lacks(need: Any) -> str | None:
    """``lacks: cuda``, ``npu``, ``sandbox``…: skip where the machine has none."""
    if need not in machine.PROBES:
        raise SkipError(f"probe lacks knows {', '.join(machine.PROBES)}, not {need!r}")
    return machine.lacks(need)


def _cpu_lacks(flag: Any) -> str | None:
    """``cpu_lacks: avx512_bf16``: skip where the processor has no such feature."""
    flags = machine.all_flags()
    if not flags:
        raise SkipError("probe cpu_lacks found no processor features on this machine")
    return None if flag in flags else f"the processor has no {flag}"


def _memory_below(gib: Any) -> str | None:
    """``memory_below_gib: 16``: skip where less memory can be had."""
    have = machine.memory_limit() / 2**30
    return f"{have:.1f} GiB of memory, {gib} needed" if have < gib else None


def _cores_below(count: Any) -> str | None:
    """``cores_below: 4``: skip where fewer cores can be had."""
    have = machine.cores()
    return f"{have} cores, {count} needed" if have < count else None


def _not_installed(name: Any) -> str | None:
    """``not_installed: unsloth``: skip where a distribution is not installed."""
    return f"{name} is not installed" if machine.missing((str(name),)) else None


def _older_than(versions: Any) -> str | None:
    """``older_than: {trl: "1.15"}``: skip where an older one is installed."""
    if not isinstance(versions, Mapping):
        raise SkipError(f"probe older_than takes name: version, not {versions!r}")
    for name, wanted in versions.items():
        if machine.missing((str(name),)):
            continue
        have = metadata.version(name)
        if Version(have) < Version(str(wanted)):
            return f"{name} {have} is installed, {wanted} needed"
    return None


def _command(words: Any) -> str | None:
    """``command: [...]``: exit code 0 means skip, 1 means run, all else is an error."""
    if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
        raise SkipError(f"probe command takes a list of words, not {words!r}")
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=60, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SkipError(f"probe `{' '.join(words)}` did not run: {error}") from error
    if done.returncode not in (0, 1):
        raise SkipError(
            f"probe `{' '.join(words)}` ended with exit code {done.returncode}; "
            f"0 means skip, 1 means run: {done.stderr.strip()[-200:]}"
        )
    said = done.stdout.strip() or f"`{' '.join(words)}` says so"
    return said if done.returncode == 0 else None


PROBES: dict[str, Callable[[Any], str | None]] = {
    "lacks": _lacks,
    "cpu_lacks": _cpu_lacks,
    "memory_below_gib": _memory_below,
    "cores_below": _cores_below,
    "not_installed": _not_installed,
    "older_than": _older_than,
    "command": _command,
}


def _article(key: str) -> str:
    return {"owner": "an owner", "expires": "an expiry date (expires)"}.get(
        key, f"a {key}"
    )


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
