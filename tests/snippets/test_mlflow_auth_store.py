"""One token file serves many processes: none reads half of it, none loses a token."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from snippets.mlflow_auth import store
from snippets.mlflow_auth.errors import TokenFileUnusable
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.store import TokenFile, Tokens

ROOT = Path(__file__).resolve().parents[2]


def tokens(name, lives=600.0, refresh="first-refresh"):
    """Return tokens that live so many seconds from now."""
    refresh = Secret(refresh) if refresh else None
    return Tokens(Secret(name), refresh, "https://i", "c", time.time() + lives, "alice")


def jwt(issued, expires):
    """Return an unsigned token with two times, as seen from now in seconds."""
    now = time.time()
    parts = [{"alg": "RS256"}, {"iat": now + issued, "exp": now + expires}]
    raw = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode() for p in parts]
    return Tokens(Secret(".".join([*raw, "sig"])), None, "i", "c", now + expires)


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "private" / "token.json")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_written_is_read_again(file):
    assert file.read() is None
    for one in (tokens("a"), tokens("b", refresh=None)):
        file.write(one)
        assert file.read() == one


def test_file_and_folder_are_the_owners_alone_whatever_the_umask(file):
    before = os.umask(0)
    try:
        file.write(tokens("a"))
    finally:
        os.umask(before)
    assert mode(file.path) == 0o600
    assert mode(file.path.parent) == 0o700
    names = sorted(path.name for path in file.path.parent.iterdir())
    assert names == ["token.json", "token.json.lock"]
    assert mode(file.path.parent / "token.json.lock") == 0o600


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_open_is_refused_with_what_to_do(file, bits):
    file.write(tokens("a"))
    file.path.chmod(bits)
    with pytest.raises(TokenFileUnusable, match=f"mode 0{bits:o}.*remove it and"):
        file.read()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"id_token": "tell-nobody"}', '"tell-nobody"', b"\xfftell-nobody"],
)
def test_a_damaged_file_is_named_and_not_quoted(file, text):
    file.write(tokens("a"))
    file.path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TokenFileUnusable, match="no token file, or damaged") as caught:
        file.read()
    assert "tell-nobody" not in str(caught.value)
    assert caught.value.__context__ is None, "a parser's error carries the text"


def test_a_link_is_replaced_and_what_it_points_to_stays(file, tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    file.path.parent.mkdir()
    file.path.symlink_to(other)
    file.write(tokens("a"))
    assert other.read_text() == "precious"
    assert not file.path.is_symlink()


@pytest.mark.parametrize("name", ["token.json.new", "token.json.lock"])
def test_no_link_beside_the_file_is_written_through(file, tmp_path, name):
    other = tmp_path / "other"
    other.write_text("precious")
    file.path.parent.mkdir()
    (file.path.parent / name).symlink_to(other)
    if name.endswith("lock"):
        with pytest.raises(TokenFileUnusable, match="cannot be locked"):
            file.write(tokens("a"))
    else:
        file.write(tokens("a"))
    assert other.read_text() == "precious"


def test_a_link_that_appears_just_before_the_write_is_not_followed(
    file, tmp_path, monkeypatch
):
    other, removed = tmp_path / "other", Path.unlink
    other.write_text("precious")

    def race(path, missing_ok=False):
        removed(path, missing_ok=missing_ok)
        path.symlink_to(other)

    monkeypatch.setattr(Path, "unlink", race)
    with pytest.raises(TokenFileUnusable, match="cannot be written .File exists"):
        file.write(tokens("a"))
    assert other.read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TokenFileUnusable, match="File exists: .*/file.: set MLFLOW"):
        TokenFile(tmp_path / "file" / "token.json").write(tokens("a"))


# ---------------------------------------------------------------------------
# Renewal
# ---------------------------------------------------------------------------


def test_a_renewal_uses_what_another_process_fetched(file):
    stale = tokens("old")
    file.write(tokens("new"))
    fetched = file.renew(stale, lambda found: pytest.fail("the provider was asked"))
    assert fetched.id_token == Secret("new")


@pytest.mark.parametrize("lives", [600.0, -1.0])
def test_a_renewal_fetches_where_the_file_holds_what_was_rejected(file, lives):
    stale = tokens("old", lives)
    file.write(stale)
    asked = []
    fresh = file.renew(stale, lambda found: asked.append(found) or tokens("new"))
    assert asked == [stale]
    assert file.read() == fresh


def test_an_expired_or_foreign_token_in_the_file_is_not_used(file):
    file.write(tokens("dead", lives=-1))
    assert file.renew(None, lambda found: tokens("new")).id_token == Secret("new")
    fetched = file.renew(None, lambda found: tokens("ours"), lambda found: False)
    assert fetched.id_token == Secret("ours")


def test_a_fetch_that_fails_leaves_the_file_and_frees_the_lock(file):
    file.write(tokens("old"))

    def fail(found):
        raise RuntimeError("the provider is away")

    with pytest.raises(RuntimeError, match="away"):
        file.renew(tokens("old"), fail)
    assert file.read().id_token == Secret("old")
    with file.locked(seconds=0):
        pass


def test_a_lock_that_is_held_too_long_is_an_error_and_no_hang(file):
    with (
        file.locked(),
        pytest.raises(TokenFileUnusable, match="another process has held"),
        TokenFile(file.path).locked(seconds=0.05),
    ):
        pytest.fail("two hold the lock")


@pytest.mark.parametrize(
    ("issued", "expires", "due"),
    [
        (0, 600, False),
        (-541, 59, True),
        (-3, 6, False),
        (-5, 1.9, True),
        (-9, -1, True),
    ],
)
def test_a_token_is_due_in_its_last_minute_or_third(issued, expires, due):
    assert jwt(issued, expires).due() is due


def test_threads_of_one_process_renew_once(file):
    stale, asked = tokens("old"), []
    file.write(stale)

    def fetch(found):
        asked.append(found)
        time.sleep(0.05)
        return tokens("new")

    threads = [
        threading.Thread(target=TokenFile(file.path).renew, args=(stale, fetch))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1


# ---------------------------------------------------------------------------
# Several processes
# ---------------------------------------------------------------------------

# A provider with rotation, in a file: each refresh token is taken once, and a second
# time it ends the login for good, as RFC 9700 (4.14.2) asks for.
CHILD = """
import sys, time
from pathlib import Path
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.store import TokenFile, Tokens

path, rounds = sys.argv[1], int(sys.argv[2])
provider = Path(sys.argv[3])

def fetch(found):
    number = int(found.refresh_token.reveal())
    assert not (provider / str(number)).exists(), "a refresh token was used twice"
    (provider / str(number)).touch()
    time.sleep(0.002)
    name = f"id-{number + 1}"
    refresh = Secret(str(number + 1))
    return Tokens(Secret(name), refresh, "i", "c", time.time() + 60)

file = TokenFile(path)
held = file.read()
for _ in range(rounds):
    held = file.renew(held, fetch)
print(held.id_token.reveal())
"""


def start(*arguments, code=CHILD):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe)


def test_four_processes_use_each_rotating_refresh_token_once(file, tmp_path):
    provider = tmp_path / "provider"
    provider.mkdir()
    file.write(tokens("id-0", refresh="0"))
    children = [start(file.path, 50, provider) for _ in range(4)]
    for child in children:
        out, err = child.communicate(timeout=300)
        assert child.returncode == 0, err.decode()
        assert out.startswith(b"id-")
    used = len(list(provider.iterdir()))
    assert 50 <= used <= 200, "at least one process fetched in each of its rounds"
    assert file.read().refresh_token == Secret(str(used))


WRITER = """
import sys
from snippets.mlflow_auth.secret import Secret
from snippets.mlflow_auth.store import TokenFile, Tokens

file, number = TokenFile(sys.argv[1]), 0
while True:
    number += 1
    name = f"{number} " * 20000
    file.write(Tokens(Secret(name), Secret(name), "i", "c", 1e10))
    if number == 1:
        print("begun", flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_file_and_no_lock(file):
    file.write(tokens("first"))
    for delay in (0.0, 0.004, 0.011, 0.023):
        child = start(file.path, code=WRITER)
        assert child.stdout.readline() == b"begun\n"
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=300)
        found = file.read()  # raises if half of it were there
        [number] = set(found.id_token.reveal().split())
        assert number.isdecimal(), "the writer never wrote"
        file.write(tokens("again"))  # at once: the kernel freed the lock
        assert sorted(path.name for path in file.path.parent.iterdir()) == [
            "token.json",
            "token.json.lock",
        ]


def test_a_write_in_place_would_turn_the_kill_red(file, monkeypatch):
    def in_place(path, text):
        path.write_text(text[: len(text) // 2])

    file.write(tokens("first"))
    monkeypatch.setattr(store, "write_private", in_place)
    file.write(tokens("second"))
    with pytest.raises(TokenFileUnusable, match="damaged"):
        file.read()


FORKER = """
import os, sys, time
from snippets.mlflow_auth.store import TokenFile

with TokenFile(sys.argv[1]).locked():
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
print("free", flush=True)
time.sleep(20)
"""


def test_a_child_forked_within_the_lock_does_not_keep_it(file):
    child = start(file.path, code=FORKER)
    try:
        assert child.stdout.readline() == b"free\n"
        with file.locked(seconds=1):
            pass
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
