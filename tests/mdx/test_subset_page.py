"""The page that explains the subset is itself a page of the subset."""

from __future__ import annotations

import re
from pathlib import Path

from verify.mdx import translate

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/mdx-subset.mdx"
SHOWN = '<div className="mdx-shown">'
EXAMPLE = re.compile(
    rf"^````mdx\n((?:(?!````\n)[^\n]*\n)*?)````\n\n{SHOWN}\n\n\1\n</div>\n\n</div>$",
    re.MULTILINE,
)


def test_each_example_stands_beside_the_same_text():
    text = PAGE.read_text(encoding="utf-8")
    assert len(EXAMPLE.findall(text)) == text.count(SHOWN) > 10


def test_the_page_and_its_examples_are_free_of_errors():
    text = PAGE.read_text(encoding="utf-8")
    assert [error.at(PAGE.name) for error in translate(text).errors] == []


def test_each_error_of_its_table_is_an_error_and_each_cure_is_none():
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("## What is an error") :]
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)`", table, re.MULTILINE)
    assert len(rows) == 3
    for wrong, right in rows:
        assert translate(f"{wrong}\n").errors, wrong
        assert translate(f"{right}\n").errors == (), right
