"""Keeps secrets out of what is printed: a type that hides itself, and a filter for
texts of others that may repeat one."""

from __future__ import annotations

import html
import json
import re
import weakref
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
SHORTEST = 4  # a shorter secret is part of ordinary words; nothing is filtered for it

_alive: weakref.WeakValueDictionary[int, Secret] = weakref.WeakValueDictionary()
_telling = re.compile(
    r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*"  # a JSON Web Token
    r"|(?<=Bearer )[\w.~+/-]+=*"
    r"|(?<=Basic )[\w+/-]{8,}=*"
    r"|((?:\b|%3F|%26)(?:\w+_)?(?:token|secret|verifier|code|state|nonce|password|session)"
    r"(?:=|%3D|\"?: ?\"))[^&\s\"']+",
    re.IGNORECASE,
)


class Secret:
    """A text that shows itself to nobody who does not ask for it by :meth:`reveal`.

    Printing, formatting and tracebacks show ``Secret([hidden])``; pickling is an
    error, since a pickle shows everything.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        _alive[id(self)] = self

    def reveal(self) -> str:
        """Return the text itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> tuple:
        raise TypeError("a secret is not pickled: hand on the file that holds it")


def redact(text: str) -> str:
    """Return the text without any secret that this process holds at this moment.

    Also hides what has the form of one: JSON Web Tokens, ``Authorization`` values and
    parameters such as ``code=``. A secret is found as it is and escaped for a URL,
    JSON or HTML; one of fewer than :data:`SHORTEST` characters is not looked for.
    """
    held = {one for ref in _alive.valuerefs() for one in _spellings(ref())}
    if held:
        longest_first = sorted(held, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, longest_first)), HIDDEN, text)
    return _telling.sub(lambda found: (found[1] or "") + HIDDEN, text)


def _spellings(secret: Secret | None) -> set[str]:
    """Return how a secret may look in a text; empty for one too short to look for."""
    value = secret.reveal() if secret is not None else ""
    if len(value) < SHORTEST:
        return set()
    escaped = {html.escape(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
    return {value, quote(value, safe=""), quote(value), quote_plus(value), *escaped}


def quoted(text: str, most: int = 200) -> str:
    """Return a server's text for a message: one line, cut, without secrets."""
    line = " ".join(redact(text).split())
    line = "".join(c for c in line if c.isprintable())
    return line if len(line) <= most else f"{line[:most]}…"


def place(url: str) -> str:
    """Return a URL without user, query and fragment, which may hold secrets."""
    scheme, mark, rest = re.split("[?#]", url, maxsplit=1)[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"
