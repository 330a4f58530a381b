"""Reads source notebooks as plain JSON: importing nbformat costs more than a check."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INJECTED = "injected-parameters"  # the tag of the cell that papermill adds
TAGS_THAT_CHANGE_A_RUN = {"parameters", "raises-exception"}


class CatalogError(ValueError):
    """The catalog, or a notebook that it should list, is not as it must be."""


def read_notebook(path: Path | str) -> dict:
    """Read a notebook; raise CatalogError when the file is none."""
    try:
        notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CatalogError(f"{Path(path).name} is not readable: {error}") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise CatalogError(f"{Path(path).name} is not a notebook: it has no cells")
    return notebook


def source_of(cell: Mapping) -> str:
    """Return a cell's source as one text; files may hold it as a list of lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def tags_of(cell: Mapping) -> set[str]:
    """Return a cell's tags."""
    return set(cell.get("metadata", {}).get("tags", []))


def code_cells(notebook: Mapping) -> list[tuple[str, list[str]]]:
    """List source and run-changing tags of each code cell that is not blank."""
    return [
        (source_of(cell), sorted(tags_of(cell) & TAGS_THAT_CHANGE_A_RUN))
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and source_of(cell).strip()
    ]


def published_parameters(notebook: Mapping) -> dict[str, Any]:
    """Read the values that the cell tagged ``parameters`` assigns.

    A value that is no literal is given as its source text. A cell that is not plain
    Python raises SyntaxError.
    """
    found: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if "parameters" not in tags_of(cell):
            continue
        for node in ast.parse(source_of(cell)).body:
            single = isinstance(node, ast.Assign) and len(node.targets) == 1
            target = node.targets[0] if single else getattr(node, "target", None)
            if isinstance(target, ast.Name) and node.value is not None:
                found[target.id] = _literal(node.value)
    return found


def _literal(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return ast.unparse(node)
    return value
