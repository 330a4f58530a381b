"""Applies the table to pages, and takes exempted problems out, counted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from verify.blocks import kubernetes, pages
from verify.blocks.found import Block, Place, Problem, Setting
from verify.blocks.languages import shell
from verify.blocks.markdown import prose
from verify.blocks.table import CHECKS, LANGUAGES, SPELLED


@dataclass(frozen=True)
class Exempted:
    """An exemption that was needed."""

    place: Place
    language: str
    check: str
    reason: str


@dataclass(frozen=True)
class Result:
    """What the checks found in all pages."""

    pages: int
    blocks: list[Block]
    problems: list[Problem]
    exempt: list[Exempted]
    objects: kubernetes.Objects


def check(files: Iterable[Path], setting: Setting) -> Result:
    """Check every block of the pages."""
    files = list(files)
    parts = [part for file in files for part in pages.parts(file, setting.root)]
    blocks = [block for part in parts for block in pages.blocks(part)]
    found = [problem for block in blocks for problem in _of_fence(block)]
    for language, rules in LANGUAGES.items():
        ours = [block for block in blocks if block.language == language]
        for rule in rules.checks if ours else ():
            found += rule(ours, setting)
    objects = kubernetes.validate(blocks, setting)
    found += objects.problems
    found += [problem for part in parts for problem in _in_prose(part, setting)]
    problems, exempt = _exempted(blocks, found)
    problems.sort(key=lambda p: (p.place.page, p.place.cell or 0, p.place.line))
    return Result(len(files), blocks, problems, exempt, objects)


def _of_fence(block: Block) -> Iterator[Problem]:
    """Find what is wrong with the fence itself; none of it can be exempted."""
    for what, instead in block.slips:
        yield Problem(block.place, "fence", what, instead)
    if block.indented:
        what = "indented text renders as code, and says no language"
        yield Problem(block.place, "fence", what, "put it between fences, with one")
    elif not block.language:
        what, instead = "the fence names no language", "write one after it, or text"
        yield Problem(block.place, "fence", what, instead)
    elif block.language not in LANGUAGES:
        known = SPELLED.get(block.language.lower())
        near = difflib.get_close_matches(block.language, LANGUAGES, 1)
        instead = f"write {known or (near[0] if near else 'text')}"
        if not known and not near:
            instead += ", or give the language its checks in verify/blocks/table.py"
        what = f"no checks are known for the language {block.language!r}"
        yield Problem(block.place, "fence", what, instead)
    for name in block.exempt:
        if name not in CHECKS:
            near = difflib.get_close_matches(name, CHECKS, 1) or sorted(CHECKS)
            what = f"the exemption names no check: {name!r}"
            instead = f"choose one of: {', '.join(near)}"
            yield Problem(block.place, "exemption", what, instead)


def _in_prose(part: pages.Part, setting: Setting) -> Iterator[Problem]:
    """Find sessions and modules that inline code names and that do not exist."""
    sessions = shell.sessions_of(setting.root)
    for line, token in prose(part.text, part.dialect):
        if token.type == "code_inline":
            place = Place(part.page, line, part.cell)
            for what, instead in shell.wrong_command(
                token.content, setting.root, sessions
            ):
                yield Problem(place, "command", what, instead)


def _exempted(
    blocks: list[Block], found: list[Problem]
) -> tuple[list[Problem], list[Exempted]]:
    """Take out what is exempt; an exemption that nothing needs is a problem."""
    kept: list[Problem] = []
    used: set[tuple[int, str]] = set()
    for problem in found:
        block = problem.block
        if block is not None and problem.check in block.exempt:
            used.add((block_id(block), problem.check))
        else:
            kept.append(problem)
    exempt = []
    for block in blocks:
        for name, reason in block.exempt.items():
            if (block_id(block), name) in used:
                exempt.append(Exempted(block.place, block.language, name, reason))
            elif name in CHECKS:
                what = f"nothing here needs the exemption from {name!r}"
                place = block.place
                kept.append(Problem(place, "exemption", what, "take it off the fence"))
    return kept, exempt


def block_id(block: Block) -> int:
    """Return what is the same for a block and for copies of it that a check made."""
    return hash(block.place)
