"""Signs in on a command line: ``python -m snippets.mlflow_auth login``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from snippets.mlflow_auth import claims, oidc
from snippets.mlflow_auth.errors import AuthError
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.store import TokenFile, Tokens, write_private


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns
    -------
    int
        0: done. 1: the doctor found a hop that fails. 2: it failed, and one line on
        stderr says why and what to do.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except AuthError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    """Return the parser; each command names the function that runs it."""
    parser = argparse.ArgumentParser(
        prog="python -m snippets.mlflow_auth", description=__doc__.partition(":")[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    told = "sign in as MLFLOW_SSO_LOGIN says, and keep the tokens"
    commands.add_parser("login", help=told).set_defaults(run=_login)
    told = "sign in with a code that you enter in a browser"
    commands.add_parser("device", help=told).set_defaults(run=_device)
    told = "write a valid ID token to a file that only you can read"
    one = commands.add_parser("token-file", help=told)
    one.add_argument("path", type=Path)
    told = "write an Authorization header: `curl -H @PATH` reads it"
    one.add_argument("--header", action="store_true", help=told)
    one.set_defaults(run=_token_file)
    told = "try each hop to MLflow, and say what to do at the first that fails"
    commands.add_parser("doctor", help=told).set_defaults(run=_doctor)
    return parser


def _login(options: argparse.Namespace) -> int:
    """Sign in and keep the tokens."""
    settings = Settings.from_environment()
    return _keep(settings, oidc.login(settings))


def _device(options: argparse.Namespace) -> int:
    """Sign in by a code, and keep the tokens."""
    settings = Settings.from_environment()
    if settings.login != "device":
        print("To use this login, set MLFLOW_SSO_LOGIN=device.", file=sys.stderr)
    settings = replace(settings, login="device")
    return _keep(settings, oidc.device_login(settings))


def _token_file(options: argparse.Namespace) -> int:
    """Write a valid ID token, with nothing after it, or as a header."""
    token = oidc.current(Settings.from_environment()).id_token.reveal()
    text = f"Authorization: Bearer {token}\n" if options.header else token
    write_private(options.path.expanduser().absolute(), text)
    print(f"Wrote {options.path}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    """Print the table; 1 if a hop failed."""
    from snippets.mlflow_auth.doctor import doctor

    return int(any(row.result == "FAILED" for row in doctor()))


def _keep(settings: Settings, tokens: Tokens) -> int:
    """Store tokens, and say whose they are."""
    file = TokenFile(settings.token_file)
    file.write(tokens)
    who = claims.identity(claims.decode(tokens.id_token))
    left = tokens.seconds_left() / 60
    renewal = "is renewed" if tokens.refresh_token else "cannot be renewed"
    print(f"Signed in as {who}. The token lasts {left:.0f} min and {renewal}.")
    print(f"Kept in {file.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
