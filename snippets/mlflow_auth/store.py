"""Keeps tokens in one file that processes share: locked, replaced whole, private."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from snippets.mlflow_auth.claims import decode
from snippets.mlflow_auth.errors import TokenFileUnusable
from snippets.mlflow_auth.secret import Secret

LOCK_SECONDS = 120.0  # a renewal takes two requests of at most 40 s


@dataclass(frozen=True)
class Tokens:
    """What a login gave; of the two secrets only their owner can see."""

    id_token: Secret
    refresh_token: Secret | None
    issuer: str
    client_id: str
    expires_at: float  # of the ID token, seconds since 1970
    account: str = ""  # MLFLOW_SSO_USERNAME at login; empty for a device login

    def seconds_left(self) -> float:
        """Return how long the ID token still lives, in seconds; negative afterwards."""
        return self.expires_at - time.time()

    def due(self) -> bool:
        """Return whether to renew now: in its last minute, or third if that is less."""
        issued = decode(self.id_token).get("iat", self.expires_at - 180)
        return self.seconds_left() < min(60.0, (self.expires_at - issued) / 3)


class TokenFile:
    """One login, shared by processes of one user on one machine or volume.

    Parameters
    ----------
    path
        The JSON file. Its folder is made with mode 0700; beside it lie ``.lock``,
        which stays, and for a moment ``.new``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self._lock = self.path.with_name(self.path.name + ".lock")

    def read(self) -> Tokens | None:
        """Return what the file holds, or nothing if there is no file.

        Raises
        ------
        TokenFileUnusable
            If others may read it, or it is not what :meth:`write` writes.
        """
        with _clear(self.path, "read"):
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            with open(descriptor, "rb") as file:
                mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
                text = file.read()
        if mode & 0o077:
            raise TokenFileUnusable(
                f"{self.path} has mode {mode:04o}: others may have read your tokens",
            )
        return self._parsed(text)

    def write(self, tokens: Tokens) -> None:
        """Replace the file under its lock; a writer that is killed leaves the old one.

        Raises
        ------
        TokenFileUnusable
            If it cannot be written, with the reason of the system.
        """
        with self.locked():
            self._replace(tokens)

    # region: renew
    def renew(
        self,
        stale: Tokens | None,
        fetch: Callable[[Tokens | None], Tokens],
        ours: Callable[[Tokens], bool] = lambda found: True,
    ) -> Tokens:
        """Return tokens newer than ``stale``, fetched by one process for all.

        A provider that rotates refresh tokens takes each once (RFC 9700, 4.14.2).
        So whoever waited for the lock reads the file again, and uses what another
        process has fetched meanwhile.

        Parameters
        ----------
        stale
            The tokens that expire or were rejected; none if there were none.
        fetch
            Gets what the file holds now, if anything, and returns new tokens.
        ours
            Says whether tokens in the file are of the login that is wanted.
        """
        with self.locked():
            found = self.read()
            alive = found is not None and found.seconds_left() > 0 and ours(found)
            if alive and (stale is None or found.id_token != stale.id_token):
                return found
            if found is not None:
                self._replace(found)  # a full disk is told before a token is used up
            fresh = fetch(found)
            self._replace(fresh)
            return fresh
        # endregion: renew

    @contextlib.contextmanager
    def locked(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the file's lock, against other processes and other threads.

        The lock is the kernel's: it ends with its process, however that ends.

        Raises
        ------
        TokenFileUnusable
            If another holds it for longer than ``seconds``.
        """
        with _clear(self._lock, "locked"):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._lock, flags, 0o600)
        try:
            end = time.monotonic() + seconds
            while not self._taken(descriptor):
                if time.monotonic() > end:
                    raise TokenFileUnusable(
                        f"another process has held {self._lock} for {seconds:.0f} s",
                        remedy="find it with `fuser` and end it, or wait",
                    )
                time.sleep(0.02)
            yield
        finally:
            # By name: a forked child holds the descriptor too, and would keep the lock.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _taken(self, descriptor: int) -> bool:
        """Return whether the lock is ours now."""
        with _clear(self._lock, "locked"):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _replace(self, tokens: Tokens) -> None:
        """Write beside, and move into place; the caller holds the lock."""
        fields = {
            "id_token": tokens.id_token.reveal(),
            "refresh_token": tokens.refresh_token and tokens.refresh_token.reveal(),
            "issuer": tokens.issuer,
            "client_id": tokens.client_id,
            "expires_at": tokens.expires_at,
            "account": tokens.account,
        }
        write_private(self.path, json.dumps(fields))

    def _parsed(self, text: bytes) -> Tokens:
        """Return the tokens in a file's text."""
        try:
            found = json.loads(text)
            refresh = found["refresh_token"]
            return Tokens(
                Secret(found["id_token"]),
                Secret(refresh) if refresh else None,
                str(found["issuer"]),
                str(found["client_id"]),
                float(found["expires_at"]),
                str(found.get("account", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not chained: a parser's error carries the text, and so the tokens.
            problem = TokenFileUnusable(f"{self.path} is no token file, or damaged")
        raise problem


def write_private(path: Path, text: str) -> None:
    """Write a file that only you can read: beside, to the disk, then into place.

    A link at ``path`` is replaced, not followed. Two writers at a time need a lock.

    Raises
    ------
    TokenFileUnusable
        If it cannot be written, with the reason of the system.
    """
    new = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with _clear(path, "written"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.unlink(missing_ok=True)  # of a writer that was killed
        with open(os.open(new, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _clear(path: Path, done: str) -> Iterator[None]:
    """Name the file in what the system says."""
    try:
        yield
    except OSError as error:
        raise TokenFileUnusable(
            f"{path} cannot be {done} ({error.strerror}: {error.filename or path})",
            remedy="set MLFLOW_SSO_TOKEN_FILE to a file that you may write and lock",
        ) from error
