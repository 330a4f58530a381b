"""The one table: which language a fence may name, and what is checked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from verify.blocks.found import Block, Problem, Setting
from verify.blocks.languages import json, python, settings, shell, yaml

Check = Callable[[list[Block], Setting], Iterator[Problem]]


@dataclass(frozen=True)
class Language:
    """What is done with the blocks of a language.

    Attributes
    ----------
    how : str
        In words, for the summary: what is checked, or why nothing is.
    checks : tuple of Check
        Each is given all blocks of the language at once.
    """

    how: str
    checks: tuple[Check, ...] = ()


SHELL = Language(
    "bash -n, shellcheck, placeholders, sessions and modules exist",
    (
        shell.placeholders,
        shell.prompts,
        shell.parses,
        shell.shellcheck,
        shell.commands,
    ),
)
OBJECTS = "; Kubernetes objects fit their schemas"

LANGUAGES = {
    "python": Language(
        "compiles; names of snippets exist; `run` is executed",
        (python.compiles, python.uses, python.runs),
    ),
    "bash": SHELL,
    "sh": SHELL,
    "console": SHELL,
    "yaml": Language("parses, no key twice" + OBJECTS, (yaml.parses,)),
    "json": Language("parses, no key twice" + OBJECTS, (json.parses,)),
    "jsonl": Language("each line parses", (json.lines,)),
    "toml": Language("parses", (settings.toml,)),
    "ini": Language("parses", (settings.ini,)),
    "text": Language("nothing: it is to be read, not pasted"),
    "output": Language("nothing: a program printed it"),
    "diff": Language("nothing: it shows a change"),
    "http": Language("nothing: it shows a request or an answer"),
    "mermaid": Language("nothing: the browser draws it"),
    "markdown": Language("nothing: it shows how a page is written"),
    "mdx": Language("nothing: it shows how a page is written"),
}

# What people write, and what it is called here: one spelling for each language.
SPELLED = {
    "py": "python",
    "python3": "python",
    "pycon": "python",
    "shell": "bash",
    "zsh": "bash",
    "shell-session": "console",
    "yml": "yaml",
    "jsonlines": "jsonl",
    "ndjson": "jsonl",
    "cfg": "ini",
    "conf": "text",
    "txt": "text",
    "plaintext": "text",
    "none": "text",
    "md": "markdown",
}

# Every name that an exemption can use.
CHECKS = {
    "python-syntax": "Python compiles",
    "python-names": "names and arguments of `snippets` exist",
    "python-run": "a block marked `run` runs",
    "placeholder": "no `<name>` outside quotes",
    "prompt": "prompts only in console blocks",
    "bash-syntax": "`bash -n` reads it",
    "shellcheck": "shellcheck finds no warning",
    "command": "sessions and modules of this repository exist",
    "yaml": "YAML parses, no key twice, no `...`",
    "json": "JSON parses, no key twice",
    "toml": "TOML parses",
    "ini": "INI parses",
    "kubernetes": "objects fit their schemas, strictly",
}
