"""Holds every page to one spelling a term, the one that the glossary defines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verify.blocks.found import Place, Problem
from verify.blocks.markdown import prose
from verify.blocks.pages import Part

GLOSSARY = ("docs/reference/glossary.md", "docs/reference/glossary.mdx")
HEADING = re.compile(r"###\s+(.+?)\s*(\\?\{#[\w-]+\})?\s*$")
NOT = re.compile(r"\*Not:\*\s+(.+?)\.?\s*$")
ADDRESS = re.compile(r"\b\w+://\S+|\bwww\.\S+|\S+@\S+")


class GlossaryError(Exception):
    """The glossary is missing or contradicts itself."""


@dataclass(frozen=True)
class Term:
    """A term, where it is defined, and how it is not spelled."""

    name: str
    line: int
    wrong: tuple[str, ...]


def read(root: Path) -> list[Term]:
    """Read the glossary: a heading of the third level is a term, ``*Not:*`` its slips.

    Raises
    ------
    GlossaryError
        If there is none, it defines nothing, or it defines or forbids a word twice.
    """
    file = next((root / p for p in GLOSSARY if (root / p).is_file()), None)
    if file is None:
        raise GlossaryError(f"there is no glossary: write {GLOSSARY[0]}")
    found: list[Term] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if match := HEADING.match(line):
            found.append(Term(match[1], number, ()))
        elif (match := NOT.match(line)) and found:
            wrong = tuple(word.strip() for word in match[1].split(","))
            found[-1] = Term(found[-1].name, found[-1].line, wrong)
    if not found:
        raise GlossaryError(f"{file.name} defines no term: write one as ### TERM")
    seen: set[str] = set()
    for term in found:
        for word in (term.name, *term.wrong):
            if word in seen:
                where = f"{file.name}:{term.line}"
                raise GlossaryError(f"{where}: {word!r} stands in the glossary twice")
            seen.add(word)
    return found


def check(parts: list[Part], terms: list[Term]) -> Iterator[Problem]:
    """Find spellings that the glossary says not to use; code and addresses are free."""
    slips = {wrong: term.name for term in terms for wrong in term.wrong}
    if not slips:
        return
    either = "|".join(sorted(map(re.escape, slips), key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w./-])(?:{either})(?![\w/-]|\.\w)")
    for part in parts:
        forbidding = {
            number
            for number, line in enumerate(part.text.splitlines(), 1)
            if part.page in GLOSSARY and NOT.match(line)
        }
        for line, token in prose(part.text, part.dialect):
            if token.type != "text" or line in forbidding:
                continue
            for match in pattern.finditer(ADDRESS.sub(" ", token.content)):
                place = Place(part.page, line, part.cell)
                what = f"{match[0]!r} is not how the glossary spells it"
                yield Problem(place, "term", what, f"write {slips[match[0]]}")
