"""The page about speed is drawn from the kept bench, and shows what was missed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CANNED = REPOSITORY / "tests" / "verify" / "canned_bench.json"
PARTS = ("machine", "table", "plot", "answers", "imports")
PAGE = "# Speed\n\nIt does {bench-figure}`speedup` times the work.\n\n" + "".join(
    f"```{{bench}} {part}\n```\n\n" for part in PARTS
)
WRONG = """# Wrong

{bench-figure}`speed`

```{bench} tables
```
"""


def build(new_book, data=None, page=PAGE):
    """Build a book with one page of the bench."""
    book = new_book()
    book.write("notebooks/catalog.yml", "notebooks: {}\n")
    if data is not None:
        book.write("receipts/bench.json", json.dumps(data))
    book.page("speed", page)
    return book.build()


@pytest.fixture(scope="module")
def canned():
    """A made-up bench in which every requirement holds."""
    return json.loads(CANNED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def good(new_book, canned):
    """The page of a good bench."""
    built = build(new_book, canned)
    assert built.code == 0, built.log
    return built.html("docs/speed")


def test_the_table_shows_both_sides_and_the_verdict(good):
    row = good[good.index('id="bench-unchanged-ratio"') :].split("</tr>")[0]
    for shown in ("0.06 s", "0.70 s", "11.6 × faster", "≥ 10 × faster", "hb-yes"):
        assert shown in row
    assert "16 of 16 hold" in good and "hb-no" not in good.split('class="hb-plot"')[0]


def test_the_plot_is_one_image_with_a_title_and_its_numbers_in_words(good):
    text = good[good.index("<svg viewBox") :].split("</svg>")[0] + "</svg>"
    drawing = ElementTree.fromstring(text)
    assert drawing.get("role") == "img"
    told = {child.get("id"): child.text for child in drawing if child.get("id")}
    assert set(told) == set(drawing.get("aria-labelledby").split())
    assert "nbmake 14.00 s" in told["bench-plot-told"]
    bars = drawing.findall("rect")
    assert len(bars) == 11
    assert all(0 < float(bar.get("width")) <= 356 for bar in bars)


def test_the_answers_of_every_tool_stand_beside_the_right_one(good):
    rows = good[good.index("What is right") :].split("</table>")[0].split("</tr>")
    verify, cache, book = rows[1:4]
    assert "1 before, 2 after" in verify and "hb-yes" in verify
    for row in (cache, book):
        assert "1 before, 1 after" in row and "0 of 10" in row
        assert '<span class="hb-no">5 of 10</span>' in row


def test_machine_date_and_imports_are_named(good):
    for shown in ("23 Nov 2026", "Test CPU, 2 cores", "abc1234", "nbmake&nbsp;1.5.5"):
        assert shown in good
    assert "3 min 20 s" in good and "4.0 %" in good
    assert ">1.25</span> times the work" in good


def test_a_missed_requirement_is_shown_as_missed(new_book, canned):
    slow = canned | {"overhead": {"verify": [4.0] * 3, "nbclient": [3.0] * 3}}
    built = build(new_book, slow)
    assert built.code == 0, built.log
    page = built.html("docs/speed")
    row = page[page.index('id="bench-overhead"') :].split("</tr>")[0]
    assert '<span class="hb-no">missed</span>' in row
    assert "1 of 16 missed" in page and "hb-pill-failed" in page


def test_what_an_older_bench_did_not_measure_is_called_so(new_book, canned):
    later = ("large", "sandbox")
    built = build(new_book, {k: v for k, v in canned.items() if k not in later})
    assert built.code == 0, built.log
    page = built.html("docs/speed")
    assert "Not measured in this bench: a large book, block checks" in page
    assert "; the MLflow sandbox." in page
    assert "9 of 9 hold" in page and "bench-large" not in page


def test_a_bench_that_was_never_kept_is_called_not_measured(new_book):
    built = build(new_book)
    assert built.code == 0, built.log
    page = built.html("docs/speed")
    assert page.count("Not measured yet") == len(PARTS)
    assert "(not measured yet) times" in page.replace("</span>", "").replace(
        '<span class="hb-bench-figure">', ""
    )


def test_what_the_bench_does_not_have_is_an_error_at_its_line(new_book, canned):
    built = build(new_book, canned, WRONG)
    assert built.code != 0
    found = " ".join(built.lines("docs/speed.md:"))
    assert "docs/speed.md:3: " in found and "did you mean 'speedup'?" in found
    assert "docs/speed.md:5: " in found and "a bench has no part 'tables'" in found


def test_a_kept_bench_of_another_schema_stops_the_build(new_book, canned):
    built = build(new_book, canned | {"schema": 2})
    assert built.code != 0
    assert "bench.json is not a bench of schema 1" in built.log


def test_the_page_of_this_site_builds_with_a_bench(new_book, canned):
    book = new_book()
    book.write("notebooks/catalog.yml", "notebooks: {}\n")
    book.write("receipts/bench.json", json.dumps(canned))
    for page in ("reference/speed", "explanation/how-we-verify"):
        book.page(page, "# How we verify\n")
    shutil.copy(REPOSITORY / "docs/reference/speed.md", book.root / "docs/reference")
    built = book.build()
    assert built.code == 0, built.log
