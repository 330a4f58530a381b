"""Prints measured numbers in prose, each linked to the receipt it came from."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxRole

from verify.receipts import Receipt
from verify.sphinx_ext import words
from verify.sphinx_ext.evidence import PUBLISHED, Evidence, EvidenceError, Proof
from verify.sphinx_ext.words import listed

UNMEASURED = "not measured, its run is skipped"


def summary(proof: Proof) -> str:
    """Return the run in one line: outcomes, duration, device."""
    receipt = trusted_receipt(proof)
    took, device = words.duration(receipt.seconds), words.device(receipt)
    return f"{proof.held} of {proof.judged} outcomes hold · {took} · {device}"


def trusted_receipt(proof: Proof) -> Receipt:
    """Return the receipt of a proof that was found to be trusted."""
    assert proof.receipt is not None, "a trusted proof has a receipt"
    return proof.receipt


FACTS: dict[str, Callable[[Proof], object]] = {
    "summary": summary,
    "seconds": lambda proof: trusted_receipt(proof).seconds,
    "duration": lambda proof: words.duration(trusted_receipt(proof).seconds),
    "peak_rss_gib": lambda proof: trusted_receipt(proof).peak_rss_gib,
    "device": lambda proof: words.device(trusted_receipt(proof)),
    "processor": lambda proof: trusted_receipt(proof).device["name"],
    "date": lambda proof: words.date(trusted_receipt(proof).started),
    "held": lambda proof: proof.held,
    "judged": lambda proof: proof.judged,
}


class NumberRole(SphinxRole):
    """The common part of ``{outcome}`` and ``{receipt}``: find, format, link."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the linked number, or an error at the role's line."""
        target, _, spec = self.text.partition("|")
        where, _, field = target.strip().partition(":")
        name, _, profile = where.partition("@")
        try:
            proof = self._proof(name, profile or PUBLISHED)
            if proof.state == "skipped":
                return [self._linked(name, UNMEASURED, "hb-unmeasured")], []
            text = words.value(self.read(proof, field), spec.strip())
        except (EvidenceError, ValueError) as error:
            message = self.inliner.reporter.error(
                f"{{{self.name}}}`{self.text}`: {error}", line=self.lineno
            )
            shown = self.inliner.problematic(self.rawtext, self.rawtext, message)
            return [shown], [message]
        return [self._linked(name, text, "hb-measured")], []

    def read(self, proof: Proof, field: str) -> object:
        """Return the value that the role asks for."""
        raise NotImplementedError

    def _proof(self, name: str, profile: str) -> Proof:
        evidence = Evidence.of(self.env.app)
        for path in evidence.files(name, profile):
            self.env.note_dependency(str(path))
        proof = evidence.proof(name, profile)
        return proof if proof.state == "skipped" else evidence.trusted(name, profile)

    def _linked(self, name: str, text: str, look: str) -> nodes.Node:
        return addnodes.pending_xref(
            "",
            nodes.inline("", text, classes=[look]),
            refdomain="std",
            reftype="ref",
            reftarget=f"receipt-{name}",
            refexplicit=True,
            refdoc=self.env.docname,
            refwarn=True,
        )


class OutcomeRole(NumberRole):
    """``{outcome}`notebook:name|.2f```: one outcome that the notebook recorded."""

    def read(self, proof: Proof, field: str) -> object:
        """Return the recorded value of one outcome."""
        receipt = trusted_receipt(proof)
        values = {row.name: row.value for row in receipt.outcomes}
        if field not in values:
            close = difflib.get_close_matches(field, values, n=1)
            known = (
                f"did you mean {close[0]!r}?" if close else f"it has {listed(values)}"
            )
            raise EvidenceError(
                f"{receipt.notebook} recorded no outcome {field!r}; {known}"
            )
        return values[field]


class ReceiptRole(NumberRole):
    """``{receipt}`notebook:duration```: one fact of a run, or its summary."""

    def read(self, proof: Proof, field: str) -> object:
        """Return a fact of the run, such as its duration or its device."""
        fact = field or "summary"
        if fact not in FACTS:
            raise EvidenceError(
                f"a receipt has no fact {fact!r}; use one of {', '.join(FACTS)}"
            )
        return FACTS[fact](proof)
