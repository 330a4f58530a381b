"""Reads notebooks/catalog.yml, so that a slip in it is an error and no silent pass."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from verify import skips
from verify.skips import Skip
from verify.source import CatalogError

CATALOG = "notebooks/catalog.yml"
NEEDS = ("cuda", "npu", "cluster", "sandbox")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RULES = ("min", "max", "equals")
ENTRY_KEYS = (
    "title",
    "time_limit",
    "cell_time_limit",
    "fixtures",
    "packages",
    "profiles",
    "limits",
    "expect",
    "allow_stderr",
    "unproven",
)


@dataclass(frozen=True)
class Expectation:
    """What must hold for one recorded outcome.

    Attributes
    ----------
    rule : mapping
        ``min``, ``max`` or both, or ``equals``, with the catalog's values.
    why : str or None
        What the number means to a reader.
    """

    rule: Mapping[str, Any]
    why: str | None = None

    def holds(self, value: Any) -> bool:
        """Say whether a value keeps the rule; a list must keep it in every item."""
        if "equals" in self.rule:
            wanted = self.rule["equals"]
            return isinstance(value, bool) == isinstance(wanted, bool) and (
                value == wanted
            )
        items = value if isinstance(value, list) else [value]
        low = self.rule.get("min", -math.inf)
        high = self.rule.get("max", math.inf)
        return bool(items) and all(is_number(i) and low <= i <= high for i in items)

    def words(self) -> str:
        """Put the rule in words: ``at least 0.95``."""
        if "equals" in self.rule:
            return f"exactly {json.dumps(self.rule['equals'])}"
        if "min" in self.rule and "max" in self.rule:
            return f"between {self.rule['min']} and {self.rule['max']}"
        if "min" in self.rule:
            return f"at least {self.rule['min']}"
        return f"at most {self.rule['max']}"


@dataclass(frozen=True)
class Profile:
    """One way to run a notebook: injected parameters, and what the machine needs.

    A profile that needs an accelerator has it alone; one that needs the ``sandbox`` has
    it beside the run, see ``verify.beside``. ``skip`` says when it may be left out, and
    until when. ``alone`` runs the standalone copy, in an empty folder and without a
    network, twice; ``again`` are the parameters that its second run has beside. See
    ``verify.standalone``.
    """

    name: str
    parameters: Mapping[str, Any]
    needs: tuple[str, ...]
    skip: Skip | None = None
    alone: bool = False
    again: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Allowed:
    """A text that may appear on stderr (a regular expression), and why it may."""

    match: re.Pattern
    why: str


@dataclass(frozen=True)
class Entry:
    """One notebook of the catalog; paths are relative to ``root``, times in seconds.

    ``unproven`` names published parameters whose value no run of this project proves,
    each with the reason that the page gives for it.
    """

    root: Path
    name: str
    title: str
    time_limit: float
    cell_time_limit: float
    fixtures: tuple[str, ...]
    packages: tuple[str, ...]
    profiles: Mapping[str, Profile]
    peak_rss_gib: float | None
    expect: Mapping[str, Expectation]
    allow_stderr: tuple[Allowed, ...] = ()
    unproven: Mapping[str, str] = field(default_factory=dict)

    @property
    def relative_path(self) -> str:
        """The source notebook, as seen from the root."""
        return f"notebooks/{self.name}.ipynb"

    @property
    def runs_alone(self) -> bool:
        """Whether there is a standalone copy: a profile runs it."""
        return any(profile.alone for profile in self.profiles.values())

    @property
    def path(self) -> Path:
        """The source notebook."""
        return self.root / self.relative_path


@dataclass(frozen=True)
class Catalog:
    """All notebooks of the handbook, in the order of the catalog."""

    root: Path
    entries: Mapping[str, Entry]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def entry(self, name: str) -> Entry:
        """Return one notebook's entry, or raise CatalogError naming the known ones."""
        if name not in self.entries:
            known = ", ".join(self.entries) or "none"
            raise CatalogError(f"{CATALOG}: no notebook {name!r}; it lists: {known}")
        return self.entries[name]


def load(root: Path | str) -> Catalog:
    """Read and check the catalog against the files in ``root``.

    Parameters
    ----------
    root : path
        The repository root, the folder that holds ``notebooks/``.

    Raises
    ------
    CatalogError
        Naming the file and the key path: an unknown, missing, doubled or ill-typed
        key, a notebook without entry, an entry without notebook, a missing fixture.
    """
    root = Path(root).resolve()
    top = _mapping(_read_yaml(root / CATALOG), "the file")
    _known_keys(top, "the top level", required=("notebooks",))
    found = _mapping(top["notebooks"], "notebooks")
    entries = {name: _entry(root, name, found[name]) for name in found}
    _check_files(root, entries)
    return Catalog(root, entries)


def is_number(value: Any) -> bool:
    """Say whether a value is a finite int or float; a bool is not a number here."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value)


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A YAML loader for which a key given twice is an error, not a silent override."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                line = node.value[place][0].start_mark.line + 1
                raise CatalogError(f"{CATALOG}:{line}: key {key!r} is given twice")
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> Any:
    if not path.is_file():
        raise CatalogError(f"{CATALOG} is missing: it must list every notebook")
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.load(text, Loader=_UniqueKeys)  # nosec B506 # a safe loader's child
    except yaml.YAMLError as error:
        raise CatalogError(f"{CATALOG} is not valid YAML: {error}") from error


def _entry(root: Path, name: Any, value: Any) -> Entry:
    at = f"notebooks.{name}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _wrong(at, "use lower-case letters, digits, '-' and '_' in names")
    entry = _mapping(value, at)
    _known_keys(entry, at, ENTRY_KEYS, ("title", "time_limit", "profiles", "expect"))
    limits = _mapping(entry.get("limits", {}), f"{at}.limits")
    _known_keys(limits, f"{at}.limits", ("peak_rss_gib",))
    time_limit = _positive(entry["time_limit"], f"{at}.time_limit")
    cell_limit = entry.get("cell_time_limit", time_limit)
    peak = limits.get("peak_rss_gib")
    profiles = _mapping(entry["profiles"], f"{at}.profiles")
    expect = _mapping(entry["expect"], f"{at}.expect")
    unproven = _mapping(entry.get("unproven", {}), f"{at}.unproven")
    return Entry(
        root=root,
        name=name,
        title=_text(entry["title"], f"{at}.title"),
        time_limit=time_limit,
        cell_time_limit=_positive(cell_limit, f"{at}.cell_time_limit"),
        fixtures=_texts(entry.get("fixtures", []), f"{at}.fixtures"),
        packages=_texts(entry.get("packages", []), f"{at}.packages"),
        profiles={key: _profile(at, key, profiles[key]) for key in profiles},
        peak_rss_gib=None if peak is None else _positive(peak, f"{at}.limits"),
        expect={key: _expectation(at, key, expect[key]) for key in expect},
        allow_stderr=_allowed(entry.get("allow_stderr", []), f"{at}.allow_stderr"),
        unproven={k: _text(unproven[k], f"{at}.unproven.{k}") for k in unproven},
    )


def _profile(at: str, name: Any, value: Any) -> Profile:
    at = f"{at}.profiles.{name}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _wrong(at, "use lower-case letters, digits, '-' and '_' in names")
    profile = _mapping(value, at)
    _known_keys(profile, at, ("parameters", "needs", "skip", "alone", "again"))
    parameters = _parameters(profile, "parameters", at)
    needs = _texts(profile.get("needs", []), f"{at}.needs")
    for need in needs:
        if need not in NEEDS:
            raise _wrong(f"{at}.needs", f"unknown need {need!r}; known: {NEEDS}")
    skip = _skip(profile.get("skip"), f"{at}.skip")
    alone = profile.get("alone", False)
    if not isinstance(alone, bool):
        raise _wrong(f"{at}.alone", f"must be true or false, not {alone!r}")
    if alone and "sandbox" in needs:
        raise _wrong(at, "a copy that runs alone has no network to reach a sandbox by")
    again = _parameters(profile, "again", at)
    if again and not alone:
        raise _wrong(f"{at}.again", "only a profile with alone: true runs twice")
    return Profile(name, parameters, needs, skip, alone, again)


def _parameters(profile: dict, key: str, at: str) -> dict:
    """Read values to inject, all of them plain JSON."""
    found = _mapping(profile.get(key, {}), f"{at}.{key}")
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _wrong(f"{at}.{key}", f"is not plain JSON: {error}") from error
    return found


def _skip(value: Any, at: str) -> Skip | None:
    try:
        return None if value is None else skips.parse(value)
    except skips.SkipError as error:
        raise _wrong(at, str(error)) from error


def _allowed(value: Any, at: str) -> tuple[Allowed, ...]:
    if not isinstance(value, list):
        raise _wrong(at, f"must be a list of match and why, not {value!r}")
    allowed = []
    for number, item in enumerate(value):
        here = f"{at}.{number}"
        _known_keys(_mapping(item, here), here, ("match", "why"), ("match", "why"))
        try:
            match = re.compile(_text(item["match"], f"{here}.match"))
        except re.error as error:
            raise _wrong(
                f"{here}.match", f"is no regular expression: {error}"
            ) from error
        allowed.append(Allowed(match, _text(item["why"], f"{here}.why")))
    return tuple(allowed)


def _expectation(at: str, name: Any, value: Any) -> Expectation:
    at = f"{at}.expect.{name}"
    found = _mapping(value, at)
    _known_keys(found, at, (*RULES, "why"))
    rule = {key: found[key] for key in RULES if key in found}
    if not rule:
        raise _wrong(at, "give min, max, both, or equals")
    if "equals" in rule and len(rule) > 1:
        raise _wrong(at, "equals stands alone; use min and max for a range")
    for key in ("min", "max"):
        if key in rule and not is_number(rule[key]):
            raise _wrong(f"{at}.{key}", f"must be a number, not {rule[key]!r}")
    if "min" in rule and "max" in rule and rule["min"] > rule["max"]:
        raise _wrong(at, f"min {rule['min']} is above max {rule['max']}")
    why = found.get("why")
    return Expectation(rule, None if why is None else _text(why, f"{at}.why"))


def _check_files(root: Path, entries: Mapping[str, Entry]) -> None:
    """Hold catalog and folder against each other: neither may have more."""
    present = {path.stem for path in (root / "notebooks").glob("*.ipynb")}
    for name in sorted(present - set(entries)):
        raise CatalogError(
            f"notebooks/{name}.ipynb is not in {CATALOG}: add it under 'notebooks:', "
            "with what must hold after it ran"
        )
    for entry in entries.values():
        if entry.name not in present:
            raise _wrong(f"notebooks.{entry.name}", f"{entry.relative_path} is missing")
        for fixture in entry.fixtures:
            if not (root / fixture).exists():
                raise _wrong(f"notebooks.{entry.name}.fixtures", f"no file {fixture}")


def _known_keys(
    found: Mapping, at: str, allowed: tuple[str, ...] = (), required: tuple = ()
) -> None:
    for key in found:
        if key not in (*allowed, *required):
            known = ", ".join(dict.fromkeys((*required, *allowed)))
            raise _wrong(at, f"unknown key {key!r}; known keys: {known}")
    for key in required:
        if key not in found:
            raise _wrong(at, f"key {key!r} is missing")


def _mapping(value: Any, at: str) -> dict:
    if not isinstance(value, dict):
        raise _wrong(at, f"must be a mapping of keys to values, not {value!r}")
    return value


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(at, f"must be a text, not {value!r}")
    return value


def _texts(value: Any, at: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _wrong(at, f"must be a list of texts, not {value!r}")
    return tuple(_text(item, at) for item in value)


def _positive(value: Any, at: str) -> float:
    if not is_number(value) or value <= 0:
        raise _wrong(at, f"must be a number above 0, not {value!r}")
    return value


def _wrong(at: str, what: str) -> CatalogError:
    return CatalogError(f"{CATALOG}: {at}: {what}")
