"""Reads docs/ledger/: what goes wrong and what is claimed, each with its evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from verify import source
from verify.catalog import Catalog
from verify.outcomes import MIME

FOLDER = "docs/ledger"
KINDS = ("troubleshooting", "claims")
PAGES = {
    "troubleshooting": "docs/how-to/troubleshooting",
    "claims": "docs/reference/claims",
}
MLFLOW = "mlflow-"  # themes of this beginning have a page of their own
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
VERSION = re.compile(r"(<=|>=|==|<|>)?\d[\w.+]*(,(<=|>=|<|>)\d[\w.+]*)?")
REQUIRED = {
    "troubleshooting": ("id", "theme", "title", "fix"),
    "claims": ("id", "title", "said", "happens"),
}
OPTIONAL = {
    "troubleshooting": ("texts", "since", "links", "evidence", "not_run"),
    "claims": ("since", "links", "evidence", "not_run"),
}
Place = tuple[str | int, ...]  # keys and positions that lead to a value


class LedgerError(ValueError):
    """A ledger says something that is not allowed, or names evidence that is none."""


@dataclass(frozen=True)
class Shown:
    """The outcome of a notebook that shows an entry to hold.

    With ``printed``, the cell that records it printed each text of the entry, too.
    """

    notebook: str
    outcome: str
    printed: bool = False


@dataclass(frozen=True)
class NotRun:
    """Why nothing here runs an entry, and what a reader can run instead."""

    why: str
    command: str | None


@dataclass(frozen=True)
class Entry:
    """One thing that goes wrong, or one claim.

    Attributes
    ----------
    kind, id, title : str
        ``troubleshooting`` or ``claims``; the anchor on its page; what is seen.
    theme : str or None
        The part of the page a troubleshooting entry belongs to.
    texts : tuple of str
        Messages as people paste them into a search box.
    fix : str or None
        What to do, for a troubleshooting entry.
    said, happens : str or None
        What is commonly said, and what happens, for a claim.
    since : mapping
        Package to the versions that are affected, as ``0.11.2`` or ``>=1.0,<2``; what
        nothing here ran may leave them out.
    links : tuple of str
        Addresses of public issues.
    evidence : Shown or NotRun
        The outcome that judges it, or why there is none.
    place : str
        ``file:line`` of the entry.
    """

    kind: str
    id: str
    title: str
    theme: str | None
    texts: tuple[str, ...]
    fix: str | None
    said: str | None
    happens: str | None
    since: Mapping[str, str]
    links: tuple[str, ...]
    evidence: Shown | NotRun
    place: str


def load(root: Path | str, catalog: Catalog) -> dict[str, list[Entry]]:
    """Read both ledgers, in the order of their files; a missing file has no entries.

    Raises
    ------
    LedgerError
        Naming ``file:line``: no YAML, an unknown, missing, doubled or ill-typed key, an
        id given twice, a text too where no run printed it for both causes, or evidence
        that the catalog does not judge.
    """
    found = {kind: _entries(Path(root), kind, catalog) for kind in KINDS}
    entries = [entry for kind in KINDS for entry in found[kind]]
    _once([(entry.id, entry.place, "id") for entry in entries])
    texts = [(t, entry) for entry in entries for t in entry.texts]
    typed = [(t, entry.place) for t, entry in texts if not printed(entry)]
    seen = {t: entry.place for t, entry in reversed(texts) if printed(entry)}
    _once([(t, place, "text") for t, place in [*seen.items(), *typed]])
    return found


def printed(entry: Entry) -> bool:
    """Say whether the texts of an entry must be what its run printed."""
    return isinstance(entry.evidence, Shown) and entry.evidence.printed


def page_of(kind: str, theme: str | None) -> str:
    """Return the page that shows a theme of a ledger, as Sphinx names it."""
    if theme and theme.startswith(MLFLOW):
        return "docs/how-to/mlflow-troubleshooting"
    return PAGES[kind]


def file_of(kind: str) -> str:
    """Return where a ledger is, below the root."""
    return f"{FOLDER}/{kind}.yml"


@cache
def ids(root: Path, kind: str, theme: str = "") -> set[str]:
    """Return the ids of a ledger or of a theme, for links; nothing else is checked."""
    entries = _File(root, kind).top["entries"]
    return {one["id"] for one in entries if not theme or one.get("theme") == theme}


def heading_of(notebook: Mapping[str, Any], outcome: str) -> str | None:
    """Return the heading over the cell that records an outcome; None if none does.

    An executed notebook tells it by its outputs; in a source, the name must stand in
    the call of ``record``.
    """
    heading = None
    recorded = re.compile(rf"record\(\s*[\"']{re.escape(outcome)}[\"']")
    for cell in notebook["cells"]:
        text = source.source_of(cell)
        if cell["cell_type"] == "markdown":
            titles = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
            heading = titles[-1] if titles else heading
            continue
        kept = (one.get("data", {}).get(MIME) for one in cell.get("outputs", []))
        if recorded.search(text) or any(one and one["name"] == outcome for one in kept):
            return heading
    return None


def printed_line(notebook: Mapping[str, Any], outcome: str, text: str) -> str | None:
    """Return the first line with a text that the cell of an outcome printed, if any.

    A text is searched in one line of one cell of an executed notebook: what another
    cell printed, or what stands in the code, is no evidence of it.
    """
    for cell in notebook["cells"]:
        outputs = cell.get("outputs", [])
        kept = (one.get("data", {}).get(MIME) for one in outputs)
        if not any(one and one["name"] == outcome for one in kept):
            continue
        streams = [o["text"] for o in outputs if o.get("name") == "stdout"]
        said = "".join("".join(stream) for stream in streams)
        return next((line for line in said.splitlines() if text in line), None)
    return None


def _once(said: list[tuple[str, str, str]]) -> None:
    first: dict[tuple[str, str], str] = {}
    for value, place, what in said:
        if (what, value) in first:
            before = first[what, value]
            raise LedgerError(f"{place}: {what} {value!r} is also that of {before}")
        first[what, value] = place


class _File:
    """One file of the ledger: its values, and the line that each stands on."""

    def __init__(self, root: Path, kind: str) -> None:
        self.name = file_of(kind)
        self.lines: dict[Place, int] = {}
        self.top: Any = {"entries": []}
        path = root / self.name
        if not path.is_file():
            return
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            where = f"{self.name}:{line}"
            raise LedgerError(f"{where}: this is no YAML: {error.problem}") from error
        self.top = None if node is None else self._value(node, ())

    def wrong(self, at: Place, what: str) -> LedgerError:
        """Return an error at the line of a value, or of what should hold it."""
        while at and at not in self.lines:
            at = at[:-1]
        return LedgerError(f"{self.name}:{self.lines.get(at, 1)}: {what}")

    def _value(self, node: yaml.Node, at: Place) -> Any:
        self.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(n, (*at, i)) for i, n in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return yaml.constructor.SafeConstructor().construct_object(node)
        found: dict[str, Any] = {}
        for key, value in node.value:
            here, line = (*at, key.value), key.start_mark.line + 1
            if key.value in found:
                raise LedgerError(
                    f"{self.name}:{line}: key {key.value!r} is given twice"
                )
            self.lines[here] = line
            found[key.value] = self._value(value, here)
        return found


def _entries(root: Path, kind: str, catalog: Catalog) -> list[Entry]:
    file = _File(root, kind)
    _keys(file, file.top, (), ("entries",), ())
    entries = file.top["entries"]
    if not isinstance(entries, list):
        raise file.wrong(("entries",), "entries must be a list")
    return [_entry(file, kind, i, catalog) for i in range(len(entries))]


def _entry(file: _File, kind: str, number: int, catalog: Catalog) -> Entry:
    at: Place = ("entries", number)
    said = file.top["entries"][number]
    _keys(file, said, at, REQUIRED[kind], OPTIONAL[kind])
    texts = {
        key: _text(file, said[key], (*at, key))
        for key in ("id", "title", "theme", "fix", "said", "happens")
        if key in said
    }
    if not ID.fullmatch(texts["id"]):
        what = f"id {texts['id']!r} must be lower-case words joined by '-'"
        raise file.wrong((*at, "id"), what)
    links = _texts(file, said.get("links", []), (*at, "links"))
    for i, link in enumerate(links):
        if not link.startswith("https://"):
            what = f"link {link!r} must begin with https://"
            raise file.wrong((*at, "links", i), what)
    return Entry(
        kind=kind,
        id=texts["id"],
        title=texts["title"],
        theme=texts.get("theme"),
        texts=_texts(file, said.get("texts", []), (*at, "texts")),
        fix=texts.get("fix"),
        said=texts.get("said"),
        happens=texts.get("happens"),
        since=_since(file, said, at),
        links=links,
        evidence=_evidence(file, said, at, catalog),
        place=f"{file.name}:{file.lines[at]}",
    )


def _since(file: _File, said: Mapping[str, Any], at: Place) -> dict[str, str]:
    """Return the versions affected; what nothing here ran may leave them out."""
    if "since" not in said and "not_run" in said:
        return {}
    value, at = said.get("since"), (*at, "since")
    if not isinstance(value, dict) or not value:
        raise file.wrong(at, "since must map a package to the versions affected")
    for package, version in value.items():
        here = (*at, package)
        if not VERSION.fullmatch(_text(file, version, here)):
            what = f"{version!r} is no version; write '0.11.2' or '>=1.0,<2'"
            raise file.wrong(here, what)
    return value


def _evidence(
    file: _File, said: Mapping[str, Any], at: Place, catalog: Catalog
) -> Shown | NotRun:
    if ("evidence" in said) == ("not_run" in said):
        raise file.wrong(at, "give either evidence or not_run")
    if "not_run" in said:
        here, value = (*at, "not_run"), said["not_run"]
        _keys(file, value, here, ("why",), ("command",))
        told = {key: _text(file, value[key], (*here, key)) for key in value}
        return NotRun(told["why"], told.get("command"))
    here, value = (*at, "evidence"), said["evidence"]
    _keys(file, value, here, ("notebook", "outcome"), ("printed",))
    notebook, outcome = (
        _text(file, value[key], (*here, key)) for key in ("notebook", "outcome")
    )
    printed = value.get("printed", False)
    if not isinstance(printed, bool) or (printed and not said.get("texts")):
        what = "printed is true or false, and true only beside texts"
        raise file.wrong((*here, "printed"), what)
    if notebook not in catalog.entries:
        what = f"the catalog lists no notebook {notebook!r}"
        raise file.wrong((*here, "notebook"), what)
    if outcome not in catalog.entries[notebook].expect:
        what = f"the catalog expects no outcome {outcome!r} of {notebook}"
        raise file.wrong((*here, "outcome"), what)
    return Shown(notebook, outcome, printed)


def _keys(file: _File, value: Any, at: Place, required: tuple, optional: tuple) -> None:
    if not isinstance(value, dict):
        known = ", ".join((*required, *optional))
        raise file.wrong(at, f"must be a mapping with the keys {known}")
    for key in value:
        if key not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise file.wrong((*at, key), f"unknown key {key!r}; known keys: {known}")
    for key in required:
        if key not in value:
            raise file.wrong(at, f"key {key!r} is missing")


def _text(file: _File, value: Any, at: Place) -> str:
    if not isinstance(value, str) or not value.strip():
        raise file.wrong(at, f"{at[-1]} must be a text, not {value!r}; quote it")
    return value.strip()


def _texts(file: _File, value: Any, at: Place) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise file.wrong(at, f"{at[-1]} must be a list of texts")
    return tuple(_text(file, item, (*at, i)) for i, item in enumerate(value))
