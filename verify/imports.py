"""Follows what code can import without running it: own modules and packages."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "snippets"
MENTION = re.compile(rf"\b{PACKAGE}(?:[./]\w+)+")
OPEN_END = re.compile(rf"\S*\b{PACKAGE}(?:[./]\w+)*[./]")
MAGIC_LINE = re.compile(r"^(\s*)(?:[\w, ]+=\s*)?[%!?].*$", re.MULTILINE)
PYTHON_CELL_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")


@dataclass
class _References:
    """What one piece of source can import; ``anything`` when that cannot be told."""

    names: set[str]
    anything: bool = False


@dataclass
class Reach:
    """All that a notebook's code can reach.

    Attributes
    ----------
    modules : dict
        Every module of ``snippets``, as a path below the root, with the path or
        ``"the notebook"`` that it was first reached from.
    packages : set of str
        Top-level names of everything else that is imported and not in Python itself.
    """

    modules: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)

    def chain(self, module: str) -> list[str]:
        """List how a module is reached, from the notebook to it."""
        steps = [module]
        while steps[0] in self.modules:
            steps.insert(0, self.modules[steps[0]])
        return steps


START = "the notebook"


def reach(root: Path, sources: Iterable[str], without: Collection[str] = ()) -> Reach:
    """Find every ``snippets`` module and package that code can reach.

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
    without : collection of str
        Modules, as paths below the root, that are passed over.
    """
    found = Reach()
    waiting: list[tuple[Path, str]] = []

    def follow(source: str, package: str, origin: str) -> None:
        references = _references(source, package)
        found.packages.update(_packages(references))
        waiting.extend((path, origin) for path in sorted(_files(root, references)))

    for source in sources:
        follow(source, "", START)
    while waiting:
        path, origin = waiting.pop(0)
        name = path.relative_to(root).as_posix()
        if name in found.modules or name in without:
            continue
        found.modules[name] = origin
        package = ".".join(path.parent.relative_to(root).parts)
        follow(path.read_text("utf-8"), package, name)
    return found


def names(source: str) -> set[str]:
    """Return the dotted names that a source imports or mentions, ``a.b`` for one."""
    return set(_references(source, "").names)


def _packages(references: _References) -> set[str]:
    """Return the top-level names that neither Python nor the handbook brings."""
    top = {name.split(".")[0] for name in references.names} - {PACKAGE, "", "*"}
    return top - sys.stdlib_module_names


@cache
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
        elif isinstance(node, ast.Call):
            _read_call(node, found)
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


def _read_call(call: ast.Call, found: _References) -> None:
    """Take the module out of an import by call; a name that is no text is anything."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in ("import_module", "__import__") or not call.args:
        return
    target = getattr(call.args[0], "value", None)
    if isinstance(target, str) and not target.startswith("."):
        found.names.add(target)
    else:
        found.anything = True


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
