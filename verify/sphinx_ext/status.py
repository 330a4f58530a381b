"""Shows what was verified: the table of all runs, and the one line of the landing."""

from __future__ import annotations

from datetime import datetime

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from verify.sphinx_ext.evidence import (
    PUBLISHED,
    Evidence,
    EvidenceError,
    Proof,
    relative_url,
)
from verify.sphinx_ext.render import html


class _EvidenceDirective(SphinxDirective):
    """The common part: read again on every build, and report errors in place."""

    template: str

    def run(self) -> list[nodes.Node]:
        """Return the filled template."""
        self.env.note_reread()
        evidence = Evidence.of(self.env.app)
        try:
            rows = [evidence.proofs(entry.name) for entry in evidence.catalog]
        except EvidenceError as error:
            raise self.error(str(error)) from error
        return [nodes.raw("", html(self.template, **self.values(rows)), format="html")]

    def values(self, rows: list[list[Proof]]) -> dict[str, object]:
        """Return what the template needs; ``rows`` holds one list a notebook."""
        raise NotImplementedError


class ReceiptsDirective(_EvidenceDirective):
    """``{receipts}``: every notebook under every profile."""

    template = "receipts.html"

    def values(self, rows: list[list[Proof]]) -> dict[str, object]:
        """Return the table: profiles across, notebooks down."""
        names = {proof.profile: None for row in rows for proof in row}
        table = [
            {
                "entry": row[0].entry,
                "url": self._url(row[0].entry.name),
                "cells": [
                    next((proof for proof in row if proof.profile == name), None)
                    for name in names
                ],
            }
            for row in rows
        ]
        return {"profiles": list(names), "table": table}

    def _url(self, name: str) -> str | None:
        page = f"notebooks/{name}"
        if page not in self.env.found_docs:
            return None
        return relative_url(self.env.docname, f"{page}.html#receipt")


class VerifiedDirective(_EvidenceDirective):
    """``{verified}``: one line that adds up the receipts of this build."""

    template = "verified.html"

    def values(self, rows: list[list[Proof]]) -> dict[str, object]:
        """Return the sums, and the newest run for its date and its hardware."""
        proofs = [proof for row in rows for proof in row if proof.profile == PUBLISHED]
        passed = [proof for proof in proofs if proof.state == "passed"]
        runs = [proof.receipt for proof in passed if proof.receipt]
        newest = max(runs, default=None, key=_moment)
        return {
            "notebooks": len(proofs),
            "passed": len(passed),
            "held": sum(proof.held for proof in passed),
            "judged": sum(proof.judged for proof in passed),
            "newest": newest,
            "url": self._url(),
        }

    def _url(self) -> str | None:
        page = "docs/reference/verification"
        if page not in self.env.found_docs:
            return None
        return relative_url(self.env.docname, f"{page}.html")


def _moment(receipt: object) -> datetime:
    return datetime.fromisoformat(receipt.started)  # type: ignore[attr-defined]
