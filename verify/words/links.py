"""Follows links: those inside the repository at once, those outside on a schedule."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from verify.blocks.found import Place, Problem
from verify.blocks.markdown import prose, tokens
from verify.blocks.pages import DIALECTS, Part, parts

TARGET = re.compile(
    r"""^\((?P<label>[^)\s]+)\)=|\\?\{#(?P<own>[\w.-]+)\}|\bid=["'](?P<id>[^"']+)""",
    re.M,
)
OWN_ID = re.compile(r"\s*\\?\{#[\w.-]+\}\s*$")
# Addresses that stand for others, or exist only on the reader's machine.
NOT_ASKED = re.compile(
    r"(localhost|127\.0\.0\.1|.*\.(example|invalid|test)|example\.\w+)"
)
REFUSED = (401, 403, 405, 429, 999)  # there is a server, and it does not serve robots
AGENT = {"User-Agent": "handbook-link-check/1 (documentation; runs weekly)"}


@dataclass(frozen=True)
class Link:
    """A link and where it stands."""

    place: Place
    target: str


@dataclass(frozen=True)
class Answer:
    """What an address answered: ``ok``, ``refused``, ``broken`` or ``not asked``."""

    target: str
    verdict: str
    said: str
    places: tuple[Place, ...]


def links(parts: list[Part]) -> list[Link]:
    """List every link and image of the pages, outside code."""
    found = []
    for part in parts:
        for line, token in prose(part.text, part.dialect):
            target = token.attrs.get("href") or token.attrs.get("src")
            if target:
                place = Place(part.page, line, part.cell)
                found.append(Link(place, str(target)))
    return found


def internal(parts: list[Part], root: Path) -> Iterator[Problem]:
    """Find links to files and headings that do not exist.

    Names without a path may be labels, which the build of the site follows.
    """
    known: dict[Path, set[str]] = {}
    for link in links(parts):
        parsed = urlsplit(link.target)
        if parsed.scheme or parsed.netloc:
            continue
        path, anchor = unquote(parsed.path), unquote(parsed.fragment)
        page = root / link.place.page
        if page.is_relative_to(root / "docs") and _may_be_label(page, path):
            continue
        target = _file(page, path, root) if path else page
        if target is None:
            what = f"there is no {path}"
            instead = "link to a file of the repository, by its path from this page"
            yield Problem(link.place, "link", what, instead)
        elif anchor and target.suffix in DIALECTS:
            if target not in known:
                known[target] = anchors(target, root)
            if anchor not in known[target]:
                what = f"{target.name} has no heading #{anchor}"
                yield Problem(link.place, "link", what, "link to one that it has")


def anchors(file: Path, root: Path) -> set[str]:
    """List what a link into a page can name: slugs of headings, labels and ids."""
    found: set[str] = set()
    for part in parts(file, root):
        found |= {next(filter(None, m.groups())) for m in TARGET.finditer(part.text)}
        rows = tokens(part.text, part.dialect)
        for heading, inline in zip(rows, rows[1:], strict=False):
            if heading.type == "heading_open" and inline.children is not None:
                words = "".join(t.content for t in inline.children if not t.nesting)
                slug, number = _slug(OWN_ID.sub("", words)), 1
                whole = slug
                while whole in found:
                    whole, number = f"{slug}-{number}", number + 1
                found.add(whole)
    return found


def external(
    parts: list[Part], timeout: float = 10.0, tries: int = 3, wait: float = 2.0
) -> list[Answer]:
    """Ask every address outside once; ``wait`` seconds, doubled, between tries."""
    places: dict[str, list[Place]] = {}
    for link in links(parts):
        if urlsplit(link.target).scheme in ("http", "https"):
            address = link.target.partition("#")[0]
            places.setdefault(address, []).append(link.place)

    def ask(address: str) -> Answer:
        said = _ask(address, timeout, tries, wait)
        return Answer(address, *said, tuple(places[address]))

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, sorted(places)))


def _ask(address: str, timeout: float, tries: int, wait: float) -> tuple[str, str]:
    host = urlsplit(address).hostname or ""
    if NOT_ASKED.fullmatch(host):
        return "not asked", f"{host} stands for another host"
    said = ""
    for number in range(tries):
        if number:
            time.sleep(wait * 2 ** (number - 1))
        try:
            request = urllib.request.Request(address, headers=AGENT)
            # Only http and https come here, which external() chooses.
            with urllib.request.urlopen(request, timeout=timeout) as reply:  # nosec B310
                reply.read(1024)
                return "ok", str(reply.status)
        except urllib.error.HTTPError as error:
            said = f"{error.code} {error.reason}"
            if error.code in REFUSED:
                return "refused", said
            if error.code < 500:
                return "broken", said
        except (OSError, HTTPException, ValueError) as error:
            said = str(getattr(error, "reason", None) or error)
    return "broken", f"{said} ({tries} tries)"


def _may_be_label(page: Path, path: str) -> bool:
    plain = bool(path) and "/" not in path and "." not in path
    return plain and _file(page, path, page.parent) is None


def _file(page: Path, path: str, root: Path) -> Path | None:
    """Return the file or folder of a link, with or without its ending."""
    start = root if path.startswith("/") else page.parent
    place = start / path.lstrip("/")
    near = (place, *(place.with_name(place.name + ending) for ending in DIALECTS))
    return next((file for file in near if file.exists()), None)


def _slug(words: str) -> str:
    """Return a heading's anchor as GitHub and MyST make it."""
    kept = re.sub(r"[^\w\- ]", "", words.strip().lower())
    return kept.replace(" ", "-")
