"""The command line: ``python -m verify.export OUT`` writes the book as MDX."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from verify.export.export import export
from verify.sphinx_ext.workbench import WorkbenchError

ROOT = Path(__file__).resolve().parents[2]


def main(words: list[str]) -> int:
    """Export the book; print what cannot be exported and return 1 if there is any."""
    parser = argparse.ArgumentParser(prog="verify.export", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to replace by the exported tree")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    given = parser.parse_args(words)
    config = yaml.safe_load((given.root / "book.yml").read_text(encoding="utf-8"))
    try:
        done = export(given.root.resolve(), given.out, config["title"])
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return 1
    for problem in done.problems:
        print(problem, file=sys.stderr)
    if done.problems:
        count = len(done.problems)
        print(f"mdx export: {count} problems, nothing was written", file=sys.stderr)
        return 1
    print(f"mdx export: {done.pages} pages in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
