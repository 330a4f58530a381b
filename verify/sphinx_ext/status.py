"""Shows what was verified: the table of all runs, and the one line of the landing."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from verify import receipts
from verify.sphinx_ext import published, words
from verify.sphinx_ext.evidence import (
    PUBLISHED,
    WORDS,
    Evidence,
    EvidenceError,
    Proof,
    relative_url,
    state_of,
)
from verify.sphinx_ext.receipt_box import skip_words
from verify.sphinx_ext.render import html
from verify.sphinx_ext.timeline import timeline

NEEDED = {"sandbox": "the MLflow sandbox"}


class EvidenceDirective(SphinxDirective):
    """The common part: read again on every build, and report errors in place."""

    template: str

    def run(self) -> list[nodes.Node]:
        """Return the filled template."""
        self.env.note_reread()
        try:
            proofs = list(Evidence.of(self.env.app).all())
        except EvidenceError as error:
            raise self.error(str(error)) from error
        filled = html(self.template, **self.values(proofs))
        return [nodes.raw("", filled, format="html")]

    def values(self, proofs: list[Proof]) -> dict[str, object]:
        """Return what the template needs; ``proofs`` is one a notebook and profile."""
        raise NotImplementedError

    def page_of(self, proof: Proof) -> str | None:
        """Return the address of a notebook's receipt, where its page is in the site."""
        return self.url_of(f"notebooks/{proof.entry.name}", "#receipt")

    def url_of(self, page: str, target: str = "") -> str | None:
        """Return the address of a page, where it is in the site."""
        if page not in self.env.found_docs:
            return None
        return relative_url(self.env.docname, f"{page}.html{target}")


class ReceiptsDirective(EvidenceDirective):
    """``{receipts}``: every notebook under every profile."""

    template = "receipts.html"

    def values(self, proofs: list[Proof]) -> dict[str, object]:
        """Return one row a run, and how many there are of each status."""
        here = self.env.docname
        states = [proof.verdict.status for proof in proofs]
        counted = [(name, states.count(name)) for name in receipts.STATUSES]
        return {
            "rows": [self._row(proof) for proof in proofs],
            "choices": [
                (state_of(n), WORDS[n], count) for n, count in counted if count
            ],
            "sum": sum_words(states),
            "status_url": relative_url(here, published.STATUS),
            "schema_url": relative_url(here, published.STATUS_SCHEMA),
            "receipt_schema_url": relative_url(here, published.RECEIPT_SCHEMA),
        }

    def _row(self, proof: Proof) -> dict[str, Any]:
        return {
            "proof": proof,
            "receipt": proof.receipt,
            "url": self.page_of(proof),
            "history": timeline(proof.runs),
            "files": published.files_of(proof, self.env.docname),
            "why": why_words(proof),
        }


def why_words(proof: Proof) -> str | None:
    """Say why a run is not passed, as a reader needs it; None when it is."""
    if proof.state == "passed":
        return None
    if proof.state == "skipped":
        assert proof.receipt is not None and proof.receipt.skip is not None
        seen, owner = proof.receipt.skip["observed"], proof.declared_skip.owner
        return f"{skip_words(proof)} The probe saw: {seen}. Owner: {owner}."
    needs = proof.entry.profiles[proof.profile].needs
    if proof.state == "never-run" and needs and not on_record(proof):
        told = words.listed([NEEDED.get(need, need) for need in needs])
        return f"Needs {told}; no run on such a machine is on record."
    return words.sentence(proof.verdict.reason or proof.word)


def on_record(proof: Proof) -> bool:
    """Say whether there is any receipt file, readable or not."""
    places = (receipts.receipt_path, receipts.committed_path)
    name, profile = proof.entry.name, proof.profile
    return any(place(proof.entry.root, name, profile).exists() for place in places)


def sum_words(states: list[str]) -> str:
    """Say how many runs are verified, and how many are skipped."""
    total = words.plural(len(states), "run")
    told = [(states.count("passed"), "verified"), (states.count("skipped"), "skipped")]
    return " ".join(
        f"{count} of {total} {'is' if count == 1 else 'are'} {word}."
        for count, word in told
        if count or word == "verified"
    )


class VerifiedDirective(EvidenceDirective):
    """``{verified}``: one line that adds up the receipts of this build."""

    template = "verified.html"

    def values(self, proofs: list[Proof]) -> dict[str, object]:
        """Return the sums, and the newest run for its date and its hardware."""
        shown = [proof for proof in proofs if proof.profile == PUBLISHED]
        passed = [proof for proof in shown if proof.state == "passed"]
        runs = [proof.receipt for proof in passed if proof.receipt]
        return {
            "notebooks": len(shown),
            "passed": len(passed),
            "skipped": sum(proof.state == "skipped" for proof in shown),
            "held": sum(proof.held for proof in passed),
            "judged": sum(proof.judged for proof in passed),
            "newest": max(runs, default=None, key=lambda receipt: receipt.started),
            "url": self.url_of("docs/reference/verification"),
        }
