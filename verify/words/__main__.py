"""``python -m verify.words``: check terms, links and texts of images.

``python -m verify.words links --external`` asks every address outside; it needs the
network, so it runs on a schedule. Exit codes: 0 all is well; 1 something is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from verify.blocks import pages, report
from verify.words import images, links, terms

ROOT = Path(__file__).resolve().parents[2]
WHAT = ("terms", "links", "images")


def main(words: list[str]) -> int:
    """Check, print what is wrong, and return the exit code."""
    given = _parser().parse_args(words)
    chosen = [given.what] if given.what else list(WHAT)
    root = given.root.resolve()
    try:
        files = pages.below(given.pages) if given.pages else pages.book(root)
        parts = [part for file in files for part in pages.parts(file, root)]
        if given.external:
            return _outside(parts, given)
        found = []
        if "terms" in chosen:
            found += terms.check(parts, terms.read(root))
        if "links" in chosen:
            found += links.internal(parts, root)
        if "images" in chosen:
            found += images.check(parts)
    except (terms.GlossaryError, FileNotFoundError) as error:
        print(f"words: {error}", file=sys.stderr)
        return 1
    for problem in sorted(found, key=lambda problem: str(problem.place)):
        print(problem)
    print(f"{' and '.join(chosen)} of {len(files)} pages: {len(found)} problems")
    return 1 if found else 0


def _outside(parts: list[pages.Part], given: argparse.Namespace) -> int:
    """Ask the addresses outside, say which are broken, and leave a report."""
    answers = links.external(parts, given.timeout, given.tries)
    for answer in answers:
        if answer.verdict in ("broken", "refused"):
            for place in answer.places:
                print(f"{place}: {answer.target} is {answer.verdict}: {answer.said}")
    count = Counter(answer.verdict for answer in answers)
    print(", ".join(f"{number} {word}" for word, number in sorted(count.items())))
    if given.json:
        data = {"schema": 1, "links": [asdict(answer) for answer in answers]}
        report.write(given.json, data)
    return 1 if count["broken"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verify.words", description=__doc__)
    parser.add_argument("what", nargs="?", choices=WHAT, help="default: all three")
    parser.add_argument("--pages", nargs="+", type=Path, help="default: the whole book")
    parser.add_argument("--root", type=Path, default=ROOT, help="repository root")
    parser.add_argument("--external", action="store_true", help="ask the network")
    parser.add_argument("--json", type=Path, help="write the answers there")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds a try")
    parser.add_argument("--tries", type=int, default=3)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
