"""A slip in the ledger is one sentence with file and line, and no entry is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from verify import catalog, ledger
from verify.catalog import Catalog, Entry, Expectation
from verify.ledger import LedgerError, NotRun, Shown

REPOSITORY = Path(__file__).resolve().parents[2]
TROUBLE = """entries:
  - id: it-breaks
    theme: data
    title: It breaks
    texts:
      - "ValueError: broken"
    fix: Mend it.
    since: {trl: "1.15.0", torch: ">=2.0,<3"}
    links: [https://example.com/1]
    evidence:
      notebook: tiny
      outcome: mended
  - id: it-burns
    theme: gpu
    title: It burns
    fix: Cool it.
    not_run:
      why: No GPU is at hand.
      command: nvidia-smi
"""
CLAIMS = """entries:
  - id: it-holds
    title: It holds
    said: It does.
    happens: It does not.
    since: {trl: "1.15.0"}
    evidence: {notebook: tiny, outcome: mended}
"""


@pytest.fixture
def known(tmp_path) -> Catalog:
    """A catalog with one notebook that one outcome is expected of."""
    expect = {"mended": Expectation({"equals": True})}
    rest = {"fixtures": (), "packages": (), "profiles": {}, "peak_rss_gib": None}
    tiny = Entry(tmp_path, "tiny", "Tiny", 60, 60, expect=expect, **rest)
    return Catalog(tmp_path, {"tiny": tiny})


def load(known: Catalog, trouble: str = TROUBLE, claims: str = CLAIMS):
    folder = known.root / "docs" / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "troubleshooting.yml").write_text(trouble, encoding="utf-8")
    (folder / "claims.yml").write_text(claims, encoding="utf-8")
    return ledger.load(known.root, known)


def test_entries_are_read_in_order_with_their_evidence(known):
    found = load(known)
    breaks, burns = found["troubleshooting"]
    assert breaks.evidence == Shown("tiny", "mended")
    assert breaks.texts == ("ValueError: broken",)
    assert breaks.since == {"trl": "1.15.0", "torch": ">=2.0,<3"}
    assert breaks.place == "docs/ledger/troubleshooting.yml:2"
    assert burns.evidence == NotRun("No GPU is at hand.", "nvidia-smi")
    assert found["claims"][0].happens == "It does not."


def test_a_ledger_that_is_not_there_has_no_entries(known):
    assert ledger.load(known.root, known) == {"troubleshooting": [], "claims": []}


WRONG = {
    "no-yaml": ("texts:\n", "texts: [\n", 6, "this is no YAML: "),
    "unknown-key": ("fix: Mend", "fixed: Mend", 7, "unknown key 'fixed'; known keys"),
    "missing-key": ("    theme: data\n", "", 2, "key 'theme' is missing"),
    "doubled-key": ("    fix: M", "    title: M", 7, "key 'title' is given twice"),
    "bad-id": ("it-breaks", "It breaks", 2, "id 'It breaks' must be lower-case"),
    "number": ('"ValueError: broken"', "12", 6, "0 must be a text, not 12; quote it"),
    "no-version": ('"1.15.0"', "1.15", 8, "trl must be a text, not 1.15; quote it"),
    "words": ('"1.15.0"', '"the newest"', 8, "'the newest' is no version; write"),
    "no-since": (
        '    since: {trl: "1.15.0", torch: ">=2.0,<3"}\n',
        "",
        2,
        "since must map a package",
    ),
    "link": ("https://example.com", "example.com", 9, "must begin with https://"),
    "notebook": ("notebook: tiny", "notebook: tony", 11, "lists no notebook 'tony'"),
    "outcome": ("outcome: mended", "outcome: m", 12, "expects no outcome 'm' of tiny"),
    "printed": (
        "outcome: mended",
        "outcome: mended\n      printed: 1",
        13,
        "printed is true or false",
    ),
    "both": (
        "    evidence:",
        "    not_run: {why: x}\n    evidence:",
        2,
        "give either evidence or not_run",
    ),
    "no-why": ("why: No GPU is at hand.", "", 17, "key 'why' is missing"),
    "same-id": ("id: it-burns", "id: it-breaks", 13, "id 'it-breaks' is also that of"),
    "same-text": (
        "title: It burns",
        'title: x\n    texts: ["ValueError: broken"]',
        13,
        "text 'ValueError: broken' is also that of docs/ledger/troubleshooting.yml:2",
    ),
    "empty": (TROUBLE, "", 1, "must be a mapping with the keys entries"),
    "no-list": (TROUBLE, "entries: 3", 1, "entries must be a list"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_slip_is_named_with_file_and_line(known, case):
    before, after, line, says = WRONG[case]
    assert before in TROUBLE
    with pytest.raises(LedgerError) as caught:
        load(known, TROUBLE.replace(before, after, 1))
    assert str(caught.value).startswith(f"docs/ledger/troubleshooting.yml:{line}: ")
    assert says in str(caught.value)


def test_what_has_no_texts_cannot_be_printed(known):
    texts = '    texts:\n      - "ValueError: broken"\n'
    silent = TROUBLE.replace(texts, "").replace("mended", "mended\n      printed: true")
    with pytest.raises(LedgerError, match=r"yml:11: printed .* only beside texts"):
        load(known, silent)


TWICE = TROUBLE.replace(
    "    not_run:\n      why: No GPU is at hand.\n      command: nvidia-smi\n",
    '    texts: ["ValueError: broken"]\n    since: {trl: "1.15.0"}\n'
    "    evidence: {notebook: tiny, outcome: mended, printed: true}\n",
)


def test_one_message_may_have_two_causes_where_a_run_printed_it_for_both(known):
    both = TWICE.replace("outcome: mended\n", "outcome: mended\n      printed: true\n")
    breaks, burns = load(known, both)["troubleshooting"]
    assert breaks.texts == burns.texts
    with pytest.raises(LedgerError, match="text 'ValueError: broken' is also that"):
        load(known, TWICE)


def test_an_id_of_the_other_ledger_is_named_too(known):
    with pytest.raises(LedgerError, match=r"claims\.yml:2: id 'it-burns' is also"):
        load(known, claims=CLAIMS.replace("it-holds", "it-burns"))


def test_the_heading_over_an_outcome_is_found_in_source_and_outputs():
    recorded = {"data": {ledger.MIME: {"name": "looped", "value": 1}}}
    cells = [
        {"cell_type": "markdown", "source": "# Top\n\ntext\n\n## First"},
        {"cell_type": "code", "source": "proof.record(\n    'early', 1)"},
        {"cell_type": "markdown", "source": ["## Second", "\n", "\n", "text"]},
        {"cell_type": "markdown", "source": "no heading"},
        {"cell_type": "code", "source": "record(name, 1)", "outputs": [recorded]},
    ]
    notebook = {"cells": cells}
    assert ledger.heading_of(notebook, "early") == "First"
    assert ledger.heading_of(notebook, "looped") == "Second"
    assert ledger.heading_of(notebook, "lost") is None


def test_a_text_counts_where_the_cell_of_its_outcome_printed_it_in_one_line():
    recorded = {"data": {ledger.MIME: {"name": "mended", "value": True}}}
    out = {"name": "stdout", "text": ["first\nE: it ", "broke; details\nfixed"]}
    other = {"name": "stdout", "text": "E: elsewhere"}
    warned = {"name": "stderr", "text": "E: a warning"}
    cells = [
        {"cell_type": "code", "source": "E: code", "outputs": [other]},
        {"cell_type": "code", "source": "E: code", "outputs": [out, warned, recorded]},
    ]
    said = {
        text: ledger.printed_line({"cells": cells}, "mended", text)
        for text in (
            "E: it broke",
            "E: elsewhere",
            "E: code",
            "E: a warning",
            "details\nfixed",
        )
    }
    assert said.pop("E: it broke") == "E: it broke; details"
    assert set(said.values()) == {None}
    assert ledger.printed_line({"cells": cells}, "lost", "E: it broke") is None


def test_the_ledgers_of_this_repository_are_valid():
    found = ledger.load(REPOSITORY, catalog.load(REPOSITORY))
    assert found["troubleshooting"]


def test_every_theme_has_its_place_on_the_page():
    found = ledger.load(REPOSITORY, catalog.load(REPOSITORY))["troubleshooting"]
    for theme in {entry.theme for entry in found}:
        path = REPOSITORY / f"{ledger.page_of('troubleshooting', theme)}.md"
        page = path.read_text(encoding="utf-8")
        assert f"```{{ledger}} troubleshooting {theme}\n" in page, theme
