"""The figures of the OSFT pages say in words what they show."""

import pytest

from snippets.plots import spectra, trade_offs

RESULTS = {
    "SFT": [(1.1, 2.6), (1.2, 2.5)],
    "OSFT": [(1.3, 2.4), (1.4, 2.4)],
    "worse": [(1.5, 2.7), (1.4, 2.8)],
}


def test_a_method_that_is_beaten_in_both_is_not_on_the_front():
    assert trade_offs.front(RESULTS) == ["SFT", "OSFT"]
    assert trade_offs.front({"alone": [(1, 1)]}) == ["alone"]


def test_a_trade_off_says_every_mean_and_where_it_started():
    figure = trade_offs.trade_off(RESULTS, before=2.3)
    assert "SFT: perplexity of the right answers 1.15, general perplexity 2.55" in (
        figure.alt
    )
    assert "Before training, general perplexity 2.3." in figure.alt
    assert figure.html().count("<img") == 2


@pytest.mark.parametrize("results", [{}, {"SFT": [(0, 1)]}])
def test_a_trade_off_of_nothing_is_refused(results):
    with pytest.raises(ValueError, match="one to six methods"):
        trade_offs.trade_off(results)


def test_a_spectrum_says_how_much_is_protected():
    figure = spectra.spectrum([3.0, 1.0], 1, title="one matrix")
    assert "The first 1 are protected and hold 90.0%" in figure.alt
    with pytest.raises(ValueError, match="3 of 2 values"):
        spectra.spectrum([3.0, 1.0], 3)
