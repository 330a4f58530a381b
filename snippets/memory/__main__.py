"""Answers "will it fit?" on a command line: ``python -m snippets.memory MODEL``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from snippets.memory import GeometryError, plan, shapes

EXIT_FITS, EXIT_NO, EXIT_CLOSE, EXIT_ERROR = 0, 1, 3, 2


# region: main
def main(arguments: Sequence[str] | None = None) -> int:
    """Print what a fine-tune needs, part by part, and whether it fits.

    Returns
    -------
    int
        0: it fits. 1: it does not. 3: too close to call. 2: the model or a setting
        cannot be read, and one line on stderr says why.
    """
    asked = vars(_parser().parse_args(arguments))
    model, gib, as_json = asked.pop("model"), asked.pop("gpu"), asked.pop("json")
    try:
        geometry = shapes.read(model)
        needed = plan.plan(geometry, **asked)
    except GeometryError as error:
        print(f"snippets.memory: {error}", file=sys.stderr)
        return EXIT_ERROR
    verdict = needed.fits(gib)
    if as_json:
        sizes = needed.parts() | {"total": needed.total, "host": needed.host}
        sizes |= {"low": needed.low, "high": needed.high, "fits": verdict}
        print(json.dumps(sizes, indent=2))
    else:
        print(_table(f"{model}, {geometry.parameters:,} parameters", needed))
        print(f"fits {gib:g} GiB: {verdict}")
    exits = {"yes": EXIT_FITS, "no": EXIT_NO, "too close to call": EXIT_CLOSE}
    return exits[verdict]


# endregion: main


def _table(title: str, needed: plan.Plan) -> str:
    rows = [f"{name:14}  {size:>10}" for name, size in needed.rows()]
    return "\n".join([title, *rows])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m snippets.memory",
        description="Say what one process of a fine-tune needs, from config.json.",
        epilog=f"Listed shapes: {', '.join(shapes.SHAPES)}.",
    )
    parser.add_argument("model", help="folder, config.json, cached hub name, or shape")
    parser.add_argument("--gpu", type=float, required=True, help="GiB of one device")
    parser.add_argument("--json", action="store_true", help="print bytes as JSON")
    usual = plan.Setup()
    for name, known in (
        ("method", plan.METHODS),
        ("optimizer", tuple(plan.OPTIMIZERS)),
        ("precision", plan.PRECISIONS),
        ("sharding", plan.SHARDINGS),
    ):
        parser.add_argument(f"--{name}", choices=known, default=getattr(usual, name))
    for name, what in (
        ("seq-len", "tokens a row"),
        ("micro-batch", "rows a forward pass and process"),
        ("gpus", "processes, one a GPU"),
        ("r", "rank of the adapter"),
        ("loss-chunk", "tokens whose logits exist at once; 0: all"),
    ):
        default = getattr(usual, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=default, help=what)
    parser.add_argument("--unfreeze", type=float, default=usual.unfreeze)
    parser.add_argument("--wide-rest", action="store_true")
    parser.add_argument(
        "--no-checkpointing", dest="checkpointing", action="store_false"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
