"""Masks beside each other and sweeps say their numbers in words, too."""

import re

import pytest
from transformers import AutoTokenizer

from snippets import tiny
from snippets.plots import side_by_side, sweeps


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(tiny.BASE)


def test_each_mask_has_its_column_its_count_and_its_words(tokenizer):
    ids = tokenizer.encode("The billing team.<|im_end|>")
    masked = [-100, *ids[1:]]
    rows = {"a <b>": (ids, masked), "all": (ids, ids)}
    figure = side_by_side.side_by_side(tokenizer, rows)
    html = figure.html()
    assert html.count("<div><h4>") == 2
    assert "<h4>a &lt;b&gt;</h4>" in html
    assert f"{len(ids) - 1} of {len(ids)} tokens are trained" in html
    assert "all: " in figure.alt
    assert "[ The billing team.<|im_end|> ]" in re.sub(r"([\[\]])", r" \1 ", figure.alt)


def test_a_long_row_is_cut_and_the_rest_is_counted(tokenizer):
    ids = tokenizer.encode("The billing team. " * 40)
    figure = side_by_side.side_by_side(tokenizer, {"long": (ids, ids)}, limit=50)
    assert f"and {len(ids) - 50} more tokens" in figure.html()
    assert f"{len(ids)} of {len(ids)} tokens are trained" in figure.alt


def test_a_sweep_says_every_value_and_draws_for_both_themes():
    figure = sweeps.sweep({"match": {1e-3: 1.0, 1e-4: 0.25}, "facts": {1e-3: 0.0}})
    assert "match 0.25 at 0.0001, 1 at 0.001; facts 0 at 0.001" in figure.alt
    assert figure.html().count("<img") == 2
    assert len(figure.html()) < 150 * 1024


def test_one_value_is_a_sweep_too_and_none_is_an_error():
    assert "1 at 0.1" in sweeps.sweep({"match": {0.1: 1.0}}).alt
    with pytest.raises(ValueError, match="above 0"):
        sweeps.sweep({"match": {}})
    with pytest.raises(ValueError, match="above 0"):
        sweeps.sweep({"match": {0.0: 1.0, 0.1: 0.5}})
