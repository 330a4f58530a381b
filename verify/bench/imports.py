"""Measures what pre-imported workers could save: the imports of the real notebooks."""

from __future__ import annotations

import ast
import json
import tempfile
from pathlib import Path
from typing import Any

from verify.bench.clock import in_turns, timed


def measure(root: Path, python: str, runs: int) -> dict[str, Any]:
    """Time the imports of every notebook in fresh processes.

    Parameters
    ----------
    root : Path
        The repository.
    python : str
        The notebooks' Python.
    runs : int
        How often each notebook's imports are timed.

    Returns
    -------
    dict
        Notebook -> ``seconds`` of its imports without Python's own start, and ``run``,
        the seconds of its whole run from its receipt (None where there is none).
    """
    found = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        jobs = _jobs(root, path, python)
        for run in jobs.values():  # the first one reads the disk
            run()
        times = in_turns(runs, jobs, f"imports of {path.stem}")
        pairs = zip(times["imports"], times["python"], strict=True)
        seconds = [round(whole - bare, 4) for whole, bare in pairs]
        found[path.stem] = {"seconds": seconds, "run": run_seconds(root, path.stem)}
    return found


def statements(notebook: dict[str, Any]) -> str:
    """Return the import statements of a notebook's cells, as one program."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            kinds = (ast.Import, ast.ImportFrom)
            found += [
                ast.unparse(node) for node in tree.body if isinstance(node, kinds)
            ]
    return "\n".join(dict.fromkeys(found))


def run_seconds(root: Path, name: str) -> float | None:
    """Read how long the notebook's own run took on this machine, where one is kept."""
    path = root / "_build/receipts" / f"{name}.cpu.json"
    if not path.is_file():
        return None
    receipt = json.loads(path.read_text(encoding="utf-8"))
    return receipt["seconds"] if receipt["status"] == "passed" else None


def _jobs(root: Path, path: Path, python: str) -> dict[str, Any]:
    program = statements(json.loads(path.read_text(encoding="utf-8")))
    there, offline = Path(tempfile.gettempdir()), {"HF_HUB_OFFLINE": "1"}

    def run(code: str) -> float:
        return timed(
            [python, "-c", code], there, PYTHONPATH=str(root), **offline
        ).seconds

    return {"imports": lambda: run(program), "python": lambda: run("pass")}
