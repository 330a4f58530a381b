"""Numbers read the same everywhere on the site."""

import pytest

from verify.sphinx_ext import words


@pytest.mark.parametrize(
    ("raw", "spec", "text"),
    [
        (0.98765, "", "0.9877"),
        (0.98765, ".2f", "0.99"),
        (1234567, "", "1,234,567"),
        (True, "", "true"),
        ([1, 2.5], "", "1, 2.5"),
        (0.125, ".1%", "12.5%"),
        (123456.7, "", "123,457"),
        (None, "", "none"),
    ],
)
def test_a_value_is_short_and_exact_enough(raw, spec, text):
    assert words.value(raw, spec) == text


@pytest.mark.parametrize("raw", [True, "NF4"])
def test_a_number_format_on_what_is_no_number_is_refused(raw):
    with pytest.raises(ValueError, match="does not fit"):
        words.value(raw, ".2f")


@pytest.mark.parametrize(
    ("expect", "text"),
    [
        ({"min": 0.95}, "≥ 0.95"),
        ({"max": 1.3}, "≤ 1.3"),
        ({"min": 1, "max": 2}, "1 to 2"),
        ({"equals": True}, "= true"),
        (None, "—"),
    ],
)
def test_a_limit_reads_as_mathematics(expect, text):
    assert words.limit(expect) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (93.4, "93 s"), (125, "2 min 5 s"), (180, "3 min")],
)
def test_a_duration_is_in_seconds_or_minutes(seconds, text):
    assert words.duration(seconds) == text


def test_a_long_list_keeps_its_ends():
    assert words.shortened(list(range(20))) == "0, 1, 2, …, 19 (20 values)"
