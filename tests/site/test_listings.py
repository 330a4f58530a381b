"""A caption leads to its lines and to its tests, without leaving the site."""

import hashlib
import json
import re
import shutil
from html import unescape

import pytest

from verify import covered
from verify.sphinx_ext import listing

GREET = "source/snippets/greet.py"
TESTS = "source/tests/snippets/test_greet.py"


def text_of(html: str, number: int) -> str:
    """Return one line of a listing as a reader sees it."""
    line = re.search(rf'<span class="hb-line" id="L{number}">(.*)</span>\n', html)
    return unescape(re.sub(r"<[^>]+>", "", line[1]))


def test_the_lines_of_a_caption_are_a_link_to_exactly_those_lines(good_book, good_site):
    guide, listed = good_site.html("docs/guide"), good_site.html(GREET)
    assert f'href="../{GREET}.html#L7-L10">lines 7–10</a>' in guide
    assert f'href="../{GREET}.html#L3">line 3</a>' in guide
    source = (good_book.root / "snippets/greet.py").read_text().splitlines()
    assert [text_of(listed, n) for n in range(1, len(source) + 1)] == source
    assert 'id="L7-L10" style="--first: 7; --count: 4"' in listed


def test_a_listing_says_what_it_is_and_leads_back(good_book, good_site):
    listed = good_site.html(GREET)
    text = (good_book.root / "snippets/greet.py").read_text()
    assert "<title>snippets/greet.py" in listed
    assert f"Code of the handbook, {len(text.splitlines())} lines" in listed
    assert 'href="../../downloads/snippets/greet.py" download>' in listed
    assert '<a href="../../docs/guide.html">Guide</a>.' in listed
    assert "Tests of the handbook, 3 lines" in good_site.html(TESTS)
    assert (good_site.site / "downloads/tests/snippets/test_greet.py").is_file()


def test_listings_are_in_neither_search_nor_contents(good_site):
    index = (good_site.site / "searchindex.js").read_text(encoding="utf-8")
    assert "docs/guide" in index and "source/" not in index
    menu = good_site.html("docs/guide").partition("<main")[0]
    assert ">Guide<" in re.sub(r"\s", "", menu) and "source/" not in menu


def test_code_without_a_record_leads_to_the_line_that_names_it(good_site):
    link = f'href="../{TESTS}.html#L1">tests/snippets/test_greet.py</a>'
    assert f'tested in <a class="reference internal" {link}' in (
        good_site.html("docs/guide")
    )
    assert "import hello" in text_of(good_site.html(TESTS), 1)


@pytest.fixture
def measured(new_book):
    """Return a book whose greeting was run by two tests, measured."""
    book = new_book()
    tests = "# one\n\n\ndef test_b():\n    pass\n\n\ndef test_a():\n    pass\n"
    book.write("tests/snippets/test_greet.py", tests)
    ids = [f"tests/snippets/test_greet.py::test_{one}" for one in "ab"]
    digest = hashlib.sha256((book.root / "snippets/greet.py").read_bytes()).hexdigest()
    rows = [{"first": 10, "last": 10, "tests": ids}]
    record = {"files": {"snippets/greet.py": {"digest": digest, "lines": rows}}}
    book.write(str(covered.KEPT), json.dumps({"schema": 1, **record}))
    book.page("guide", "# Guide\n\n```{snippet} snippets/greet.py#hello\n```\n")
    return book


def test_a_caption_leads_to_the_first_test_that_ran_its_code(measured):
    built = measured.build()
    assert built.code == 0, built.log
    link = f'href="../{TESTS}.html#L4-L5">2 tests in tests/snippets/test_greet.py</a>'
    assert link in built.html("docs/guide")
    assert text_of(built.html(TESTS), 4) == "def test_b():"


def test_a_test_that_moves_takes_the_link_along_in_the_next_build(measured):
    assert measured.build().code == 0
    test = measured.root / "tests/snippets/test_greet.py"
    test.write_text("# two\n" + test.read_text())
    built = measured.build()
    assert f"{TESTS}.html#L5-L6" in built.html("docs/guide")
    assert text_of(built.html(TESTS), 5) == "def test_b():"


def test_a_file_that_no_caption_names_any_more_loses_its_listing(measured):
    assert (measured.build().site / f"{GREET}.html").is_file()
    measured.write("docs/guide.md", "# Guide\n\nNothing.\n")
    assert not (measured.build().site / "source").exists()


def test_the_same_files_give_the_same_listings(measured):
    def pages():
        shutil.rmtree(measured.root / "_build", ignore_errors=True)
        site = measured.build().site / "source"
        return {path.name: path.read_bytes() for path in site.rglob("*.html")}

    first = pages()
    assert len(first) == 2 and pages() == first


def test_a_book_with_a_repository_of_its_own_keeps_its_listings(measured):
    config = measured.root / "book.yml"
    url = config.read_text().replace('url: ""', "url: https://github.com/o/book")
    config.write_text(
        url.replace("use_issues_button: false", "use_issues_button: true")
    )
    built = measured.build()
    assert built.code == 0, built.log
    assert 'id="L7-L10"' in built.html(GREET)


def test_a_region_without_code_is_an_error_and_no_caption(new_book):
    book = new_book()
    book.write("snippets/empty.py", "# region: a\n\n# endregion: a\n")
    book.page("guide", "# Guide\n\n```{snippet} snippets/empty.py#a\n```\n")
    built = book.build()
    assert built.code != 0
    assert built.lines("docs/guide.md:3: ERROR: snippet snippets/empty.py#a: there is")


@pytest.mark.parametrize("path", ["a.py", "a.yml", "a.sh", "a.unknown"])
@pytest.mark.parametrize("text", ["", "\n", "\n\nx: 1\n", "a < b && 'c", "\ttab\r\n"])
def test_every_line_of_every_file_has_its_anchor(path, text):
    lines = text.splitlines() or [""]
    shown = listing.code_of(path, text, [])
    found = re.findall(r'id="L(\d+)"', shown)
    assert found == [str(number) for number in range(1, len(lines) + 1)]
    assert [text_of(shown, n) for n in range(1, len(lines) + 1)] == lines


def test_spans_may_overlap_and_one_line_needs_no_second_anchor():
    shown = listing.code_of("a.py", "a\nb\nc\nd\n", {(1, 3), (2, 4), (2, 2)})
    assert re.findall(r'id="([^"]+)" style', shown) == ["L1-L3", "L2-L4"]
    ids = re.findall(r'id="([^"]+)"', shown)
    assert len(ids) == len(set(ids))


def test_the_lines_that_an_address_names_are_marked(browser, good_site):
    page = browser.new_page(viewport={"width": 390, "height": 700})
    page.goto((good_site.site / f"{GREET}.html").as_uri() + "#L7-L10")
    box = "document.getElementById('{}').getBoundingClientRect()"
    mark = page.evaluate(f"{box.format('L7-L10')}.toJSON()")
    first, last = (page.evaluate(f"{box.format(n)}.toJSON()") for n in ("L7", "L10"))
    assert mark["top"] <= first["top"] and last["bottom"] <= mark["bottom"]
    assert mark["height"] < last["bottom"] - first["top"] + 15
    color = "getComputedStyle(document.getElementById('{}')).backgroundColor"
    clear = "rgba(0, 0, 0, 0)"
    assert page.evaluate(color.format("L7-L10")) != clear
    page.goto((good_site.site / f"{GREET}.html").as_uri() + "#L3")
    assert page.evaluate(color.format("L3")) != clear
    assert page.evaluate(color.format("L7-L10")) == clear
    page.close()
