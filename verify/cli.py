"""The command line: ``python -m verify run``, ``status``, ``why``, ``keep`` and more.

Exit codes: 0 all that ran passed; 1 something did not, or a command was wrong; 77 all
that was asked for was skipped; 130 stopped by a signal.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verify import catalog, history, receipts, unchanged
from verify.catalog import Catalog, CatalogError, Entry
from verify.receipts import ReceiptError
from verify.skips import EXIT_CODE as SKIPPED

ROOT = Path(__file__).resolve().parents[1]
INTERRUPTED = 130


def main(words: list[str]) -> int:
    """Run one command and return its exit code."""
    given = _parser().parse_args(words)
    given.words = words
    try:
        found = catalog.load(given.root)
        return given.command(found, given)
    except (CatalogError, ReceiptError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 1


def run(found: Catalog, given: argparse.Namespace) -> int:
    """Execute notebooks, or reuse what still holds."""
    from verify import display, execute

    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        display.tell(text)

    before = unchanged.state(str(found.root), given.words)
    try:
        done = execute.run(
            found,
            given.names,
            given.profile,
            force=given.force,
            jobs=given.jobs,
            say=say,
            beat=given.beat,
            live=sys.stdout.isatty() and not given.plain,
        )
    except execute.Interrupted as signal:
        print(f"verify: stopped by {signal}; finished runs are kept", file=sys.stderr)
        return INTERRUPTED
    statuses = [receipt.status for receipt in done.values()]
    passed, skipped = statuses.count("passed"), statuses.count("skipped")
    told = f", {skipped} skipped" if skipped else ""
    say(f"{passed} of {len(done)} passed{told}")
    wrong = [
        f"{name} {receipt.status}: {receipt.reason}"
        for name, receipt in done.items()
        if receipt.status not in ("passed", "skipped")
    ]
    wrong += _unproven([found.entry(name) for name in done])
    for reason in wrong:
        print(f"verify: {reason}", file=sys.stderr)
    entries = [found.entry(name) for name in done]
    if not wrong and not any(e.profiles[given.profile].skip for e in entries):
        unchanged.remember(given.words, before, said)
    return 1 if wrong else 0 if passed else SKIPPED


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


def why(found: Catalog, given: argparse.Namespace) -> int:
    """Say what changed under a notebook since its last run."""
    from verify.why import explain

    entry = found.entry(given.name)
    if given.profile and given.profile not in entry.profiles:
        known = ", ".join(entry.profiles)
        raise CatalogError(
            f"{entry.name} has no profile {given.profile!r}; it has: {known}"
        )
    for profile in [given.profile] if given.profile else entry.profiles:
        for line in explain(entry, profile):
            print(line)
    return 0


def keep(found: Catalog, given: argparse.Namespace) -> int:
    """Take receipts of passed runs that CI cannot repeat into the repository."""
    for entry in [found.entry(name) for name in given.names] or found:
        name, profile = entry.name, given.profile
        source = receipts.receipt_path(found.root, name, profile)
        if not source.is_file() and not given.names:
            continue
        runs = history.keep(found.root, name, profile)
        if profile == receipts.PUBLISHED:
            print(f"{name} [{profile}]: {runs} runs remembered in receipts/{name}/")
            continue
        receipt = receipts.read(source)
        if receipt.status != "passed":
            raise ReceiptError(
                f"receipt {source.name} says {receipt.status}; only a pass is kept"
            )
        target = receipts.committed_path(found.root, name, profile)
        receipts.write(target, receipt)
        print(f"{name} [{profile}]: kept in {target.relative_to(found.root)}")
    return 0


def check_catalog(found: Catalog, given: argparse.Namespace) -> int:
    """Say that the catalog and the notebooks agree; loading it was the check."""
    print(f"{catalog.CATALOG}: {len(found.entries)} notebooks, no slip")
    return 0


def _unproven(entries: Sequence[Entry]) -> list[str]:
    """List the published parameters that no run has proven, notebook by notebook."""
    wrong = []
    for entry in entries:
        shown = entry.profiles.get(receipts.PUBLISHED)
        if shown and (shown.parameters or entry.unproven):
            verdicts = {p: receipts.verdict(entry, p) for p in entry.profiles}
            found = receipts.unproven(entry, verdicts)
            wrong += [f"{entry.name}: {reason}" for reason in found]
    return wrong


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verify", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="repository root")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help=run.__doc__)
    one.add_argument("names", nargs="*", metavar="NAME", help="default: all notebooks")
    one.add_argument("--profile", default=receipts.PUBLISHED)
    one.add_argument("--force", action="store_true", help="run what still holds too")
    one.add_argument("--jobs", type=_at_least_one, help="notebooks at once, at most")
    one.add_argument("--beat", type=float, default=30.0, help="seconds between signs")
    one.add_argument("--plain", action="store_true", help="lines, even in a terminal")
    one.set_defaults(command=run)
    two = commands.add_parser("status", help=status.__doc__)
    two.set_defaults(command=status)
    three = commands.add_parser("why", help=why.__doc__)
    three.add_argument("name", metavar="NAME")
    three.add_argument("--profile", help="default: every profile")
    three.set_defaults(command=why)
    four = commands.add_parser("keep", help=keep.__doc__)
    four.add_argument("names", nargs="*", metavar="NAME", help="default: all that ran")
    four.add_argument("--profile", default="cuda")
    four.set_defaults(command=keep)
    five = commands.add_parser("check-catalog", help=check_catalog.__doc__)
    five.set_defaults(command=check_catalog)
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number
