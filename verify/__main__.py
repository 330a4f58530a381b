"""The command line: ``python -m verify run``, ``status`` and ``check-catalog``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verify import catalog, receipts
from verify.catalog import Catalog, CatalogError

ROOT = Path(__file__).resolve().parents[1]
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 only when everything held."""
    given = _parser().parse_args(arguments)
    try:
        found = catalog.load(given.root)
        return given.command(found, given)
    except CatalogError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 1


def run(found: Catalog, given: argparse.Namespace) -> int:
    """Execute notebooks, or reuse what still holds."""
    from verify import execute

    def say(text: str) -> None:
        print(text, flush=True)

    try:
        done = execute.run(
            found,
            given.names,
            given.profile,
            force=given.force,
            jobs=given.jobs,
            say=say,
            beat=given.beat,
        )
    except execute.Interrupted as signal:
        print(f"verify: stopped by {signal}; finished runs are kept", file=sys.stderr)
        return INTERRUPTED
    failed = [name for name, receipt in done.items() if receipt.status != "passed"]
    say(f"{len(done) - len(failed)} of {len(done)} passed")
    for name in failed:
        print(f"verify: {name} failed: {done[name].reason}", file=sys.stderr)
    return 1 if failed else 0


def status(found: Catalog, given: argparse.Namespace) -> int:
    """Print what stands for each notebook and profile; nothing is run."""
    rows = [("notebook", "profile", "status", "seconds", "peak GiB", "started", "")]
    for entry in found:
        for profile in entry.profiles:
            verdict = receipts.verdict(entry, profile)
            receipt, told = verdict.receipt, ("", "", "")
            if receipt:
                peak = receipt.peak_rss_gib or 0.0
                told = (f"{receipt.seconds:.1f}", f"{peak:.2f}", receipt.started)
            row = (entry.name, profile, verdict.status, *told, verdict.reason or "")
            rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[6]]).rstrip())
    return 0


def check_catalog(found: Catalog, given: argparse.Namespace) -> int:
    """Say that the catalog and the notebooks agree; loading it was the check."""
    print(f"{catalog.CATALOG}: {len(found.entries)} notebooks, no slip")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verify", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="repository root")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help=run.__doc__)
    one.add_argument("names", nargs="*", metavar="NAME", help="default: all notebooks")
    one.add_argument("--profile", default="cpu")
    one.add_argument("--force", action="store_true", help="run what still holds too")
    one.add_argument("--jobs", type=_at_least_one, help="default: usable cores")
    one.add_argument("--beat", type=float, default=30.0, help="seconds between signs")
    one.set_defaults(command=run)
    two = commands.add_parser("status", help=status.__doc__)
    two.set_defaults(command=status)
    three = commands.add_parser("check-catalog", help=check_catalog.__doc__)
    three.set_defaults(command=check_catalog)
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
