"""Makes an executed notebook fit to publish: no machine paths, no noise of the run."""

from __future__ import annotations

import copy
import re
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verify.source import INJECTED, tags_of

MARKER = "papermill-error-cell-tag"
VERSION = ".".join(map(str, sys.version_info[:2]))
KERNEL_FILE = re.compile(r"\S*/ipykernel_\d+/\d+\.py")
Name = tuple[str, re.Pattern, str]  # a folder, how to find it, what stands for it


def clean(notebook: dict, root: Path, work: Path) -> dict:
    """Strip papermill's metadata and markers, and take machine paths out of outputs.

    Parameters
    ----------
    notebook : dict
        The executed notebook; it is changed in place and returned.
    root : Path
        The repository root; paths below it become relative.
    work : Path
        The folder the kernel ran in; paths below it become relative to it.
    """
    cells = notebook["cells"]
    notebook["cells"] = [cell for cell in cells if MARKER not in tags_of(cell)]
    notebook["metadata"].pop("papermill", None)
    names = _machine_paths(root, work)
    for cell in notebook["cells"]:
        for noise in ("papermill", "execution"):
            cell["metadata"].pop(noise, None)
        if not cell["metadata"].get("tags", True):
            del cell["metadata"]["tags"]
        if "outputs" in cell:
            cell["outputs"] = _scrubbed(cell["outputs"], names)
    return notebook


def scrub(value: Any, root: Path, work: Path) -> Any:
    """Take machine paths out of every text in a value, a failure's details for one."""
    return _scrubbed(value, _machine_paths(root, work))


def refresh(source: Mapping, executed: Mapping) -> dict:
    """Give an executed notebook the prose, tags and metadata that its source has now.

    The key of a run leaves prose out, so an executed copy stays valid while its text
    moves on. Code cells are matched in order; both must have the same code.

    Parameters
    ----------
    source, executed : mapping
        The notebooks as plain JSON. Neither is changed.

    Raises
    ------
    ValueError
        When the code cells differ.

    Returns
    -------
    dict
        The source's cells with the outputs of the executed ones; a cell of injected
        parameters stays behind the code cell that it followed.
    """
    ran = [c for c in executed["cells"] if c["cell_type"] == "code"]
    fresh = copy.deepcopy(dict(source))
    fresh["metadata"] = {**executed["metadata"], **fresh["metadata"]}
    cells: list[dict] = []
    if ran and INJECTED in tags_of(ran[0]):
        cells.append(copy.deepcopy(ran.pop(0)))
    for cell in fresh["cells"]:
        cells.append(cell)
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        while ran and not "".join(ran[0]["source"]).strip():
            ran.pop(0)
        if not ran or "".join(ran[0]["source"]) != "".join(cell["source"]):
            raise ValueError("the executed copy has other code cells than its source")
        match = copy.deepcopy(ran.pop(0))
        cell["outputs"] = match["outputs"]
        cell["execution_count"] = match["execution_count"]
        if ran and INJECTED in tags_of(ran[0]):
            cells.append(copy.deepcopy(ran.pop(0)))
    fresh["cells"] = cells
    return fresh


def _machine_paths(root: Path, work: Path) -> list[Name]:
    """List the folders to rename, the deepest first, with what stands for them."""
    home = Path.home()
    named = [
        (work, ""),
        (root, ""),
        (Path(sysconfig.get_path("purelib")), "site-packages"),
        (Path(sysconfig.get_path("stdlib")), f"lib/python{VERSION}"),
        (Path(sys.prefix), "VENV"),
        (Path(sys.base_prefix), "PYTHON"),
        (home, "~"),
    ]
    patterns = []
    for folder, name in named:
        spellings = {str(folder), str(folder.resolve())}
        if folder != home and home.parts[1:] and folder.is_relative_to(home):
            spellings.add(f"~/{folder.relative_to(home)}")
        for spelling in sorted(spellings - {"/", "/usr"}, key=len, reverse=True):
            patterns.append((spelling, _folder(spelling), name))
    return patterns


def _folder(path: str) -> re.Pattern:
    """Match a folder's path, and the slash after it, but not a longer name.

    A path may follow a terminal's color code, which ends in a digit and an ``m``.
    """
    start, end = r"(?:(?<![\w.~-])|(?<=\dm))", r"(?:(?P<slash>/)|(?![\w.-]))"
    return re.compile(start + re.escape(path) + end)


def _scrubbed(value: Any, names: list[Name]) -> Any:
    """Scrub every text in a tree of outputs, images left alone."""
    if isinstance(value, str):
        return _scrub_text(value, names)
    if isinstance(value, list):
        return [_scrubbed(item, names) for item in value]
    if isinstance(value, dict):
        for key, item in value.items():
            is_binary = key.startswith("image/") and key != "image/svg+xml"
            value[key] = item if is_binary else _scrubbed(item, names)
    return value


def _scrub_text(text: str, names: list[Name]) -> str:
    """Rename folders; a plain search first, since figures are long and hold none."""
    for path, pattern, name in names:
        if path in text:
            text = pattern.sub(lambda m, name=name: _renamed(name, m["slash"]), text)
    return KERNEL_FILE.sub("cell", text) if "/ipykernel_" in text else text


def _renamed(name: str, slash: str | None) -> str:
    if not name:
        return "" if slash else "."
    return f"{name}/" if slash else name
