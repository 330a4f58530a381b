"""Runs notebooks, or reuses results that still hold, and returns their receipts."""

from __future__ import annotations

from collections.abc import Sequence

from verify import display, receipts
from verify.catalog import Catalog, CatalogError, Entry
from verify.display import Say
from verify.receipts import Receipt
from verify.reuse import reuse, skipped
from verify.source import published_parameters, read_notebook


class Interrupted(Exception):
    """A signal asked the run to end."""


def run(
    catalog: Catalog,
    names: Sequence[str] = (),
    profile: str = receipts.PUBLISHED,
    *,
    force: bool = False,
    jobs: int | None = None,
    say: Say = display.tell,
    beat: float = 30.0,
    live: bool = False,
) -> dict[str, Receipt]:
    """Execute notebooks, or reuse results that still hold, and return their receipts.

    Parameters
    ----------
    catalog : Catalog
        From ``verify.catalog.load``.
    names : sequence of str
        Notebooks to run; none means every notebook that has the profile.
    profile : str
        The profile to run under.
    force : bool
        Run even where a stored result still holds.
    jobs : int, optional
        How many notebooks at once, at most. Cores, free memory and GPUs decide below
        that; see ``verify.budget``.
    say : callable
        Receives each line of progress.
    beat : float
        Seconds between two signs of life of a running notebook.
    live : bool
        Show a live table instead of lines, in a terminal.

    Raises
    ------
    CatalogError
        When a name or profile does not exist, or the machine lacks what it needs.
    Interrupted
        On Ctrl-C or SIGTERM, after every kernel was ended. Finished work stays.
    """
    entries = _select(catalog, names, profile)
    results: dict[str, Receipt] = {}
    for entry in entries:
        kept = skipped(entry, profile) or (None if force else reuse(entry, profile))
        if kept is not None:
            results[entry.name] = kept
            say(display.line(kept, "" if kept.status == "skipped" else "unchanged, "))
    waiting = [entry for entry in entries if entry.name not in results]
    if waiting:
        from verify import parallel  # what starts processes loads when one is needed

        show = display.Show(say, beat, live)
        results |= parallel.execute(catalog.root, waiting, profile, jobs, show)
    return {entry.name: results[entry.name] for entry in entries}


def _select(catalog: Catalog, names: Sequence[str], profile: str) -> list[Entry]:
    named = [catalog.entry(name) for name in dict.fromkeys(names)]
    entries = named or [entry for entry in catalog if profile in entry.profiles]
    if not entries:
        raise CatalogError(f"no notebook of the catalog has a profile {profile!r}")
    for entry in entries:
        if profile not in entry.profiles:
            known = ", ".join(entry.profiles)
            raise CatalogError(f"{entry.name}: no profile {profile!r}; it has: {known}")
        try:
            published_parameters(read_notebook(entry.path))
        except SyntaxError as error:
            where = f"{entry.relative_path}: the cell tagged 'parameters'"
            raise CatalogError(f"{where} is not plain Python: {error}") from error
    return entries
