"""A verdict is right for each way in which a value can arrive, and for none."""

import pytest

from verify.reference import judging
from verify.reference.calling import Result

COMMAND, HOLDER = "worker's command line", "TrainingArgs"


def result(arguments: dict, command: dict) -> Result:
    return Result({HOLDER: arguments, COMMAND: command})


PLAIN = result({"rate": "0.1"}, {"--rate": "0.1"})
ARRIVALS = {
    "forwarded": result({"rate": "0.7"}, {"--rate": "0.7"}),
    "renamed": result({"lr": "0.7", "rate": "0.1"}, {"--lr": "0.7", "--rate": "0.1"}),
    "honoured": result({"rate": "0.1"}, {"--rate": "0.1", "--half": "0.35"}),
    "ignored": PLAIN,
    "refused": Result({}, "TypeError: no such parameter"),
}


@pytest.mark.parametrize("status", ARRIVALS)
def test_each_way_to_arrive_has_its_status(status):
    assert judging.verdict("rate", "0.7", PLAIN, ARRIVALS[status])["status"] == status


def test_every_status_is_tried_here():
    assert set(ARRIVALS) == set(judging.STATUSES)


def test_a_renamed_parameter_says_its_new_name():
    found = judging.verdict("rate", "0.7", PLAIN, ARRIVALS["renamed"])
    assert found["as"] == ["lr"]


def test_a_field_that_no_worker_is_told_of_has_no_effect():
    held = result({"rate": "0.7"}, {"--rate": "0.1"})
    found = judging.verdict("rate", "0.7", PLAIN, held)
    assert found == {
        "status": "ignored",
        "arrives": {"TrainingArgs: rate": ["0.1", "0.7"]},
    }


def test_a_switch_on_the_command_line_counts_as_its_own_name():
    on = result({"rate": "0.1"}, {"--rate": "0.1", "--use-liger": "on"})
    assert judging.verdict("use_liger", "True", PLAIN, on)["status"] == "forwarded"


def test_a_call_that_reached_nothing_but_a_holder_is_no_answer():
    with pytest.raises(ValueError, match="rate: the call reached nothing but Training"):
        judging.verdict("rate", "0.7", PLAIN, Result({HOLDER: {"rate": "0.7"}}))


def attempt_of(function):
    """Return a stand-in for the call: what the function makes of the parameters."""
    return lambda parameters: function(**parameters)


def test_a_switch_whose_default_was_passed_is_tried_the_other_way():
    def call(save=True):
        return result({"save": str(save)}, {"--save": "on"} if save else {"--x": "1"})

    found = judging.observe(attempt_of(call), {}, "save", True, {})
    assert (found["status"], found["value"]) == ("forwarded", "False")


def test_a_switch_that_does_nothing_says_that_both_ways_were_tried():
    found = judging.observe(attempt_of(lambda save=True: PLAIN), {}, "save", True, {})
    assert (found["status"], found["value"]) == ("ignored", "True, False")


def test_a_parameter_that_is_needed_in_fact_keeps_the_error_without_it():
    def call(rate=None):
        missing = Result({}, "ValueError: rate is required")
        return result({"rate": rate}, {"--rate": rate}) if rate else missing

    found = judging.observe(attempt_of(call), {"rate": "0.1"}, "rate", "0.7", {})
    assert found["left out"] == "ValueError: rate is required"
    assert found["arrives"][f"{COMMAND}: --rate"] == ["0.1", "0.7"]
