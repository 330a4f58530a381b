"""A page that loads something from elsewhere is found, however it is written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verify.sphinx_ext.elsewhere import _RequestFinder, external_requests, requests_of

LOADING = [
    '<img alt="a > b" src="//x.org/a.png">',
    "<IMG\nSRC='https://x.org/a.png'>",
    "<img alt=it's src=//x.org/a.png>",
    '<script src="&#47;/x.org/a.js"></script>',
    "<img/src=//x.org/a.png>",
    '<link rel="x stylesheet" href="http://x.org/a.css">',
    '<video><source src="https://x.org/a.mp4"></video>',
]
HARMLESS = [
    '<a href="https://x.org">x</a> <link rel="canonical" href="https://x.org">',
    '<code>&lt;img src="https://x.org/a.png"&gt;</code>',
    '<img alt="https://x.org & more" src="a.png">',
    "<!-- <img src='https://x.org/a.png'> -->",
    "<script>'<img src=//x.org/a.png>'</script>",
]
PIECES = ["<img ", "<IMG\t", "<script", "<source\n", "<link rel=icon ", "<a ", "<"]
PIECES += ["</script>", "<!--", "-->", "src=", "href=", "'", '"', ">", " ", "/", "\n"]
PIECES += ["//x.org", "https://x.org", "&#47;", "&", "=", "a"]


@pytest.mark.parametrize("page", LOADING)
def test_what_loads_from_elsewhere_is_found(page):
    assert len(requests_of(f"<p>{page}</p>")) == 1


@pytest.mark.parametrize("page", HARMLESS)
def test_what_loads_nothing_from_elsewhere_is_left_alone(page):
    assert requests_of(f"<p>{page}</p>") == []


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
@example("<img '><script src=//x.org>")
def test_the_quick_look_overlooks_nothing_that_the_parser_finds(page):
    parser = _RequestFinder()
    parser.feed(page)
    assert requests_of(page) == parser.found


def test_a_request_is_named_with_its_file(tmp_path):
    (tmp_path / "a.html").write_text(LOADING[0], encoding="utf-8")
    (tmp_path / "b.css").write_text("@import url(https://x.org/a.css);")
    named = ["a.html: //x.org/a.png", "b.css: https://x.org/a.css"]
    assert external_requests(tmp_path) == named


def test_a_page_that_loads_from_elsewhere_fails_the_build(new_book):
    book = new_book()
    book.write("notebooks/catalog.yml", "notebooks: {}\n")
    book.page("guide", "# Guide\n\n<p><img alt='A dot' src='//x.org/a.png'></p>\n")
    built = book.build()
    assert built.code != 0
    assert "the site is not self-contained" in built.log
    assert "docs/guide.html: //x.org/a.png" in built.log
