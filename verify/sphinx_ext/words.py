"""Says values, limits, durations and dates in the few words that fit on a page."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any

from verify.receipts import Receipt

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def value(raw: Any, spec: str = "") -> str:
    """Return an outcome as text, with an optional Python format such as ``.2f``.

    Raises
    ------
    ValueError
        If the format does not fit the value.
    """
    if isinstance(raw, list):
        return ", ".join(value(item, spec) for item in raw)
    if spec:
        if isinstance(raw, bool | str):
            raise ValueError(f"format {spec!r} does not fit {raw!r}")
        return format(raw, spec)
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int):
        return f"{raw:,}"
    if isinstance(raw, float):
        return f"{raw:.4g}" if abs(raw) < 1e4 else f"{raw:,.0f}"
    return "none" if raw is None else str(raw)


def shortened(raw: Any) -> str:
    """Return an outcome for a table: a long list keeps its ends."""
    if isinstance(raw, list) and len(raw) > 6:
        return f"{value(raw[:3])}, …, {value(raw[-1])} ({len(raw)} values)"
    return value(raw)


def limit(expect: Mapping[str, Any] | None) -> str:
    """Return what an outcome had to satisfy, such as ``≥ 0.95``."""
    if not expect:
        return "—"
    if "equals" in expect:
        return f"= {value(expect['equals'])}"
    low, high = expect.get("min"), expect.get("max")
    if low is not None and high is not None:
        return f"{value(low)} to {value(high)}"
    return f"≥ {value(low)}" if low is not None else f"≤ {value(high)}"


def duration(seconds: float) -> str:
    """Return seconds as ``41 s`` or ``2 min 5 s``."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def date(started: str) -> str:
    """Return the day of an ISO 8601 time as ``23 Nov 2026``."""
    moment = datetime.datetime.fromisoformat(started)
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"


def device(receipt: Receipt) -> str:
    """Return the hardware in a few words: ``CPU, 2 cores`` or the accelerators."""
    found = receipt.device
    if gpus := found.get("gpus"):
        first = gpus[0].get("name", "GPU")
        return first if len(gpus) == 1 else f"{len(gpus)} × {first}"
    if found.get("kind") != "cpu":
        return str(found.get("kind", "unknown")).upper()
    return f"CPU, {plural(found['cores'], 'core')}" if found.get("cores") else "CPU"


def day(when: datetime.date) -> str:
    """Return a date as ``31 Jan 2027``."""
    return date(when.isoformat())


def gib(size: float | None) -> str:
    """Return memory as ``1.25 GiB``; a dash where it was not measured."""
    return "—" if size is None else f"{size:.2f} GiB"


def sentence(text: str) -> str:
    """Return a reason as a sentence, with a capital and a period."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def plural(count: int, noun: str) -> str:
    """Return ``1 core`` or ``2 cores``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return names as ``a, b, c, …``, or ``none``."""
    known = list(names)
    more = ", …" if len(known) > most else ""
    return (", ".join(known[:most]) or "none") + more


def issue(link: str) -> str:
    """Return a public issue as ``trl#3067``; any other address as its host and path."""
    told = link.removeprefix("https://").removeprefix("github.com/")
    found = re.fullmatch(r"[^/]+/([^/]+)/(issues|pull)/(\d+)", told)
    return f"{found[1]}#{found[3]}" if found else told
