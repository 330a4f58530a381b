"""Checks Python blocks: they compile, use what exists, and those marked ``run`` run."""

from __future__ import annotations

import ast
import doctest
import json
import re
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from verify.blocks.found import Block, Problem, Setting, ToolError
from verify.blocks.signatures import Modules, misuses

SHELL = re.compile(
    r"\s*(\$ |[!%]|(kubectl|pip3?|python3?|docker|podman|helm|git|cd|export|curl)\s)"
)
PLACEHOLDER = re.compile(r"<[a-z][\w -]*>")


def compiles(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find blocks that are not Python; ``await`` may stand at the top."""
    for block in blocks:
        try:
            tree_of(block)
        except SyntaxError as error:
            number = error.lineno or 1
            lines = block.code.splitlines() or [""]
            bad = lines[min(number, len(lines)) - 1]
            what = f"does not compile: {error.msg}"
            place = block.line(number)
            yield Problem(place, "python-syntax", what, _instead(bad), block)


def uses(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find names and arguments that ``snippets`` does not have, page by page."""
    modules = Modules(setting.root)
    for _, group in groupby(blocks, key=lambda block: block.place.page):
        scope: dict[str, str] = {}
        for block in group:
            try:
                tree = tree_of(block)
            except SyntaxError:
                continue  # compiles() says so
            for line, what, instead in misuses(tree, modules, scope):
                place = block.line(line)
                yield Problem(place, "python-names", what, instead, block)


def runs(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Execute the blocks marked ``run``, in order, in one namespace a page."""
    chosen = [block for block in blocks if block.run]
    for _, group in groupby(chosen, key=lambda block: block.place.page):
        yield from _run_page(list(group), setting)


def tree_of(block: Block) -> ast.Module:
    """Parse a block, or the examples of a ``>>>`` session, with the block's lines."""
    code = block.code
    if is_session(code):
        try:
            examples = doctest.DocTestParser().get_examples(code, block.place.page)
        except ValueError as error:
            number = int((re.search(r"line (\d+)", str(error)) or [0, 1])[1])
            raise SyntaxError(str(error), (None, number, 1, "")) from error
        lines = [""] * (code.count("\n") + 1)
        for example in examples:
            source = example.source.splitlines()
            lines[example.lineno : example.lineno + len(source)] = source
        code = "\n".join(lines)
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(code, block.place.page, "exec", flags, dont_inherit=True)


def is_session(code: str) -> bool:
    """Say whether code is what an interactive Python shows."""
    return code.lstrip().startswith(">>> ")


def _instead(line: str) -> str:
    if SHELL.match(line):
        return "put a shell command in a bash block"
    if PLACEHOLDER.search(line):
        return 'put a placeholder in quotes, or in a variable: name = "NAME"'
    return "write Python that compiles, or tag the fence text"


def _run_page(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told.json")
        plan = [{"code": b.code, "session": is_session(b.code)} for b in blocks]
        told.write_text(json.dumps({"blocks": plan}), encoding="utf-8")
        (work := Path(folder, "work")).mkdir()
        slow = _execute(told, work, setting)
        answer = json.loads(told.read_text(encoding="utf-8"))
    if answer.get("done"):
        return
    if "at" not in answer:
        raise ToolError(f"{setting.notebooks} cannot run blocks: {slow}")
    block = blocks[answer["at"]]
    what = f"stopped when it ran: {answer.get('error') or slow}"
    instead = "mend the code, or leave out the word run"
    place = block.line(answer.get("line", 1))
    yield Problem(place, "python-run", what, instead, block)


def _execute(told: Path, work: Path, setting: Setting) -> str:
    """Run the runner; return why it ended where it did not say so itself."""
    command = [setting.notebooks, "-m", "verify.blocks.runner", str(told)]
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env=setting.environment(),
            capture_output=True,
            text=True,
            timeout=setting.time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the blocks of the page took more than {setting.time_limit:g} s"
    except OSError as error:
        raise ToolError(f"{setting.notebooks} cannot be started: {error}") from error
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return f"Python ended with {done.returncode}: {last}"
