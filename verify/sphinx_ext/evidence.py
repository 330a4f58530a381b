"""Answers, for the pages, what was run and how far it may be relied on.

The judgement itself is ``verify.receipts.verdict``; this module asks it once a build.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verify import catalog, history, outcomes, receipts
from verify.catalog import Catalog, CatalogError, Entry
from verify.receipts import PUBLISHED, Receipt, Verdict
from verify.skips import Skip

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WORDS = {
    "passed": "Verified",
    "failed": "Failed",
    "timeout": "Timed out",
    "crashed": "Crashed",
    "skipped": "Skipped",
    "stale": "Stale",
    "never run": "Never run",
}


class EvidenceError(Exception):
    """A page asks for evidence that does not exist or cannot be trusted."""


@dataclass(frozen=True)
class Proof:
    """One notebook under one profile, as a page shows it.

    Attributes
    ----------
    entry, profile : Entry, str
        What was to run.
    verdict : Verdict
        What may be said of it now.
    file : Path or None
        The receipt that was judged.
    """

    entry: Entry
    profile: str
    verdict: Verdict
    file: Path | None = None

    @property
    def state(self) -> str:
        """The status as a CSS name, ``never-run`` for instance."""
        return state_of(self.verdict.status)

    @property
    def word(self) -> str:
        """The status as a reader sees it."""
        return WORDS[self.verdict.status]

    @cached_property
    def receipt(self) -> Receipt | None:
        """The receipt, judged by the catalog as it is now."""
        found = self.verdict.receipt
        if found is None or found.status == "skipped":
            return found
        judged = outcomes.judge(receipts.recorded(found), self.entry.expect)
        said = receipts.judge_stderr(self.entry, found)
        return replace(found, outcomes=judged, stderr=said)

    @property
    def ran(self) -> bool:
        """Whether the receipt is of a run; a skip has a receipt too."""
        return self.receipt is not None and self.receipt.status != "skipped"

    @property
    def proves(self) -> bool:
        """Whether a run passed, of the files as they are now or as they were."""
        passed = self.receipt is not None and self.receipt.status == "passed"
        return passed and self.state in ("passed", "stale")

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

    @property
    def declared_skip(self) -> Skip | None:
        """The catalog's skip, where it is why this did not run."""
        skip = self.entry.profiles[self.profile].skip
        expired = skip is not None and skip.expired() is not None
        return skip if self.state == "skipped" or expired else None

    @property
    def executed(self) -> Path | None:
        """The executed copy, where the verdict vouches for it."""
        place = receipts.receipt_path(self.entry.root, self.entry.name, self.profile)
        here = self.file == place and self.state == "passed"
        name, profile = self.entry.name, self.profile
        return receipts.executed_path(self.entry.root, name, profile) if here else None

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """What is remembered of earlier runs, oldest first."""
        return history.read(self.entry.root, self.entry.name, self.profile)


def state_of(status: str) -> str:
    """Return a status as a CSS name."""
    return status.replace(" ", "-")


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
            file = _file(entry, profile, verdict)
            self._proofs[name, profile] = Proof(entry, profile, verdict, file)
        return self._proofs[name, profile]

    def proofs(self, name: str) -> list[Proof]:
        """Return a notebook's proofs, the published profile first."""
        known = self.catalog.entry(name).profiles
        others = [profile for profile in known if profile != PUBLISHED]
        return [self.proof(name, profile) for profile in (PUBLISHED, *others)]

    def all(self) -> Iterator[Proof]:
        """Yield every notebook under every profile, in the order of the catalog."""
        for entry in self.catalog:
            yield from self.proofs(entry.name)

    def problems(self, name: str) -> list[str]:
        """List why a notebook's page may not be published, a sentence each.

        The run that the page shows must have passed, or have been skipped in time. No
        profile may have an expired skip, and each published parameter must be proven.
        """
        proofs = self.proofs(name)
        found = [
            f"{name} on {proof.profile}: {proof.verdict.reason}"
            for proof in proofs
            if _stops(proof)
        ]
        if proofs[0].state == "passed" and proofs[0].executed is None:
            kept = f"{name} on {PUBLISHED}: its receipt was kept without executed copy"
            found.append(f"{kept}; {receipts.remedy(PUBLISHED)}")
        verdicts = {proof.profile: proof.verdict for proof in proofs}
        unproven = receipts.unproven(proofs[0].entry, verdicts)
        return found + [f"{name}: {sentence}" for sentence in unproven]

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
        kept = profile != PUBLISHED and proof.proves
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


def _file(entry: Entry, profile: str, verdict: Verdict) -> Path | None:
    """Return the file of a verdict's receipt, which was found readable."""
    if verdict.receipt is None:
        return None
    places = (receipts.receipt_path, receipts.committed_path)
    files = [place(entry.root, entry.name, profile) for place in places]
    found = (file for file in files if file.is_file())
    return next(file for file in found if receipts.read(file) == verdict.receipt)


def _stops(proof: Proof) -> bool:
    if proof.profile == PUBLISHED:
        return proof.state not in ("passed", "skipped")
    return proof.state == "failed" and proof.declared_skip is not None


def relative_url(docname: str, target: str) -> str:
    """Return ``target``, a path from the site's root, as seen from a page.

    Relative addresses keep the site usable under any prefix and from ``file://``.
    """
    return "../" * docname.count("/") + target
