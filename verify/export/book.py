"""Asks the book's own directives and roles what they print, outside a Sphinx build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from docutils import nodes
from docutils.parsers.rst import DirectiveError
from docutils.statemachine import StringList
from sphinx import addnodes

from verify import sphinx_ext
from verify.sphinx_ext import downloads, outputs, published, receipt_box, workbench
from verify.sphinx_ext.evidence import Evidence, EvidenceError, Proof
from verify.sphinx_ext.snippet import SHOWN


class Refused(Exception):
    """A directive or a role reported an error."""


@dataclass
class Recorder:
    """Stands in for the Sphinx application while the extension introduces itself."""

    directives: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, Any] = field(default_factory=dict)

    def add_directive(self, name: str, found: Any, **_: Any) -> None:
        """Remember a directive."""
        self.directives[name] = found

    def add_role(self, name: str, found: Any, **_: Any) -> None:
        """Remember a role."""
        self.roles[name] = found

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Take every other call without effect."""
        return lambda *arguments, **named: None


class Book:
    """The extension of the book, and what it knows of the runs."""

    def __init__(self, root: Path, names: list[str], title: str) -> None:
        self.recorder = Recorder()
        sphinx_ext.setup(self.recorder)  # type: ignore[arg-type]
        self.app = SimpleNamespace(srcdir=str(root))
        self.app.config = SimpleNamespace(html_title=title, **_configured(root))
        self.app.builder = SimpleNamespace(format="html")
        self.app.env = SimpleNamespace(
            app=self.app,
            srcdir=str(root),
            found_docs=set(names),
            metadata={name: {} for name in names},
            docname="",
            temp_data={},
            note_dependency=lambda path: None,
            note_reread=lambda: None,
        )
        self.evidence = Evidence.of(self.app)  # type: ignore[arg-type]

    def directive(self, docname: str, name: str, said: str) -> str | None:
        """Return the HTML that a directive shows; None if the book has no such one.

        Raises
        ------
        Refused
            With the directive's own message.
        """
        if name not in self.recorder.directives:
            return None
        arguments = [said] if said else []
        state, machine = self._state(docname), SimpleNamespace(reporter=_Reporter())
        found = self.recorder.directives[name](
            name, arguments, {}, StringList(), 1, 0, "", state, machine
        )
        try:
            shown = found.run()
        except DirectiveError as error:
            raise Refused(error.msg) from error
        shown = [node for node in shown if not isinstance(node, addnodes.index)]
        if not all(isinstance(node, nodes.raw) for node in shown):
            raise Refused(f"{{{name}}} shows more than HTML")
        return "\n".join(node.astext() for node in shown)

    def role(self, docname: str, name: str, text: str) -> tuple[str, str | None] | None:
        """Return what a role prints, and the notebook whose receipt it links to."""
        if name not in self.recorder.roles:
            return None
        source = f"{{{name}}}`{text}`"
        inliner = SimpleNamespace(**vars(self._state(docname)), reporter=_Reporter())
        shown, _ = self.recorder.roles[name](name, source, text, 1, inliner)
        printed = "".join(node.astext() for node in shown)
        links = [node for node in shown if isinstance(node, addnodes.pending_xref)]
        receipt = links[0]["reftarget"].removeprefix("receipt-") if links else None
        return printed, receipt

    def _state(self, docname: str) -> SimpleNamespace:
        self.app.env.docname = docname
        settings = SimpleNamespace(env=self.app.env)
        return SimpleNamespace(document=SimpleNamespace(settings=settings))

    def shows(self, docname: str, *files: str) -> None:
        """Remember that a page links to these files, so that they are copied."""
        self.app.env.metadata[docname].setdefault(SHOWN, []).extend(files)

    def notebook(self, docname: str) -> Proof | None:
        """Return the published proof of a notebook page.

        Raises
        ------
        Refused
            If the page may not be published.
        """
        name = self.evidence.notebook_of(docname)
        if name is None:
            return None
        try:
            return self.evidence.proof(name)
        except EvidenceError as error:
            raise Refused(str(error)) from error

    def dressed(self, notebook: dict[str, Any], proof: Proof) -> dict[str, Any]:
        """Return an executed notebook with the outputs that its page shows."""
        assert proof.receipt is not None, "what was executed has a receipt"
        return outputs.prepare(notebook, proof.receipt, self.app.env)

    def receipt(self, docname: str, proof: Proof) -> str:
        """Return the receipt under the title of a notebook page, as HTML."""
        proofs = self.evidence.proofs(proof.entry.name)
        return receipt_box.receipt_html(proofs, docname, self.app)  # type: ignore[arg-type]

    def write_files(self, public: Path) -> None:
        """Write what pages link to beside them: sources, receipts, status.json."""
        self.app.outdir = str(public)
        downloads.write_downloads(self.app, None)  # type: ignore[arg-type]
        published.write_evidence(self.app, None)  # type: ignore[arg-type]


def _configured(root: Path) -> dict[str, Any]:
    """Return what book.yml says and a receipt shows, named as Sphinx names it."""
    file = root / "book.yml"
    said = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    sphinx = (said.get("sphinx") or {}).get("config") or {}
    return {
        "html_baseurl": (said.get("html") or {}).get("baseurl"),
        workbench.OPTION: sphinx.get(workbench.OPTION),
    }


class _Reporter:
    def error(self, message: str, **_: Any) -> None:
        """Raise what a role reports."""
        raise Refused(message)
