"""Entries of the ledger show what stands of their evidence, and are found by search."""

from __future__ import annotations

import datetime
import json
import re
import subprocess

import pytest

from verify.sphinx_ext import words

SAID = "ValueError: it broke; use another <thing>"
PAGE = """# Troubleshooting

```{error-index}
```

## One

```{ledger} troubleshooting one
```

## Two

```{ledger} troubleshooting two
```
"""
CLAIMS = "# Claims\n\n```{ledger} claims\n```\n"
STATUS = "# Status\n\n```{ledger-status}\n```\n"
TROUBLE = f"""entries:
  - id: broke
    theme: one
    title: The `thing` breaks
    texts: ["{SAID}", "a second message. It goes on."]
    fix: Use another, it reaches {{outcome}}`tiny:match|.2f`.
    since: {{numpy: ">=2.0,<3"}}
    links: [https://github.com/owner/lib/issues/12]
    evidence: {{notebook: tiny, outcome: match}}
  - id: needs-gpu
    theme: two
    title: It needs a GPU
    texts: [an early message]
    fix: Buy one.
    not_run: {{why: No GPU was at hand., command: nvidia-smi -L}}
"""
SAYS = """entries:
  - id: claimed
    title: It holds
    said: It never holds.
    happens: It holds in every run.
    since: {numpy: "2.4.0"}
    evidence: {notebook: tiny, outcome: same}
"""


def make(new_book, trouble: str = TROUBLE, **entry):
    """Return a book with one notebook, both ledgers and the pages that show them."""
    book = new_book()
    cells = [book.prose("## How it `breaks`"), book.code('record("match", 0.9)')]
    more = [book.prose("## Elsewhere"), book.code("record('same', True)")]
    judged = {"match": {"min": 0.5}, "same": {"equals": True}}
    book.notebook("tiny", *cells, *more, expect=judged, **entry)
    book.write("docs/ledger/troubleshooting.yml", trouble)
    book.write("docs/ledger/claims.yml", SAYS)
    book.page("how-to/troubleshooting", PAGE)
    book.page("reference/claims", CLAIMS)
    book.page("status", STATUS)
    return book


def ran(book, match=0.9, **facts):
    """Let the notebook run."""
    outputs = [book.outcome("match", match), book.outcome("same", True)]
    book.ran("tiny", outputs, **facts)


def card(page: str, name: str) -> str:
    """Return the entry of a page."""
    return page[page.index(f'id="{name}"') :].split("</section>")[0]


@pytest.fixture(scope="module")
def good(new_book):
    """A site in which the evidence of every entry holds."""
    book = make(new_book)
    ran(book)
    built = book.build()
    assert built.code == 0, built.log
    return built


def test_an_entry_shows_message_fix_versions_issue_and_status(good):
    shown = card(good.html("docs/how-to/troubleshooting"), "broke")
    for text in (
        'hb-pill-passed">Verified',
        "The <code>thing</code> breaks",
        '<pre class="hb-said">ValueError: it broke; use another &lt;thing&gt;</pre>',
        'notebooks/tiny.html#receipt">0.90</a>',
        "numpy &gt;=2.0,&lt;3 (ran with 2.4.0)",
        '<a href="https://github.com/owner/lib/issues/12">lib#12</a>',
    ):
        assert text in shown, text


def test_the_link_leads_to_the_section_that_records_the_outcome(good):
    shown = card(good.html("docs/how-to/troubleshooting"), "broke")
    target = re.search(r'href="\.\./\.\./notebooks/tiny\.html#([\w-]+)"', shown)[1]
    assert target == "how-it-breaks"
    assert f'id="{target}"' in good.html("notebooks/tiny")


def test_a_claim_shows_what_is_said_and_what_happens(good):
    shown = card(good.html("docs/reference/claims"), "claimed")
    assert "<dd>It never holds.</dd>" in shown and "It holds in every run." in shown
    assert "tiny.html#elsewhere" in shown and "Verified" in shown


def test_what_nothing_here_runs_says_why_and_what_to_run(good):
    shown = card(good.html("docs/how-to/troubleshooting"), "needs-gpu")
    assert 'hb-pill-not-run">Not run here' in shown
    assert "Not run here: No GPU was at hand." in shown
    assert '<pre class="hb-command">nvidia-smi -L</pre>' in shown


def test_the_index_sorts_messages_and_leads_to_their_entries(good):
    page = good.html("docs/how-to/troubleshooting")
    index = page[page.index("hb-errors") :].split("</table>")[0]
    rows = re.findall(r"<code>(.+?)</code></th>.*?href=\"(.+?)\"", index)
    assert [row[1] for row in rows] == ["#broke", "#needs-gpu", "#broke"]
    assert [row[0][:10] for row in rows] == ["a second m", "an early m", "ValueError"]


def test_the_search_of_the_site_leads_from_a_message_to_its_entry(good):
    text = (good.site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    found = index["indexentries"]
    page = index["docnames"].index("docs/how-to/troubleshooting")
    for message in ("a second message", "an early message", "the thing breaks"):
        assert [page] == [entry[0] for entry in found[message]]
    assert found["a second message"][0][1:] == ["broke", True]  # before other pages


def test_the_status_page_has_every_entry(good):
    page = good.html("docs/status")
    assert "Troubleshooting, 2 entries: 1 verified, 1 not run here." in page
    assert "Claims, 1 entry: 1 verified." in page
    for link in ("troubleshooting.html#broke", "claims.html#claimed"):
        assert link in page


STANDS = {
    "failed": ({"match": 0.1}, "Outcome match = 0.1, expected at least 0.5."),
    "elsewhere": ({}, "Its own outcome held. Cell 2: no."),
    "stale": ({}, "greet.py changed"),
    "never run": (None, "No run is on record"),
}


@pytest.mark.parametrize("case", STANDS)
def test_evidence_that_does_not_hold_shows_and_stops_the_build(new_book, case):
    no_number = TROUBLE.replace(", it reaches {outcome}`tiny:match|.2f`", "")
    book = make(new_book, no_number)
    outcome, why = STANDS[case]
    if case == "stale":
        add = 'from snippets.greet import hello\nrecord("match", 0.9)'
        entry = book.entries.pop("tiny")
        book.pages.remove("notebooks/tiny")
        book.notebook("tiny", book.prose("## How"), book.code(add), **entry)
    if outcome is not None:
        red = case in ("failed", "elsewhere")
        said = {"status": "failed", "reason": "cell 2: no"} if red else {}
        ran(book, **outcome, **said)
    if case == "stale":
        book.write("snippets/greet.py", '"""Greets."""\n\nhello = None\n')
    built = book.build()
    assert built.code != 0
    state = "failed" if case == "elsewhere" else case.replace(" ", "-")
    shown = card(built.html("docs/how-to/troubleshooting"), "broke")
    assert f"hb-pill-{state}" in shown and why in shown.replace("&#39;", "'")
    assert f"1 {'failed' if case == 'elsewhere' else case}" in built.html("docs/status")


def test_the_exported_page_has_the_anchors_of_its_entries(new_book, book_python):
    book = make(new_book)
    ran(book)
    assert book.build().code == 0
    command = [book_python, "-m", "verify.export", "out"]
    done = subprocess.run(command, cwd=book.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (book.root / "out/how-to/troubleshooting.mdx").read_text(encoding="utf-8")
    assert "### The `thing` breaks \\{#broke}\n" in page
    assert "tiny.mdx#how-it-breaks" in page and "[The `thing` breaks](#broke)" in page
    status = (book.root / "out/status.mdx").read_text(encoding="utf-8")
    assert "troubleshooting.mdx#needs-gpu" in status


def test_a_wrong_ledger_stops_the_build_with_its_line(new_book):
    book = make(new_book, TROUBLE.replace("outcome: match", "outcome: math"))
    ran(book)
    built = book.build()
    assert built.code != 0
    place = "docs/ledger/troubleshooting.yml:9: "
    assert f"{place}the catalog expects no outcome 'math' of tiny" in built.log


def test_a_wrong_directive_or_number_is_an_error_at_its_line(new_book):
    wrong = "# W\n\n```{ledger} claim\n```\n\n```{ledger} troubleshooting on\n```\n"
    book = make(new_book, TROUBLE.replace("tiny:match|", "tiny:mach|"))
    ran(book)
    book.page("wrong", wrong)
    built = book.build()
    assert built.code != 0
    for text in (
        "docs/wrong.md:3: ERROR: there is no ledger 'claim'; use one of",
        "has no theme 'on': one, two",
        "{outcome}`tiny:mach|.2f`: tiny recorded no outcome 'mach'",
    ):
        assert text in built.log, built.log
    shown = card(built.html("docs/how-to/troubleshooting"), "broke")
    assert "it reaches (not measured)." in shown and "Verified" in shown


PRINTED = TROUBLE.replace("outcome: match}", "outcome: match, printed: true}")


def printing(book, *lines: str) -> None:
    """Let the cell of ``match`` print lines."""
    text = "".join(f"{line}\n" for line in lines)
    said = {"output_type": "stream", "name": "stdout", "text": text}
    ran_with = [said, book.outcome("match", 0.9), book.outcome("same", True)]
    book.ran("tiny", ran_with)


def test_a_text_that_the_run_printed_is_shown_in_its_whole_line(new_book):
    book = make(new_book, PRINTED)
    whole = [f"{SAID} (thread 7)", "error: a second message. It goes on."]
    printing(book, "before", *whole)
    built = book.build()
    assert built.code == 0, built.log
    shown = card(built.html("docs/how-to/troubleshooting"), "broke")
    assert "another &lt;thing&gt; (thread 7)</pre>" in shown
    assert '<pre class="hb-said">error: a second message. It goes on.</pre>' in shown


def test_a_message_with_two_causes_is_one_row_that_leads_to_both(new_book):
    again = PRINTED.split("  - id: needs-gpu")[0].replace("entries:\n", "")
    again = again.replace("id: broke", "id: burst").replace("theme: one", "theme: two")
    book = make(new_book, PRINTED + again)
    printing(book, SAID, "a second message. It goes on.")
    built = book.build()
    assert built.code == 0, built.log
    index = built.html("docs/how-to/troubleshooting").split("</table>")[0]
    row = next(one for one in index.split("<tr>") if "a second message" in one)
    assert re.findall(r'href="#(\w+)"', row) == ["broke", "burst"]


def test_a_text_that_the_run_did_not_print_stops_the_build(new_book):
    book = make(new_book, PRINTED)
    printing(book, SAID, "a second message: it goes on.")
    built = book.build()
    assert built.code != 0
    says = "text 'a second message. It goes on.' is in no line that the cell that"
    assert f"docs/ledger/troubleshooting.yml:2: {says}" in built.log


def test_where_the_run_is_skipped_the_texts_stay_and_the_page_says_why(new_book):
    skip = {
        "probe": {"lacks": "cuda"},
        "reason": "no GPU is at hand",
        "owner": "us",
        "expires": str(datetime.date.today() + datetime.timedelta(days=30)),
    }
    profiles = {"cpu": {"needs": ["cuda"], "skip": skip}}
    book = make(new_book, PRINTED, profiles=profiles)
    book.skipped("tiny")
    built = book.build()
    assert built.code == 0, built.log
    shown = card(built.html("docs/how-to/troubleshooting"), "broke")
    assert "another &lt;thing&gt;</pre>" in shown and "hb-pill-skipped" in shown
    assert "not measured, its run is skipped" in shown and "no GPU is at hand" in shown


def test_issues_are_said_in_few_words():
    assert words.issue("https://github.com/huggingface/trl/pull/4201") == "trl#4201"
    assert words.issue("https://example.com/a") == "example.com/a"
