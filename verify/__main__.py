"""``python -m verify``: says at once that nothing changed, or asks the command line."""

from __future__ import annotations

import sys

from verify import unchanged


def main(words: list[str]) -> int:
    """Run one command and return its exit code; see ``verify.cli``."""
    lines = unchanged.recall(words)
    if lines is not None:
        print("\n".join(lines), flush=True)
        return 0
    from verify import cli

    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
