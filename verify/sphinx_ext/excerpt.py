"""Finds one region or one object of a file, exactly, so that a guide can never print
code that no longer exists."""

from __future__ import annotations

import ast
import difflib
import re
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from verify import covered
from verify.sphinx_ext.words import listed, plural

OPENS = re.compile(r"^\s*#\s*region:\s*(?P<name>\S+)\s*$")
CLOSES = re.compile(r"^\s*#\s*endregion:\s*(?P<name>\S+)\s*$")
LEXERS = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml"}
LEXERS |= {".sh": "bash", ".json": "json", ".txt": "text", ".cfg": "ini"}


class SnippetError(Exception):
    """A snippet that cannot be shown, with the sentence that says why."""


@dataclass(frozen=True)
class Excerpt:
    """Lines of one file; ``first`` and ``last`` count from 1 and are inclusive."""

    path: str
    name: str
    kind: str  # "region" or "object"
    first: int
    last: int
    code: str


def lexer_of(path: str) -> str:
    """Return the language that a file is highlighted in."""
    return LEXERS.get(Path(path).suffix, "text")


# region: find
def find(root: Path, target: str) -> Excerpt:
    """Return the one region or object that ``target`` names.

    Parameters
    ----------
    root
        Folder that the path in ``target`` is relative to.
    target
        ``path#name``, where name is a region or an object such as
        ``read_chat`` or ``Client.predict``. Where both have the name, write
        ``path#region:name`` or ``path#object:name``.

    Raises
    ------
    SnippetError
        If the file is missing, or not exactly one region or object matches.
    """
    path, _, name = target.partition("#")
    if not path or not name:
        raise SnippetError(f"snippet {target!r}: write path#region-or-object")
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()):
        raise SnippetError(f"snippet {target}: {path} is outside the project")
    if not file.is_file():
        raise SnippetError(f"snippet {target}: there is no file {path}")
    text = file.read_text(encoding="utf-8")
    known = regions(path, text) + objects(path, text)
    found = [span for span in known if name in (span.name, f"{span.kind}:{span.name}")]
    if not found:
        raise SnippetError(_nothing_found(target, path, name, known))
    if len(found) > 1:
        raise SnippetError(_ambiguous(target, path, name, found))
    return found[0]


# endregion: find


def regions(path: str, text: str) -> list[Excerpt]:
    """Return every marked region of a file, in order of its closing line.

    Raises
    ------
    SnippetError
        If a region closes without opening, opens twice or is never closed.
    """
    lines = text.splitlines()
    opened: dict[str, int] = {}
    found: list[Excerpt] = []
    for number, line in enumerate(lines, start=1):
        if match := OPENS.match(line):
            name = match["name"]
            if name in opened:
                raise SnippetError(
                    f"{path}:{number}: region {name!r} opens again before the one "
                    f"of line {opened[name]} is closed"
                )
            opened[name] = number
        elif match := CLOSES.match(line):
            name = match["name"]
            if name not in opened:
                raise SnippetError(
                    f"{path}:{number}: endregion {name!r} closes nothing"
                )
            start = opened.pop(name)
            found.append(_excerpt(path, name, "region", start + 1, number - 1, lines))
    for name, number in opened.items():
        raise SnippetError(f"{path}:{number}: region {name!r} is never closed")
    return found


def objects(path: str, text: str) -> list[Excerpt]:
    """Return the functions, classes, methods and named constants of a Python file."""
    if not path.endswith(".py"):
        return []
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        reason = f"{path}:{error.lineno}: not valid Python: {error.msg}"
        raise SnippetError(reason) from error
    lines = text.splitlines()
    return [
        _excerpt(path, name, "object", first, last, lines)
        for name, first, last in _definitions(tree.body, "")
    ]


def _definitions(body: list[ast.stmt], prefix: str) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found.append((prefix + node.name, first, node.end_lineno or first))
            if isinstance(node, ast.ClassDef):
                found += _definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            last = node.end_lineno or node.lineno
            found += [(prefix + n, node.lineno, last) for n in _assigned(node)]
        elif isinstance(node, ast.If | ast.Try | ast.With):
            for field in ("body", "orelse", "finalbody"):
                found += _definitions(getattr(node, field, []), prefix)
    return found


def _assigned(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _excerpt(
    path: str, name: str, kind: str, first: int, last: int, lines: list[str]
) -> Excerpt:
    kept = [
        line
        for line in lines[first - 1 : last]
        if not (OPENS.match(line) or CLOSES.match(line))
    ]
    code = textwrap.dedent("\n".join(kept)).strip("\n")
    return Excerpt(path, name, kind, first, last, code)


def _nothing_found(target: str, path: str, name: str, known: list[Excerpt]) -> str:
    names = sorted({span.name for span in known})
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; it has {listed(names)}"
    return f"snippet {target}: no region or object {name!r} in {path}{hint}"


def _ambiguous(target: str, path: str, name: str, found: list[Excerpt]) -> str:
    places = ", ".join(f"{span.kind} at line {span.first}" for span in found)
    hint = f"; write region:{name} or object:{name}"
    kinds = {span.kind for span in found}
    return (
        f"snippet {target}: {name!r} is ambiguous in {path}: {places}"
        f"{hint if len(kinds) == len(found) else ''}"
    )


def tested_in(root: Path, excerpt: Excerpt) -> Excerpt | None:
    """Return the mirrored test file, if it exists and names the code it tests.

    What is returned spans the first line with the name.
    """
    path = Path(excerpt.path)
    test = (Path("tests") / path.parent / f"test_{path.name}").as_posix()
    if excerpt.kind != "object" or not (root / test).is_file():
        return None
    last = re.escape(excerpt.name.rpartition(".")[2])
    lines = (root / test).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if re.search(rf"\b{last}\b", line):
            return _excerpt(test, excerpt.name, "line", number, number, lines)
    return None


@dataclass(frozen=True)
class Tests:
    """The tests that ran an excerpt.

    Attributes
    ----------
    first : Excerpt
        The first of them in the file that holds most.
    words, others : str
        How many there are in that file, and how many more elsewhere.
    """

    first: Excerpt
    words: str
    others: str

    @property
    def file(self) -> str:
        """The file that holds most of them."""
        return self.first.path


def tested_by(root: Path, excerpt: Excerpt) -> Tests | None:
    """Return the tests that ran lines of an excerpt when coverage was last measured.

    None where no run is on record, or the file has changed since.
    """
    span = (excerpt.path, excerpt.first, excerpt.last)
    tests = covered.covering(covered.load(root), root, *span)
    if not tests:
        return None
    counted = Counter(test.partition("::")[0] for test in tests)
    file, count = max(counted.items(), key=lambda one: (one[1], one[0]))
    more = len(tests) - count
    others = f"{more} in {plural(len(counted) - 1, 'other file')}" if more else ""
    names = [test.partition("::")[2] for test in tests if test.startswith(f"{file}::")]
    first = _first_of(root, file, names)
    return Tests(first, f"{plural(count, 'test')} in {file}", others)


def _first_of(root: Path, file: str, names: list[str]) -> Excerpt:
    """Return the first of these tests; line 1 of the file if none is found."""
    text = (root / file).read_text(encoding="utf-8")
    dotted = {name.replace("::", ".") for name in names}
    found = [span for span in objects(file, text) if span.name in dotted]
    top = _excerpt(file, file, "line", 1, 1, text.splitlines())
    return min(found, key=lambda span: span.first, default=top)
