"""Answers, for the pages, what was run and how far it may be relied on.

The judgement itself is ``verify.receipts.verdict``; this module asks it once a build.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sphinx.application import Sphinx

from verify import catalog, outcomes, receipts
from verify.catalog import Catalog, CatalogError, Entry
from verify.receipts import Receipt, Verdict

PUBLISHED = "cpu"
WORDS = {
    "passed": "Verified",
    "failed": "Failed",
    "stale": "Verified earlier",
    "never run": "Not run yet",
}


class EvidenceError(Exception):
    """A page asks for evidence that does not exist or cannot be trusted."""


@dataclass(frozen=True)
class Proof:
    """One notebook under one profile, as a page shows it."""

    entry: Entry
    profile: str
    verdict: Verdict

    @property
    def state(self) -> str:
        """``passed``, ``failed``, ``stale`` or ``never-run``; a CSS name too."""
        return self.verdict.status.replace(" ", "-")

    @property
    def word(self) -> str:
        """The state as a reader sees it."""
        return WORDS[self.verdict.status]

    @cached_property
    def receipt(self) -> Receipt | None:
        """The receipt, its outcomes judged by the catalog as it is now."""
        found = self.verdict.receipt
        if found is None:
            return None
        recorded = {o.name: o.value for o in found.outcomes if o.value is not None}
        return replace(found, outcomes=outcomes.judge(recorded, self.entry.expect))

    @property
    def judged(self) -> int:
        """How many outcomes the catalog judges."""
        rows = self.receipt.outcomes if self.receipt else ()
        return sum(row.expect is not None for row in rows)

    @property
    def held(self) -> int:
        """How many of the judged outcomes hold."""
        rows = self.receipt.outcomes if self.receipt else ()
        return sum(row.expect is not None and row.ok for row in rows)


class Evidence:
    """All notebooks of a checkout and what is known about them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._proofs: dict[tuple[str, str], Proof] = {}

    @classmethod
    def of(cls, app: Sphinx) -> Evidence:
        """Return the evidence of this build; its root is the source folder."""
        if not hasattr(app, "handbook_evidence"):
            app.handbook_evidence = cls(Path(app.srcdir))  # type: ignore[attr-defined]
        return app.handbook_evidence  # type: ignore[attr-defined]

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog of notebooks.

        Raises
        ------
        EvidenceError
            With the catalog's own message if it is not valid.
        """
        try:
            return catalog.load(self.root)
        except CatalogError as error:
            raise EvidenceError(str(error)) from error

    def notebook_of(self, docname: str) -> str | None:
        """Return the notebook behind a page, or None for every other page."""
        folder, _, name = docname.rpartition("/")
        is_notebook = (self.root / "notebooks" / f"{name}.ipynb").is_file()
        return name if folder == "notebooks" and is_notebook else None

    def proof(self, name: str, profile: str = PUBLISHED) -> Proof:
        """Return what is known about one notebook under one profile.

        Raises
        ------
        EvidenceError
            If the catalog knows no such notebook or profile.
        """
        if (name, profile) not in self._proofs:
            try:
                entry = self.catalog.entry(name)
                verdict = receipts.verdict(entry, profile)
            except CatalogError as error:
                raise EvidenceError(str(error)) from error
            self._proofs[name, profile] = Proof(entry, profile, verdict)
        return self._proofs[name, profile]

    def proofs(self, name: str) -> list[Proof]:
        """Return a notebook's proofs, the published profile first."""
        known = self.catalog.entry(name).profiles
        ordered = sorted(known, key=lambda profile: profile != PUBLISHED)
        return [self.proof(name, profile) for profile in ordered]

    def trusted(self, name: str, profile: str = PUBLISHED) -> Proof:
        """Return a proof whose numbers may be printed.

        A run that CI cannot repeat may be of an earlier version of the notebook; its
        receipt says so where the number links to.

        Raises
        ------
        EvidenceError
            If the run is missing or did not pass, or is stale without need.
        """
        proof = self.proof(name, profile)
        receipt = proof.receipt
        earlier = proof.state == "stale" and profile != PUBLISHED
        kept = earlier and receipt is not None and receipt.status == "passed"
        if proof.state != "passed" and not kept:
            raise EvidenceError(f"{name} on {profile}: {proof.verdict.reason}")
        return proof

    def files(self, name: str, profile: str = PUBLISHED) -> list[Path]:
        """Return the files that a page relying on this proof depends on."""
        return [
            self.root / catalog.CATALOG,
            self.root / "notebooks" / f"{name}.ipynb",
            receipts.receipt_path(self.root, name, profile),
            receipts.committed_path(self.root, name, profile),
            receipts.executed_path(self.root, name, profile),
        ]


def relative_url(docname: str, target: str) -> str:
    """Return ``target``, a path from the site's root, as seen from a page.

    Relative addresses keep the site usable under any prefix and from ``file://``.
    """
    return "../" * docname.count("/") + target
