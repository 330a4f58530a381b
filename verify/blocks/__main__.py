"""``python -m verify.blocks``: check the blocks of the book, or of pages you name.

Exit codes: 0 all is well; 1 a block is broken, or a tool that checks is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from verify.blocks import checking, pages, report
from verify.blocks.found import Setting, ToolError

ROOT = Path(__file__).resolve().parents[2]


def main(words: list[str]) -> int:
    """Check, print what is wrong and a summary, and return the exit code."""
    given = _parser().parse_args(words)
    root = given.root.resolve()
    setting = Setting(
        root,
        tools=os.environ.get("HANDBOOK_TOOLS_PYTHON", sys.executable),
        platform=os.environ.get("HANDBOOK_TRAINER_PYTHON", sys.executable),
        notebooks=os.environ.get("HANDBOOK_NOTEBOOKS_PYTHON", sys.executable),
        time_limit=given.time_limit,
    )
    try:
        files = pages.below(given.pages) if given.pages else pages.book(root)
        result = checking.check(files, setting)
    except (ToolError, FileNotFoundError) as error:
        print(f"blocks: {error}", file=sys.stderr)
        return 1
    for problem in result.problems:
        print(problem)
    print(report.summary(result))
    if given.json:
        report.write(given.json, report.as_data(result))
    if not files:
        print("blocks: there is no page to check", file=sys.stderr)
    return 1 if result.problems or not files else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m verify.blocks", description=__doc__
    )
    parser.add_argument("pages", nargs="*", type=Path, help="default: the whole book")
    parser.add_argument("--root", type=Path, default=ROOT, help="repository root")
    parser.add_argument("--json", type=Path, help="write everything there as JSON")
    help_limit = "seconds that the blocks of one page may run"
    parser.add_argument("--time-limit", type=float, default=60.0, help=help_limit)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
