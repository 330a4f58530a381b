"""The Sphinx extension of the handbook: pages show what ran, and only that.

Needs nothing heavier than Sphinx, so the site builds where torch is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect every part; handlers of one event run in the order of their priority."""
    from verify.sphinx_ext import (
        alttext,
        bench,
        blocks,
        downloads,
        fresh,
        ledger,
        listing,
        machines,
        mdx,
        offline,
        outcome,
        parameters,
        published,
        receipt_box,
        search,
        sidebar,
        snippet,
        status,
        swap,
        workbench,
    )

    app.add_directive("snippet", snippet.SnippetDirective)
    app.add_directive("receipts", status.ReceiptsDirective)
    app.add_directive("blocks", blocks.BlocksDirective)
    app.connect("doctree-read", blocks.insert_upgrades)
    app.add_directive("machines", machines.MachinesDirective)
    app.add_directive("ledger", ledger.LedgerDirective)
    app.add_directive("error-index", ledger.ErrorIndexDirective)
    app.add_directive("ledger-status", ledger.LedgerStatusDirective)
    app.add_directive("verified", status.VerifiedDirective)
    app.add_directive("bench", bench.BenchDirective)
    app.add_directive("parameters", parameters.ParametersDirective)
    app.add_directive("library-names", parameters.NamesDirective)
    app.add_role("bench-figure", bench.BenchFigureRole())
    app.add_role("outcome", outcome.OutcomeRole())
    app.add_role("receipt", outcome.ReceiptRole())
    app.connect("env-get-outdated", swap.always_reread)
    app.connect("source-read", swap.swap)
    app.connect("doctree-read", receipt_box.insert_receipt)
    app.connect("doctree-read", alttext.require_alt)
    app.connect("html-collect-pages", listing.collect)
    app.connect("html-page-context", offline.drop_thebe, priority=950)
    app.connect("build-finished", downloads.write_downloads, priority=800)
    app.connect("build-finished", published.write_evidence, priority=810)
    app.connect("build-finished", offline.finish_site, priority=900)
    app.connect("build-finished", fresh.forget_after_warnings, priority=950)
    mdx.setup(app)
    workbench.setup(app)
    sidebar.setup(app)
    app.add_search_language(search.English)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
