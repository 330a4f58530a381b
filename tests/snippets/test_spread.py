"""Intervals and comparisons are those of the books, and nonsense is refused."""

from __future__ import annotations

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from snippets import data, evaluate, spread, tiny, world


def test_wilson_of_all_right_answers_is_no_single_point():
    low, high = spread.interval(96, 96)
    assert (low, high) == (pytest.approx(96 / (96 + 1.96**2)), 1.0)


def test_wilson_of_half_is_symmetric_and_as_the_formula_gives_by_hand():
    low, high = spread.interval(50, 100)
    assert low + high == pytest.approx(1)
    assert low == pytest.approx(0.40383, abs=1e-5)


@pytest.mark.parametrize(("right", "asked"), [(0, 0), (3, 2), (-1, 2)])
def test_a_score_of_nothing_is_refused(right, asked):
    with pytest.raises(ValueError, match="is no score"):
        spread.interval(right, asked)


def test_only_changed_answers_count():
    before = [True] * 90 + [False] * 10
    after = [True] * 90 + [True] * 8 + [False] * 2
    change = spread.paired(before, after)
    assert (change.gained, change.lost) == (8, 0)
    assert change.chance == pytest.approx(2 / 2**8)


def test_as_many_gains_as_losses_prove_nothing():
    assert spread.paired([True, False], [False, True]).chance == 1
    assert spread.paired([True], [True]).chance == 1


def test_answers_to_other_questions_cannot_be_paired():
    with pytest.raises(ValueError, match="2 and 1 answers cannot be paired"):
        spread.paired([True, False], [True])


def test_two_seeds_are_too_few():
    with pytest.raises(ValueError, match="2 seeds show no spread"):
        spread.seeds([0.9, 1.0])
    assert spread.seeds([0.9, 1.0, 0.95]) == "0.950 ± 0.050 over 3 seeds, worst 0.900"


def test_the_guide_on_the_tiny_base(tmp_path, capsys):
    folder = tiny.resolve_model("tiny")
    tickets = world.tickets()[tiny.HELD_OUT_TICKETS][:16]
    rows = [world.plain_reply(t) for t in tickets]
    held = data.write_jsonl(tmp_path / "held.jsonl", rows)
    everyday = world.prose(4, seed=tiny.GENERAL_EVAL_SEED)
    # region: evaluate-guide
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = data.read_chat(held)

    answers = evaluate.answers(model, tokenizer, asked, max_new_tokens=48)
    right = sum(answer.correct for answer in answers)
    low, high = spread.interval(right, len(answers))
    print(f"exact match {right / len(answers):.2f}, between {low:.2f} and {high:.2f}")

    given = evaluate.score_answers(model, tokenizer, asked)
    print(f"perplexity of the right answers {given.perplexity:.2f}")

    kept = evaluate.score(model, tokenizer, everyday)
    print(f"everyday text: {kept.perplexity:.2f}, {kept.bits_per_byte:.2f} bits a byte")
    # endregion: evaluate-guide
    assert right == 16 and low > 0.75
    assert given.perplexity < 1.5 and kept.perplexity < 3
    assert "exact match 1.00, between 0.81 and 1.00" in capsys.readouterr().out
