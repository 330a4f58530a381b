"""Gives the calculator page its data, so that no constant is written down twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from snippets import memory
from snippets.memory import plan, shapes

FILE = Path(__file__).parents[2] / "docs" / "_static" / "fit-data.js"


def data() -> dict[str, Any]:
    """Return the shapes and constants of the formulas, ready for JSON."""
    return {
        "shapes": shapes.SHAPES,
        "families": memory.FAMILIES,
        "gemma": memory.GEMMA,
        "headDim": shapes.HEAD_DIM,
        "needed": shapes.NEEDED,
        "experts": shapes.EXPERTS,
        "methods": plan.METHODS,
        "optimizers": plan.OPTIMIZERS,
        "lossBytes": plan.LOSS_BYTES,
        "softcapBytes": plan.SOFTCAP_BYTES,
        "contextGib": plan.CONTEXT_GIB,
        "exact": plan.EXACT,
        "modelled": plan.MODELLED,
    }


def script() -> str:
    """Return the file that the page loads; it works from a folder too."""
    made = "// Made by: python -m snippets.memory.page. Do not edit."
    return f"{made}\nwindow.handbookFit = {json.dumps(data(), indent=1)};\n"


if __name__ == "__main__":
    beside = FILE.with_suffix(".new")
    beside.write_text(script(), encoding="utf-8")
    beside.replace(FILE)
