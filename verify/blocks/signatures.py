"""Knows names and arguments of ``snippets`` from its source; nothing is imported."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "snippets"
Misuse = tuple[int, str, str]  # line, what, what to write instead


@dataclass(frozen=True)
class Missing:
    """A dotted name that does not exist, and names like it that do."""

    parent: str
    name: str
    known: tuple[str, ...]

    def say(self, line: int) -> Misuse:
        """Return what is wrong at a line."""
        near = difflib.get_close_matches(self.name, self.known, 1)
        instead = f"write {near[0]}" if near else f"look it up in {self.parent}"
        return line, f"{self.parent} has no {self.name}", instead


class Modules:
    """The modules of the package, parsed when they are first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: dict[str, dict[str, ast.AST | str] | None] = {}

    def names(self, module: str) -> dict[str, ast.AST | str] | None:
        """Return name -> definition, or the dotted name it stands for; None: no file.

        Parameters
        ----------
        module : str
            Its dotted name.
        """
        if module not in self.seen:
            place = self.root.joinpath(*module.split("."))
            files = (place.with_suffix(".py"), place / "__init__.py")
            file = next((file for file in files if file.is_file()), None)
            self.seen[module] = None
            if file:
                tree = ast.parse(file.read_text(encoding="utf-8"))
                names = _defined(tree.body, module, file.name == "__init__.py")
                for inner in place.glob("*") if place.is_dir() else ():
                    if inner.suffix == ".py" or (inner / "__init__.py").is_file():
                        names.setdefault(inner.stem, f"{module}.{inner.stem}")
                self.seen[module] = names
        return self.seen[module]

    def find(self, dotted: str, depth: int = 0) -> ast.AST | Missing | None:
        """Return what a dotted name is; None where the source does not tell."""
        module, *rest = dotted.split(".")
        while rest and (names := self.names(module)) is not None:
            if rest[0] not in names:
                return Missing(module, rest[0], tuple(names))
            found = names[rest[0]]
            if not isinstance(found, str):
                one = len(rest) == 1
                return found if one else _member(module, found, rest[1])
            if found != f"{module}.{rest[0]}":  # a name that it imports itself
                ours = found.split(".")[0] == PACKAGE and depth < 20
                whole = ".".join([found, *rest[1:]])
                return self.find(whole, depth + 1) if ours else None
            module, rest = found, rest[1:]
        return None


def misuses(
    tree: ast.Module, modules: Modules, scope: dict[str, str]
) -> Iterator[Misuse]:
    """Find what a block takes from the package and the package does not have.

    Parameters
    ----------
    tree : ast.Module
        The block.
    scope : dict
        Name on the page -> dotted name; changed by what the block imports and binds.
    """
    for node in _in_order(tree):
        match node:
            case ast.ImportFrom(module=str(module), level=0):
                yield from _imported(node, module, modules, scope)
            case ast.Import():
                yield from _imported_whole(node, modules, scope)
            case ast.Call():
                yield from _called(node, modules, scope)
            case ast.Attribute():
                dotted = _dotted(node, scope)
                found = modules.find(dotted) if dotted else None
                if isinstance(found, Missing):
                    yield found.say(node.lineno)
            case ast.Name(ctx=ast.Store()):
                scope.pop(node.id, None)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                scope.pop(node.name, None)
            case ast.arg():
                scope.pop(node.arg, None)


def _imported_whole(
    node: ast.Import, modules: Modules, scope: dict[str, str]
) -> Iterator[Misuse]:
    for alias in node.names:
        first = alias.name.split(".")[0]
        bound = alias.asname or first
        scope.pop(bound, None)
        if first != PACKAGE:
            continue
        if modules.names(alias.name) is None:
            parent, _, last = alias.name.rpartition(".")
            known = tuple(modules.names(parent) or ())
            yield Missing(parent, last, known).say(node.lineno)
        else:
            scope[bound] = alias.name if alias.asname else first


def _imported(
    node: ast.ImportFrom, module: str, modules: Modules, scope: dict[str, str]
) -> Iterator[Misuse]:
    for alias in node.names:
        name = alias.asname or alias.name
        scope.pop(name, None)
        if module.split(".")[0] != PACKAGE or alias.name == "*":
            continue
        if modules.names(module) is None:
            parent, _, last = module.rpartition(".")
            known = tuple(modules.names(parent) or ())
            yield Missing(parent or module, last, known).say(node.lineno)
            return
        dotted = f"{module}.{alias.name}"
        found = modules.find(dotted)
        if isinstance(found, Missing):
            yield found.say(node.lineno)
        else:
            scope[name] = dotted


def _called(
    node: ast.Call, modules: Modules, scope: dict[str, str]
) -> Iterator[Misuse]:
    dotted = _dotted(node.func, scope)
    found = modules.find(dotted) if dotted else None
    takes = _arguments(found) if isinstance(found, ast.AST) else None
    if takes is None:
        return
    names, required, many, any_name = takes
    short = dotted.rpartition(".")[2]
    for keyword in node.keywords:
        if keyword.arg and keyword.arg not in names and not any_name:
            line, what, instead = Missing(short, keyword.arg, tuple(names)).say(
                keyword.value.lineno
            )
            what = f"{short}() takes no argument {keyword.arg!r}"
            instead = instead.replace("look it up in", "see the signature of")
            yield line, what, instead
    spread = any(isinstance(a, ast.Starred) for a in node.args)
    if spread or any(keyword.arg is None for keyword in node.keywords):
        return
    if many is not None and len(node.args) > many:
        what = f"{short}() takes {many} arguments by position, not {len(node.args)}"
        yield node.lineno, what, "name the others: name=value"
    given = set(names[: len(node.args)]) | {k.arg for k in node.keywords}
    if missing := [name for name in required if name not in given]:
        what = f"{short}() needs {', '.join(missing)}"
        yield node.lineno, what, f"write {missing[0]}=..."


def _arguments(
    found: ast.AST,
) -> tuple[list[str], list[str], int | None, bool] | None:
    """Return names, required names, how many by position, whether any name is taken."""
    if isinstance(found, ast.ClassDef):
        made = [n for n in found.body if getattr(n, "name", "") == "__init__"]
        if made:
            found = made[0]
            skipped = 1
        elif _is_dataclass(found) and not found.bases:
            return _fields(found)
        else:
            return None
    elif isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        skipped = 0
    else:
        return None
    given = found.args
    placed = [a.arg for a in (*given.posonlyargs, *given.args)]
    required = placed[: len(placed) - len(given.defaults)][skipped:]
    pairs = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    required += [a.arg for a, default in pairs if default is None]
    names = placed[skipped:] + [a.arg for a in given.kwonlyargs]
    many = None if given.vararg else len(placed) - skipped
    return names, required, many, given.kwarg is not None


def _fields(found: ast.ClassDef) -> tuple[list[str], list[str], int, bool]:
    fields = [n for n in found.body if isinstance(n, ast.AnnAssign)]
    names = [n.target.id for n in fields if isinstance(n.target, ast.Name)]
    required = [n.target.id for n in fields if n.value is None]
    return names, required, len(names), False


def _is_dataclass(found: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(mark) for mark in found.decorator_list)


def _member(module: str, found: ast.AST, name: str) -> ast.AST | Missing | None:
    """Look into a class; a class with bases may have what its source does not show."""
    if not isinstance(found, ast.ClassDef) or found.bases:
        return None
    names = _defined(found.body, "", False)
    if name not in names and not name.startswith("__"):
        return Missing(f"{module}.{found.name}", name, tuple(names))
    return None


def _defined(
    body: list[ast.stmt], module: str, package: bool
) -> dict[str, ast.AST | str]:
    names: dict[str, ast.AST | str] = {}
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names[node.name] = node
            case ast.Import():
                for alias in node.names:
                    whole = alias.name if alias.asname else alias.name.split(".")[0]
                    names[alias.asname or whole] = whole
            case ast.ImportFrom():
                base = module.split(".")
                base = base[: len(base) - node.level + package] if node.level else []
                start = ".".join([*base, *filter(None, [node.module])])
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{start}.{alias.name}"
            case ast.If() | ast.Try() | ast.With():
                inner = [*node.body, *getattr(node, "orelse", [])]
                inner += [n for h in getattr(node, "handlers", []) for n in h.body]
                names |= _defined(inner, module, package)
            case _:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        names[inner.id] = node
    return names


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree as it is read, and values before the names they are bound to."""
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.For):
        children.sort(key=lambda n: isinstance(getattr(n, "ctx", None), ast.Store))
    yield node
    for child in children:
        yield from _in_order(child)


def _dotted(node: ast.AST, scope: dict[str, str]) -> str:
    words: list[str] = []
    while isinstance(node, ast.Attribute):
        words.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in scope:
        return ""
    return ".".join([scope[node.id], *words])
