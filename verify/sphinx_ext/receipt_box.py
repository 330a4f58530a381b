"""Prints the receipt under the title of each notebook page, above its downloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.std import StandardDomain

from verify import versions
from verify.sphinx_ext import words
from verify.sphinx_ext.evidence import Evidence, EvidenceError, Proof, relative_url
from verify.sphinx_ext.published import files_of
from verify.sphinx_ext.render import html
from verify.sphinx_ext.timeline import timeline
from verify.sphinx_ext.workbench import workbench_html

ANCHOR = "receipt"
INSTALL = "docs/how-to/install"
SANDBOX = "docs/reference/mlflow-sandbox"
LONGEST = 600  # characters of one message on stderr


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
    found = app.env.found_docs
    install, sandbox = (
        relative_url(docname, f"{page}.html") if page in found else None
        for page in (INSTALL, SANDBOX)
    )
    links = {"install_url": install, "files": files_of(proof, docname)}
    return html(
        "receipt.html",
        proof=proof,
        receipt=proof.receipt,
        skip=proof.declared_skip,
        others=others,
        verdict=verdict_words(proof),
        parameters=parameter_rows(proof, others),
        packages=chosen_packages(proof),
        stderr=stderr_rows(proof),
        unseen=allowed_unseen(proof),
        slowest=slowest_cells(proof),
        history=timeline(proof.runs),
        sandbox_url=sandbox,
        workbench=workbench_html(proof.entry, docname, app, **links),
    )


# region: verdict-words
def verdict_words(proof: Proof) -> str:
    """Say in one sentence how far the page may be relied on."""
    receipt, skip = proof.receipt, proof.declared_skip
    if proof.state == "skipped" and skip is not None:
        return f"{skip_words(proof)} No cell below ran, so no output is shown."
    if proof.state != "passed" or receipt is None:
        return words.sentence(proof.verdict.reason or proof.word)
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


def skip_words(proof: Proof) -> str:
    """Say until when a run is skipped, and why: ``Skipped until 31 Jan 2027: …``."""
    skip = proof.declared_skip
    assert skip is not None, "only what is skipped is described as such"
    return f"Skipped until {words.day(skip.expires)}: {skip.reason.rstrip('.')}."


def parameter_rows(proof: Proof, others: list[Proof]) -> list[dict[str, Any]]:
    """Return each parameter as published and as proven, with what is to be said of it.

    ``note`` says why a value is not proven, or which other profile proves it.
    """
    if not proof.ran:
        return []
    published = proof.receipt.parameters["published"]
    injected = proof.receipt.parameters["injected"]
    rows = []
    for name in {**published, **injected}:
        before = repr(published[name]) if name in published else "not published"
        after = repr(injected[name]) if name in injected else before
        differs = after != before
        rows.append(
            {
                "name": name,
                "published": before,
                "proven": after,
                "differs": differs,
                "note": _note(proof, name, published, others) if differs else None,
            }
        )
    return rows


def _note(
    proof: Proof, name: str, published: Mapping[str, Any], others: list[Proof]
) -> str | None:
    if name in proof.entry.unproven:
        return f"not proven: {proof.entry.unproven[name]}"
    for other in others:
        if other.proves and name in published:
            ran = other.receipt.parameters["injected"].get(name, published[name])
            if ran == published[name]:
                then = "" if other.state == "passed" else ", by a run of earlier code"
                return f"the published value is proven on {other.profile}{then}"
    return None


def chosen_packages(proof: Proof) -> dict[str, str]:
    """Return the versions of the packages that the catalog names for this notebook."""
    if not proof.ran:
        return {}
    named = [versions.distribution(name) for name in proof.entry.packages]
    found = proof.receipt.packages
    return {name: found[name] for name in named if name in found}


def stderr_rows(proof: Proof) -> list[dict[str, Any]]:
    """Return what was written to stderr, cut to a readable length."""
    said = proof.receipt.stderr if proof.receipt else ()
    return [{**one, "text": one["text"][:LONGEST]} for one in said]


def allowed_unseen(proof: Proof) -> list[dict[str, str]]:
    """Return what the catalog allows on stderr and this run did not write."""
    seen = {one["allowed"] for one in stderr_rows(proof)}
    return [
        {"match": allowed.match.pattern, "why": allowed.why}
        for allowed in proof.entry.allow_stderr
        if allowed.why not in seen
    ]


def slowest_cells(proof: Proof) -> list[Mapping[str, Any]]:
    """Return up to three cells that took a second or more, slowest first."""
    cells = proof.receipt.slowest_cells if proof.receipt else []
    return [cell for cell in cells if cell["seconds"] >= 1][:3]


def _label(app: Sphinx, name: str, docname: str) -> None:
    """Make the receipt a target that ``{outcome}`` numbers can link to."""
    domain = app.env.get_domain("std")
    assert isinstance(domain, StandardDomain)
    domain.anonlabels[f"receipt-{name}"] = (docname, ANCHOR)
