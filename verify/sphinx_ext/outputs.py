"""Turns the outputs of an executed notebook into what a page should show."""

from __future__ import annotations

import hashlib
from binascii import a2b_base64
from itertools import groupby
from typing import Any

from sphinx.environment import BuildEnvironment

from verify.executed import INJECTED
from verify.outcomes import MIME, Outcome
from verify.receipts import Receipt
from verify.source import tags_of
from verify.sphinx_ext.render import html

ALTS = "handbook_alts"
SHOWN = 8  # more outcomes than this in a row are folded away


def prepare(
    notebook: dict[str, Any], receipt: Receipt, env: BuildEnvironment
) -> dict[str, Any]:
    """Drop the injected cell, dress recorded outcomes and remember image texts."""
    judged = {row.name: row for row in receipt.outcomes}
    alts: dict[str, str] = env.temp_data.setdefault(ALTS, {})
    cells = [cell for cell in notebook["cells"] if INJECTED not in tags_of(cell)]
    for cell in cells:
        if "outputs" in cell:
            cell["outputs"] = _dressed(cell["outputs"], judged)
        for output in cell.get("outputs", []):
            _remember_alt(output, alts)
    return {**notebook, "cells": cells}


def _dressed(outputs: list[dict], judged: dict[str, Outcome]) -> list[dict]:
    """Put outcomes that were recorded one after another into one output."""
    dressed: list[dict] = []
    for recorded, group in groupby(outputs, lambda output: MIME in _data(output)):
        if not recorded:
            dressed += group
            continue
        outcomes = [_data(output)[MIME] for output in group]
        rows = [{**one, "row": judged.get(one["name"])} for one in outcomes]
        dressed.append(
            {
                "output_type": "display_data",
                "data": {"text/html": html("recorded.html", rows=rows, most=SHOWN)},
                "metadata": {},
            }
        )
    return dressed


def _data(output: dict[str, Any]) -> dict[str, Any]:
    return output.get("data", {})


def _remember_alt(output: dict[str, Any], alts: dict[str, str]) -> None:
    metadata = output.get("metadata", {})
    for mime, content in output.get("data", {}).items():
        if not mime.startswith("image/"):
            continue
        alt = metadata.get(mime, {}).get("alt") or metadata.get("alt")
        if alt:
            alts[content_name(mime, content)] = alt


def content_name(mime: str, content: str | list[str]) -> str:
    """Return the digest under which MyST-NB stores an image of a notebook."""
    text = content if isinstance(content, str) else "".join(content)
    if mime == "image/svg+xml":
        raw = "\n".join(text.splitlines()).encode()
    else:
        raw = a2b_base64(text)
    return hashlib.sha256(raw).hexdigest()
