"""Lets MLflow's own client fail in a fresh process for each row, and keeps its words.

MLflow keeps what it learned of a server for the life of a process. A child for each
attempt starts without that, and costs a fork instead of an import.
"""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from snippets import proof

FORK = multiprocessing.get_context("fork")
OURS = ("MLFLOW_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
LONGEST = 60  # seconds that one attempt may take
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
RANDOM = re.compile(
    r"\b(state|nonce|code_challenge|req|code)(=|%3D)[\w.~-]+(%3A[^&\s]*)?"
)
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


# region: said
@dataclass(frozen=True)
class Said:
    """What an attempt came to.

    Attributes
    ----------
    text
        What the call returned, or ``ErrorType: message``, in one line.
    error
        The type of the error, None if there was none.
    code
        ``error_code`` of an ``MlflowException``, where it has one.
    leaked
        Whether the message held a token; ``text`` shows ``eyJ…`` in its place.
    """

    text: str
    error: str | None = None
    code: str | None = None
    leaked: bool = False

    def __str__(self) -> str:
        return self.text
        # endregion: said


class Rows:
    """Runs calls in children, and speaks of places by names that do not change.

    Parameters
    ----------
    names
        Addresses of the sandbox, each with the one that a page shows for it.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = [(urlsplit(old), urlsplit(new)) for old, new in names.items()]

    # region: attempt
    def attempt(
        self, act: Callable[[], Any], environment: Mapping[str, str | None]
    ) -> Said:
        """Call ``act`` in a child that has these variables, and none that compete.

        MLflow's variables and those that name CA bundles are taken out first; a value
        of None stands for a variable that is not set.

        Raises
        ------
        RuntimeError
            If the child ends without an answer, or takes longer than a minute.
        """
        here, there = FORK.Pipe(duplex=False)
        child = FORK.Process(target=_answer, args=(act, environment, there))
        child.start()
        there.close()
        try:
            if not here.poll(LONGEST):
                raise RuntimeError(f"an attempt took longer than {LONGEST} s")
            text, error, code = here.recv()
        except EOFError as ended:
            raise RuntimeError("an attempt ended without an answer") from ended
        finally:
            child.kill()
            child.join()
            here.close()
        return Said(self.plain(text), error, code, bool(JWT.search(text)))
        # endregion: attempt

    def plain(self, text: str) -> str:
        """Return a text in one line without tokens, ports, ids and random values."""
        for old, new in self.names:
            pool = f"host='{old.hostname}', port={old.port}"
            port = new.port or {"https": 443, "http": 80}[new.scheme]
            text = text.replace(pool, f"host='{new.hostname}', port={port}")
            for colon in (":", "%3A"):
                place = f"{old.hostname}{colon}{old.port}"
                text = text.replace(place, new.netloc.replace(":", colon))
        text = JWT.sub("eyJ…", text)
        text = ADDRESS.sub("0x…", RANDOM.sub(r"\1\2…", text))
        return " ".join(text.split())


def record(name: str, said: Said, fixed: Said | str, ours: str | None = None) -> None:
    """Print a symptom and what its cure came to, and record the cure as an outcome.

    Parameters
    ----------
    name
        The row; the outcome has this name.
    said, fixed
        What was said before and after.
    ours
        What the handbook's package makes of the same, an outcome with ``_ours`` after
        the name: a class of :mod:`snippets.mlflow_auth.errors`, or success.
    """
    print(said)
    print(f"fixed: {fixed}")
    proof.record(name, str(fixed))
    if ours is not None:
        print(f"with the handbook's package: {ours}")
        proof.record(f"{name}_ours", ours)


def _answer(act: Callable[[], Any], environment: Mapping, there: Any) -> None:
    """Run in the child: send what ``act`` returns, or the error that it raises."""
    for name in [one for one in os.environ if one.startswith(OURS)]:
        del os.environ[name]
    os.environ.update({k: v for k, v in environment.items() if v is not None})
    try:
        with _silence():
            told = (str(act()), None, None)
    except Exception as error:
        kind = type(error).__name__
        told = (f"{kind}: {error}", kind, getattr(error, "error_code", None))
    there.send(told)
    there.close()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep links, hints and log lines of a library out of the notebook."""
    logging.disable(logging.CRITICAL)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
