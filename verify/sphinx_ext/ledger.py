"""Shows what goes wrong and what is claimed, each with the state of its evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from docutils import nodes
from markupsafe import Markup, escape
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from verify import ledger
from verify.ledger import Entry, LedgerError, NotRun, Shown
from verify.source import read_notebook
from verify.sphinx_ext import words
from verify.sphinx_ext.evidence import (
    WORDS,
    Evidence,
    EvidenceError,
    Proof,
    relative_url,
)
from verify.sphinx_ext.outcome import UNMEASURED, trusted_receipt
from verify.sphinx_ext.render import html
from verify.sphinx_ext.status import why_words

NOT_RUN = ("not-run", "Not run here")
CODE = re.compile(r"(\{outcome\})?`([^`]+)`")


@dataclass(frozen=True)
class Standing:
    """An entry, and what may be said of it now.

    Attributes
    ----------
    entry : Entry
        What it is about.
    state, word : str
        A status of runs, or ``not-run``, as a CSS name and as a reader sees it.
    why : str or None
        Why it is not verified.
    proof : Proof or None
        The run that judges it; None where nothing here runs it.
    """

    entry: Entry
    state: str
    word: str
    why: str | None
    proof: Proof | None = None

    @cached_property
    def said(self) -> tuple[str, ...]:
        """The texts of the entry; whole lines of the run, where it printed them.

        Raises
        ------
        LedgerError
            Naming the entry, if its run passed and did not print one of its texts.
        """
        run = self.proof.executed if self.proof else None
        if run is None or not ledger.printed(self.entry):
            return self.entry.texts
        shown = self.entry.evidence
        notebook = read_notebook(run)
        found = {
            text: ledger.printed_line(notebook, shown.outcome, text)
            for text in self.entry.texts
        }
        for text, line in found.items():
            if line is None:
                where = f"{self.entry.place}: text {text!r} is in no line"
                cell = f"the cell that records {shown.outcome!r} in {shown.notebook}"
                raise LedgerError(f"{where} that {cell} printed; correct it")
        return tuple(dict.fromkeys(str(line) for line in found.values()))

    @cached_property
    def ran_with(self) -> dict[str, str]:
        """The versions, in the run, of the packages that the entry is about."""
        receipt = self.proof.receipt if self.proof and self.proof.ran else None
        found = receipt.packages if receipt else {}
        return {name: found[name] for name in self.entry.since if name in found}


def standing(entry: Entry, evidence: Evidence) -> Standing:
    """Judge one entry by the receipt of its notebook, as it is now."""
    if isinstance(entry.evidence, NotRun):
        return Standing(entry, *NOT_RUN, entry.evidence.why)
    proof = evidence.proof(entry.evidence.notebook)
    outcomes = proof.receipt.outcomes if proof.receipt else ()
    row = next((o for o in outcomes if o.name == entry.evidence.outcome), None)
    why = why_words(proof)
    if proof.state == "failed" and row is not None:
        own = row.problem()
        why = words.sentence(own) if own else f"Its own outcome held. {why}"
    return Standing(entry, proof.state, proof.word, why, proof)


class LedgerDirective(SphinxDirective):
    """``{ledger} KIND THEME``: the entries of a ledger, or of one of its themes."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the entries, and what makes the site's search find their messages."""
        kind, _, theme = self.arguments[0].partition(" ")
        found = self.standings(kind)
        entries = [one for one in found if not theme or one.entry.theme == theme]
        if theme and not entries:
            named = words.listed(dict.fromkeys(str(one.entry.theme) for one in found))
            raise self.error(f"{ledger.file_of(kind)} has no theme {theme!r}: {named}")
        try:
            return [
                node
                for one in entries
                for node in (self._searched(one.entry), self._card(one))
            ]
        except LedgerError as error:
            raise self.error(str(error)) from error

    def standings(self, kind: str) -> list[Standing]:
        """Return what stands of each entry of a ledger."""
        self.env.note_reread()
        if kind not in ledger.KINDS:
            known = ", ".join(ledger.KINDS)
            raise self.error(f"there is no ledger {kind!r}; use one of {known}")
        evidence = Evidence.of(self.env.app)
        try:
            found = ledger.load(evidence.root, evidence.catalog)
            return [standing(entry, evidence) for entry in found[kind]]
        except (LedgerError, EvidenceError) as error:
            raise self.error(str(error)) from error

    def raw(self, template: str, **values: Any) -> nodes.Node:
        """Return a filled template."""
        return nodes.raw("", html(template, **values), format="html")

    def proof_url(self, one: Standing) -> str | None:
        """Return the address of the section whose outcome judges an entry."""
        if one.proof is None:
            return None
        page = f"notebooks/{one.proof.entry.name}"
        if page not in self.env.found_docs:
            return None
        assert isinstance(one.entry.evidence, Shown), "what has a proof names it"
        notebook = read_notebook(one.proof.executed or one.proof.entry.path)
        heading = ledger.heading_of(notebook, one.entry.evidence.outcome)
        target = nodes.make_id(heading) if heading else "receipt"
        return relative_url(self.env.docname, f"{page}.html#{target}")

    def entry_url(self, entry: Entry) -> str | None:
        """Return the address of an entry, where its page is in the site."""
        page = ledger.page_of(entry.kind, entry.theme)
        if page not in self.env.found_docs:
            return None
        here = page == self.env.docname
        path = "" if here else relative_url(self.env.docname, f"{page}.html")
        return f"{path}#{entry.id}"

    def _searched(self, entry: Entry) -> nodes.Node:
        """Return what leads the search from a message, or its first sentence, here.

        *Main* entries come before pages that merely hold the words.
        """
        sentences = [text.split(". ")[0] for text in entry.texts]
        texts = dict.fromkeys([entry.title.replace("`", ""), *entry.texts, *sentences])
        found = [("single", text, entry.id, "main", None) for text in texts]
        return addnodes.index(entries=found)

    def _card(self, one: Standing) -> nodes.Node:
        entry = one.entry
        prose = ("title", "fix", "said", "happens")
        return self.raw(
            "ledger.html",
            one=one,
            entry=entry,
            url=self.proof_url(one),
            told={name: self.inline(getattr(entry, name)) for name in prose},
            command=getattr(entry.evidence, "command", None),
        )

    def inline(self, text: str | None) -> Markup | None:
        """Return a text as HTML: `code`, and {outcome} with a measured number."""
        if text is None:
            return None
        shown, end = Markup(""), 0
        for match in CODE.finditer(text):
            shown += escape(text[end : match.start()])
            is_outcome, inside = match.groups()
            code = Markup("<code>{}</code>").format(inside)
            shown += self._measured(inside) if is_outcome else code
            end = match.end()
        return shown + escape(text[end:])

    def _measured(self, target: str) -> Markup:
        """Return one outcome, formatted and linked to its receipt."""
        where, _, spec = target.partition("|")
        name, _, outcome = where.strip().partition(":")
        evidence = Evidence.of(self.env.app)
        url = relative_url(self.env.docname, f"notebooks/{name}.html#receipt")
        try:
            if evidence.proof(name).state == "skipped":
                return Markup('<a class="hb-unmeasured" href="{}">{}</a>').format(
                    url, UNMEASURED
                )
            receipt = trusted_receipt(evidence.trusted(name))
            found = {row.name: row.value for row in receipt.outcomes}
            if outcome not in found:
                raise EvidenceError(f"{name} recorded no outcome {outcome!r}")
            text = words.value(found[outcome], spec.strip())
        except (EvidenceError, ValueError) as error:
            said = f"{{outcome}}`{target}`: {error}"
            self.state_machine.reporter.error(said, line=self.lineno)
            return Markup("(not measured)")  # the other entries are shown all the same
        return Markup('<a class="hb-measured" href="{}">{}</a>').format(url, text)


class ErrorIndexDirective(LedgerDirective):
    """``{error-index} THEME``: each message of the ledger, sorted, with its entry.

    A theme, or what themes begin with, takes no other messages.
    """

    required_arguments = 0
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table of messages."""
        start = self.arguments[0] if self.arguments else ""
        standings = self.standings("troubleshooting")
        found = [s.entry for s in standings if (s.entry.theme or "").startswith(start)]
        rows: dict[str, list[tuple[str | None, Markup | None]]] = {}
        for entry in found:
            for text in entry.texts:
                shown = (self.entry_url(entry), self.inline(entry.title))
                rows.setdefault(text, []).append(shown)
        ordered = sorted(rows.items(), key=lambda row: _letters(row[0]))
        return [self.raw("error_index.html", rows=ordered)]


class LedgerStatusDirective(LedgerDirective):
    """``{ledger-status}``: every entry of both ledgers with its status."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        """Return the tables."""
        tables = {}
        for kind in ledger.KINDS:
            found = self.standings(kind)
            tables[kind] = {"rows": [self._row(s) for s in found], "sum": sums(found)}
        return [self.raw("ledger_status.html", tables=tables)]

    def _row(self, one: Standing) -> Mapping[str, Any]:
        title, url = self.inline(one.entry.title), self.entry_url(one.entry)
        return {"one": one, "title": title, "url": url, "proof": self.proof_url(one)}


def sums(found: list[Standing]) -> str:
    """Say how many entries there are of each status: ``3 entries: 3 verified.``."""
    known = [*WORDS.values(), NOT_RUN[1]]
    counts = {word: sum(one.word == word for one in found) for word in known}
    told = ", ".join(f"{n} {word.lower()}" for word, n in counts.items() if n)
    many = f"{len(found)} {'entry' if len(found) == 1 else 'entries'}"
    return f"{many}: {told}." if found else "no entry yet."


def _letters(text: str) -> tuple[str, str]:
    """Return what a message is sorted by: its letters and digits, then all of it."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip(), text
