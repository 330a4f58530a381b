"""Runs the blocks of one page in one namespace; a process of its own, with a limit.

``python -m verify.blocks.runner FILE`` reads the blocks from a JSON file and writes
there how far it came, before and after each block.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import json
import sys
import traceback
from pathlib import Path
from typing import Any


def main(file: Path) -> None:
    """Run every block; stop at the first that fails."""
    blocks = json.loads(file.read_text(encoding="utf-8"))["blocks"]
    names: dict[str, Any] = {"__name__": "__page__"}
    with asyncio.Runner() as loop:
        for number, block in enumerate(blocks):
            _tell(file, {"at": number})
            run = _session if block["session"] else _code
            failed = run(block["code"], names, loop, f"<block {number}>")
            if failed:
                _tell(file, {"at": number, **failed})
                return
    _tell(file, {"done": True})


def _code(code: str, names: dict, loop: asyncio.Runner, name: str) -> dict | None:
    try:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = compile(code, name, "exec", flags, dont_inherit=True)
        made = eval(compiled, names)  # nosec B307 # to run a page's code is its work
        if inspect.iscoroutine(made):
            loop.run(made)
    except (Exception, SystemExit) as error:  # a reader's code may raise anything
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__)]
        files = [f.filename for f in traceback.extract_tb(error.__traceback__)]
        own = [at for at, file in zip(lines, files, strict=True) if file == name]
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        return {"line": own[-1] if own else getattr(error, "lineno", 1), "error": said}
    return None


def _session(code: str, names: dict, loop: asyncio.Runner, name: str) -> dict | None:
    """Run ``>>>`` examples and compare what they print."""
    test = doctest.DocTestParser().get_doctest(code, names, name, name, 0)
    test.globs = names  # get_doctest copies it; the page has one namespace
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append, clear_globs=False)
    if not runner.failures:
        return None
    text = "".join(said)
    line = next((word for word in text.split("line ")[1:]), "1").split(",")[0]
    tail = " ".join(text.partition("Failed example:")[2].split())
    return {"line": int(line), "error": f"the session differs: {tail}"}


def _tell(file: Path, what: dict) -> None:
    file.write_text(json.dumps(what), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
