"""The command line of the sandbox: ``python -m verify.sandbox up`` and what follows.

up            start it, unless it is up, and wait until it answers (`--with-me`: end it
              with this command; it always starts a new one)
down          end it, and remove its secrets and data
status        print its parts: real or double, where, how large, healthy or not
env USER      print `export` lines for a shell: eval "$(... env alice)"
stop PART     end one part as a crash would; `start PART` starts it again
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time

from verify.sandbox import life
from verify.sandbox.parts import PARTS
from verify.sandbox.state import FOLDER, ROOT, Sandbox, SandboxError, place


def main(words: list[str]) -> int:
    """Run one command and return its exit code."""
    given = _parser().parse_args(words)
    try:
        return given.command(given)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1


def up(given: argparse.Namespace) -> int:
    """Start a sandbox; `--with-me` holds it until this command is ended."""
    began = time.monotonic()
    if given.with_me:
        _end_like_an_interrupt()
    elif already := life.standing(given.folder):
        print(f"The sandbox is up already: {already.mlflow}")
        return 0
    sandbox = life.up(given.folder, tied=given.with_me)
    folder = "" if given.folder is None else f" --folder {shlex.quote(given.folder)}"
    shell = f"python3 noxfile.py -s sandbox -- env alice{folder}"
    print(f"The sandbox is up after {time.monotonic() - began:.1f} s: {sandbox.mlflow}")
    print(f'Use it as alice: eval "$({shell})"')
    if given.with_me:
        print("Ctrl-C ends it.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            life.down(sandbox.folder)
    return 0


def _end_like_an_interrupt() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


def down(given: argparse.Namespace) -> int:
    """End a sandbox."""
    began = time.monotonic()
    home = place(given.folder)
    if life.down(given.folder):
        print(f"The sandbox in {home} is down after {time.monotonic() - began:.1f} s.")
    else:
        print(f"No sandbox was up in {home}.")
    return 0


def status(given: argparse.Namespace) -> int:
    """Print a sandbox's parts; the exit code is 1 where one does not answer."""
    from verify.sandbox.status import table

    print(table(Sandbox.read(given.folder)))
    return 0 if life.standing(given.folder) else 1


def env(given: argparse.Namespace) -> int:
    """Print the variables of one user for a shell."""
    for name, value in Sandbox.read(given.folder).environment(given.user).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def stop(given: argparse.Namespace) -> int:
    """End one part."""
    Sandbox.read(given.folder).stop(given.part)
    return 0


def start(given: argparse.Namespace) -> int:
    """Start one part again."""
    Sandbox.read(given.folder).start(given.part)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m verify.sandbox",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (up, down, status, env, stop, start):
        about = (command.__doc__ or "").splitlines()[0]
        one = commands.add_parser(command.__name__, help=about)
        one.set_defaults(command=command)
        shown = FOLDER.relative_to(ROOT)
        one.add_argument("--folder", help=f"where it lives; default {shown}")
        if command is env:
            one.add_argument("user", help="alice or bob")
        if command in (stop, start):
            one.add_argument("part", choices=PARTS)
        if command is up:
            text = "stay, and end the sandbox with this command"
            one.add_argument("--with-me", action="store_true", help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
