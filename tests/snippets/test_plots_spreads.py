"""A sweep over seeds says what is best, and shows every seed."""

import base64
import re

import pytest

from snippets.plots import spreads

CURVES = {
    "all weights": {1e-3: [0.30, 0.32], 3e-3: [0.24, 0.26], 1e-2: [0.35, 0.33]},
    "LoRA": {1e-3: [2.2, 2.3], 3e-3: [0.41, 0.4], 1e-2: [0.2, 0.5]},
}


def images(figure):
    """Return the light and the dark image of a figure as SVG."""
    found = re.findall(r"base64,([A-Za-z0-9+/=]+)", figure.html())
    return [base64.b64decode(image).decode() for image in found]


def test_the_best_setting_is_that_of_the_lowest_mean_not_of_one_lucky_seed():
    assert spreads.best(CURVES["all weights"]) == 3e-3
    assert spreads.best({1.0: [0.3, 0.3], 2.0: [0.1, 0.9]}) == 1.0


def test_nothing_tried_has_no_best_setting():
    with pytest.raises(ValueError, match="no setting was tried"):
        spreads.best({})


def test_a_spread_says_its_numbers_in_words():
    figure = spreads.spread(CURVES, title="Two methods")
    assert figure.alt.startswith("Two methods, held-out loss: all weights, mean of ")
    assert "0.25 at 0.003" in figure.alt
    assert "best at 0.003; LoRA" in figure.alt
    assert "best at 0.01." in figure.alt


def test_a_spread_is_painted_for_light_and_dark_with_a_dot_for_every_seed():
    light, dark = images(spreads.spread(CURVES))
    assert light != dark
    one = images(spreads.spread({"a": {1.0: [0.3], 2.0: [0.4]}}))[0]
    two = images(spreads.spread({"a": {1.0: [0.3, 0.5], 2.0: [0.4, 0.6]}}))[0]
    assert two.count("<use") > one.count("<use")


@pytest.mark.parametrize(
    "curves", [{}, {"a": {}}, {"a": {0.0: [1.0]}}, {"a": {1: [0]}}]
)
def test_what_a_logarithm_cannot_show_is_refused(curves):
    with pytest.raises(ValueError, match="above 0"):
        spreads.spread(curves)
