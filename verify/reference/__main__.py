"""Makes the generated reference: ``python3 noxfile.py -s reference``.

Without arguments it asks the installed libraries and writes what changed. ``--check``
writes nothing, prints the difference and ends with 1 where anything but versions
differs. ``--history`` asks a package index when names came and went.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verify.reference import store

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str]) -> int:
    """Write or compare the answers; return the exit code."""
    parser = argparse.ArgumentParser(prog="verify.reference")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--history", action="store_true", help="ask a package index")
    parser.add_argument("--wheels", type=Path, help="folder of wheels for --history")
    given = parser.parse_args(argv)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the answers are those of a CPU
    found = history(given.wheels) if given.history else ask()
    act: Callable[[str, dict[str, Any]], bool] = compared if given.check else written
    changed = [act(subject, data) for subject, data in found.items()]
    return int(given.check and any(changed))


def ask() -> dict[str, dict[str, Any]]:
    """Ask the installed libraries about every algorithm and every name."""
    from snippets import hardware

    hardware.quiet_libraries()
    from verify.reference import asking, names, world

    with world.workspace() as folder:
        found = {name: asking.ask(name, folder) for name in store.ALGORITHMS}
    return found | {"names": names.ask()}


def history(folder: Path | None) -> dict[str, dict[str, Any]]:
    """Ask the package index that pip is set to about every rename."""
    from verify.reference import history

    with tempfile.TemporaryDirectory(prefix="reference-") as made:
        shelf = history.Shelf(folder or Path(made))
        shelf.folder.mkdir(parents=True, exist_ok=True)
        return {"renames": history.ask(shelf)}


def written(subject: str, data: dict[str, Any]) -> bool:
    """Write answers and say so; return whether they changed."""
    changed = store.save(ROOT, subject, data)
    file = store.FOLDER / f"{subject}.json"
    print(f"reference > {file} " + ("is rewritten" if changed else "has not changed"))
    return changed


def compared(subject: str, data: dict[str, Any]) -> bool:
    """Print how answers differ from the committed; say whether beyond versions."""
    lines = store.difference(ROOT, subject, data)
    for line in lines:
        print(line)
    committed = store.without_versions(store.load(ROOT, subject))
    differs = committed != store.without_versions(data)
    said = (
        "differs" if differs else "holds" if not lines else "differs in versions only"
    )
    print(f"reference > {store.FOLDER / subject}.json {said}")
    return differs


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
