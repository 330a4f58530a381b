"""Prints the receipt under the title of each notebook page, with its downloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.std import StandardDomain

from verify.sphinx_ext import words
from verify.sphinx_ext.evidence import Evidence, EvidenceError, Proof, relative_url
from verify.sphinx_ext.render import html

ANCHOR = "receipt"
INSTALL = "docs/how-to/install"


def insert_receipt(app: Sphinx, doctree: nodes.document) -> None:
    """Put the receipt after the first title of a notebook page (``doctree-read``)."""
    evidence = Evidence.of(app)
    docname = app.env.docname
    name = evidence.notebook_of(docname)
    title = next(iter(doctree.findall(nodes.title)), None)
    if name is None or title is None:
        return
    try:
        proofs = evidence.proofs(name)
    except EvidenceError:
        return  # the swap has already warned about the catalog
    box = nodes.raw("", receipt_html(proofs, docname, app), format="html")
    place = title.parent.index(title) + 1
    title.parent.insert(place, box)
    _label(app, name, docname)


def receipt_html(proofs: list[Proof], docname: str, app: Sphinx) -> str:
    """Return the box for one notebook: its published proof, then the others."""
    proof, *others = proofs
    has_install = INSTALL in app.env.found_docs
    name = proof.entry.name
    return html(
        "receipt.html",
        proof=proof,
        receipt=proof.receipt,
        others=others,
        verdict=verdict_words(proof),
        parameters=parameter_rows(proof),
        slowest=slowest_cells(proof),
        notebook_url=relative_url(docname, f"downloads/notebooks/{name}.ipynb"),
        snippets_url=relative_url(docname, "downloads/snippets.zip"),
        install_url=relative_url(docname, f"{INSTALL}.html") if has_install else None,
    )


# region: verdict-words
def verdict_words(proof: Proof) -> str:
    """Say in one sentence how far the page may be relied on."""
    receipt = proof.receipt
    if proof.state != "passed" or receipt is None:
        return f"{proof.verdict.reason}."
    if receipt.parameters["injected"]:
        return (
            "Every cell below ran, with some parameters other than the published "
            "ones: the evidence shows both."
        )
    return (
        "Every cell below ran with the parameters you see, "
        f"and {words.plural(proof.held, 'claim')} held."
    )


# endregion: verdict-words


def parameter_rows(proof: Proof) -> list[dict[str, Any]]:
    """Return each parameter as published and as proven, with whether they differ."""
    if proof.receipt is None:
        return []
    published = proof.receipt.parameters["published"]
    injected = proof.receipt.parameters["injected"]
    rows = []
    for name in {**published, **injected}:
        before = repr(published[name]) if name in published else "not published"
        after = repr(injected[name]) if name in injected else before
        differs = after != before
        rows.append(
            {"name": name, "published": before, "proven": after, "differs": differs}
        )
    return rows


def slowest_cells(proof: Proof) -> list[Mapping[str, Any]]:
    """Return up to three cells that took a second or more, slowest first."""
    cells = proof.receipt.slowest_cells if proof.receipt else []
    return [cell for cell in cells if cell["seconds"] >= 1][:3]


def _label(app: Sphinx, name: str, docname: str) -> None:
    """Make the receipt a target that ``{outcome}`` numbers can link to."""
    domain = app.env.get_domain("std")
    assert isinstance(domain, StandardDomain)
    domain.anonlabels[f"receipt-{name}"] = (docname, ANCHOR)
