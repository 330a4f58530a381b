"""What is said of a mask is true, and each library is asked for its own."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.version import Version
from transformers import AutoTokenizer

from snippets import masking, tiny
from snippets.plots.verdicts import verdicts

base = tiny.resolve_model("tiny")
TURNS = [
    {"role": "user", "content": "The printer is slow."},
    {"role": "assistant", "content": "Is it on?"},
    {"role": "user", "content": "Yes."},
    {"role": "assistant", "content": "I have opened a ticket."},
]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(base)


@pytest.fixture(scope="module")
def good():
    return masking.transformers_template(base, TURNS)


def without(row, *places):
    """Return a row in which the tokens at these places are masked too."""
    labels = [-100 if n in places else label for n, label in enumerate(row.labels)]
    return masking.Row(row.input_ids, labels)


def ends(row, tokenizer):
    """Return where the turns of the assistant end, by their masks."""
    stop = tokenizer.eos_token_id
    return [n for n, label in enumerate(row.labels) if label == stop]


def test_a_mask_of_answers_and_their_ends_is_good(tokenizer, good):
    verdict = masking.judge(tokenizer, TURNS, good)
    assert verdict.good
    assert (verdict.learned, verdict.ends, verdict.others) == (2, 2, 0)


def test_an_end_of_turn_that_is_masked_is_missed(tokenizer, good):
    both = without(good, *ends(good, tokenizer))
    assert str(masking.judge(tokenizer, TURNS, both)) == "no end of turn"


def test_an_answer_that_is_masked_in_part_is_not_learned(tokenizer, good):
    last = ends(good, tokenizer)[-1]
    verdict = masking.judge(tokenizer, TURNS, without(good, last - 1))
    assert str(verdict) == "1 of 2 answers"


def test_a_mask_that_trains_nothing_is_named(tokenizer, good):
    nothing = masking.Row(good.input_ids, [-100] * len(good.labels))
    assert str(masking.judge(tokenizer, TURNS, nothing)) == "no answer trained"


def test_trained_prompts_are_counted(tokenizer, good):
    whole = masking.Row(good.input_ids, list(good.input_ids))
    verdict = masking.judge(tokenizer, TURNS, whole)
    assert verdict.others == len(good.labels) - good.trained
    assert str(verdict) == f"{verdict.others} other tokens"


def test_an_answer_that_the_template_changed_is_an_error(tokenizer, good):
    other = [*TURNS[:-1], {"role": "assistant", "content": "Closed."}]
    with pytest.raises(ValueError, match='"Closed." does not stand in the rendered'):
        masking.judge(tokenizer, other, good)


def test_each_library_is_asked_and_a_refusal_is_an_answer(tmp_path, tokenizer, capsys):
    bare = AutoTokenizer.from_pretrained(base)
    marks = ("{% generation %}", "{% endgeneration %}")
    for mark in marks:
        bare.chat_template = bare.chat_template.replace(mark, "")
    bare.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    if Version(version("trl")) < Version("1.15"):  # refused with no error of its own
        with pytest.raises(RuntimeError, match="no assistant tokens"):
            masking.table(tmp_path, TURNS)
        return
    found = masking.table(tmp_path, TURNS)
    assert list(found) == list(masking.PATHS)
    assert found["TRL, assistant_only_loss"] == "refused"
    assert str(found["Training Hub, sft and osft"]) == "good"
    assert "refused: The chat template is not training-compatible" in (
        capsys.readouterr().out
    )


def test_the_table_of_verdicts_says_in_words_what_it_colors():
    figure = verdicts({"a <b>": {"x": "good", "y": "no end of turn"}}, title="Masks")
    assert figure.alt == "Masks. a <b>: x good, y no end of turn."
    assert '<td class="good">good</td>' in figure.body
    assert '<td class="bad">no end of turn</td>' in figure.body
    assert "a &lt;b&gt;" in figure.body
