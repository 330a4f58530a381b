"""Finds the names that notebooks and snippets pass to classes and functions."""

from __future__ import annotations

import ast
from pathlib import Path

from verify.source import read_notebook


def used_names(root: Path) -> dict[str, set[str]]:
    """Return the names that notebooks and snippets pass to each class and function."""
    found: dict[str, set[str]] = {}
    for source in sources(root):
        for node in ast.walk(source):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).rsplit(".", 1)[-1]
                names = {word.arg for word in node.keywords if word.arg}
                found.setdefault(called, set()).update(names)
    return found


def sources(root: Path) -> list[ast.Module]:
    """Parse the modules of snippets and the code cells of notebooks."""
    texts = [p.read_text(encoding="utf-8") for p in (root / "snippets").rglob("*.py")]
    for path in (root / "notebooks").glob("*.ipynb"):
        cells = read_notebook(path)["cells"]
        texts += ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    plain = [text for text in texts if not text.lstrip().startswith(("%", "!"))]
    return [ast.parse(text) for text in plain]
