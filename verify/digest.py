"""Computes a run's key, so that a result is reused only while all under it stands.

The key covers the code cells, every module of ``snippets`` that they can reach,
fixtures, injected parameters, the lock file and the profile. It leaves out prose,
outputs, cell ids and metadata, save the two tags that change what runs.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.catalog import CatalogError, Entry

PACKAGE = "snippets"
LOCK = ".ci/locks/notebooks.txt"
TAGS_THAT_CHANGE_A_RUN = {"parameters", "raises-exception"}
NOT_FIXTURES = {"__pycache__", ".ipynb_checkpoints", ".DS_Store"}
MENTION = re.compile(rf"\b{PACKAGE}(?:[./]\w+)+")
OPEN_END = re.compile(rf"\S*\b{PACKAGE}(?:[./]\w+)*[./]")
MAGIC_LINE = re.compile(r"^(\s*)(?:[\w, ]+=\s*)?[%!?].*$", re.MULTILINE)
PYTHON_CELL_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")


@dataclass(frozen=True)
class Key:
    """What a run depends on: one digest, and the parts that it was made from."""

    digest: str
    parts: Mapping[str, Any]


@dataclass
class _References:
    """What one piece of source can import; ``anything`` when that cannot be told."""

    names: set[str]
    anything: bool = False


def key(notebook_path: Path | str, entry: Entry, profile: str) -> Key:
    """Compute the key of one notebook under one profile.

    Parameters
    ----------
    notebook_path : path
        The source notebook, with or without outputs.
    entry : Entry
        Its catalog entry; ``entry.root`` is where modules and fixtures are looked up.
    profile : str
        The profile's name in the catalog.

    Raises
    ------
    CatalogError
        When the notebook is not readable, or a profile or fixture does not exist.
    """
    if profile not in entry.profiles:
        known = ", ".join(entry.profiles)
        raise CatalogError(f"{entry.name} has no profile {profile!r}; it has: {known}")
    cells = code_cells(read_notebook(notebook_path))
    parameters = dict(entry.profiles[profile].parameters)
    parts = {
        "code": _sha(_canonical(cells)),
        "snippets": snippet_modules(entry.root, [source for source, _ in cells]),
        "fixtures": _fixtures(entry),
        "parameters": _sha(_canonical(parameters)),
        "lock": _file_sha(entry.root / LOCK),
    }
    return Key(_sha(_canonical({**parts, "profile": profile})), parts)


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Name what differs between two keys' parts, in words a maintainer can act on."""
    words = {
        "code": "the notebook's code cells",
        "parameters": "the injected parameters",
        "lock": LOCK,
    }
    found = [word for part, word in words.items() if before.get(part) != after[part]]
    for part in ("snippets", "fixtures"):
        old, new = before.get(part, {}), after[part]
        found += sorted(p for p in {*old, *new} if old.get(p) != new.get(p))
    return found


def read_notebook(path: Path | str) -> dict:
    """Read a notebook as plain JSON: importing nbformat costs more than a check."""
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


def snippet_modules(root: Path, sources: Iterable[str]) -> dict[str, str]:
    """Map every ``snippets`` module that code can reach to the sha256 of its file.

    Imports are followed without running anything, also inside functions, through
    relative imports and packages' ``__init__``. A text such as ``"snippets.tiny"`` or
    ``"snippets/tiny.py"`` counts as an import. Where an import's target cannot be told
    (``import_module(name)``, a cell that is not Python), every module counts.

    Parameters
    ----------
    root : Path
        The folder that holds ``snippets/``.
    sources : iterable of str
        Code cells, magics included.
    """
    waiting: set[Path] = set()
    for source in sources:
        waiting |= _files(root, _references(source, package=""))
    found: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        name = path.relative_to(root).as_posix()
        if name in found:
            continue
        found[name] = _file_sha(path)
        package = ".".join(path.parent.relative_to(root).parts)
        waiting |= _files(root, _references(path.read_text("utf-8"), package))
    return dict(sorted(found.items()))


def _references(source: str, package: str) -> _References:
    """Collect the dotted names that a source imports or mentions as module."""
    tree, magics = _parse(source)
    found = _References({m.replace("/", ".") for m in MENTION.findall(magics)})
    if tree is None:
        return _References(set(), anything=True)
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.names |= _from_import(node, package)
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            found.anything = True
        elif isinstance(node, ast.Constant) and node not in docstrings:
            _read_text(node.value, found)
    return found


def _parse(source: str) -> tuple[ast.Module | None, str]:
    """Parse a cell or module; return with it the magics, which Python cannot read."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    first, _, rest = source.lstrip().partition("\n")
    magics = ""
    if first.startswith("%%"):
        if first.split()[0] not in PYTHON_CELL_MAGICS:
            return ast.Module([], []), source
        source, magics = rest, first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in (source, MAGIC_LINE.sub(r"\1pass", source)):
            try:
                return compile(text, "<cell>", "exec", flags), magics
            except (SyntaxError, ValueError):
                lines = [m.group(0) for m in MAGIC_LINE.finditer(source)]
                magics = "\n".join([magics, *lines])
    return None, source


def _docstrings(tree: ast.Module) -> set[ast.AST]:
    """Find the constants that stand alone as statements: they are prose, not code."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _from_import(node: ast.ImportFrom, package: str) -> set[str]:
    """Spell out ``from a import b`` as ``a.b``, relative ones against ``package``."""
    base = node.module or ""
    if node.level:
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parents, base] if base else parents)
    return {f"{base}.{alias.name}" for alias in node.names}


def _is_dynamic_import(call: ast.Call) -> bool:
    """Say whether a call imports a module whose name is not a plain absolute text."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in ("import_module", "__import__") or not call.args:
        return False
    target = getattr(call.args[0], "value", None)
    return not isinstance(target, str) or target.startswith(".")


def _read_text(value: Any, found: _References) -> None:
    """Take module names out of a text, ``python -m snippets.x`` for one."""
    if not isinstance(value, str):
        return
    found.names |= {m.replace("/", ".") for m in MENTION.findall(value)}
    if OPEN_END.fullmatch(value):
        found.names.add(re.split(r"[./]$", value)[0].replace("/", ".") + ".*")


def _files(root: Path, references: _References) -> set[Path]:
    """Find the files that importing the referenced names would execute."""
    if references.anything:
        return set((root / PACKAGE).rglob("*.py"))
    return {path for name in references.names for path in _module_files(root, name)}


def _module_files(root: Path, name: str) -> list[Path]:
    """Find a dotted name's module and the ``__init__`` of every package above it."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return []
    folder, files = root, []
    for part in parts:
        if part == "*":
            return [*files, *folder.rglob("*.py")]
        module = folder / f"{part}.py"
        folder = folder / part
        if not folder.is_dir():
            return [*files, module] if module.is_file() else files
        init = folder / "__init__.py"
        files += [init] if init.is_file() else []
    return files


def _fixtures(entry: Entry) -> dict[str, str]:
    """Map each fixture to one sha256 over its files' names and bytes."""
    found = {}
    for fixture in entry.fixtures:
        path = entry.root / fixture
        if not path.exists():
            raise CatalogError(f"{entry.name}: fixture {fixture} does not exist")
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        content = {
            file.relative_to(path).as_posix(): _file_sha(file)
            for file in files
            if file.is_file() and not NOT_FIXTURES & set(file.parts)
        }
        found[fixture] = _sha(_canonical(content))
    return found


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file_sha(path: Path) -> str:
    return file_digest(path) if path.is_file() else "absent"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
