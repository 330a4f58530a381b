"""The numbers mean what their names say."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from snippets import evaluate, tiny, world


@pytest.fixture(scope="module")
def base():
    model = AutoModelForCausalLM.from_pretrained(tiny.BASE, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(tiny.BASE)


def test_a_model_without_knowledge_has_the_perplexity_of_its_vocabulary(base):
    model, tokenizer = base
    flat = AutoModelForCausalLM.from_config(model.config)
    with torch.no_grad():
        flat.get_input_embeddings().weight.zero_()
    score = evaluate.score(flat, tokenizer, world.prose(3, seed=1))
    assert score.perplexity == pytest.approx(model.config.vocab_size, rel=1e-3)


def test_perplexity_is_the_exponential_of_transformers_own_loss(base):
    model, tokenizer = base
    text = world.prose(1, seed=1)[0]
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
    loss = model(input_ids=ids, labels=ids).loss.item()
    got = evaluate.score(model, tokenizer, [text], window=1024)
    assert got.perplexity == pytest.approx(math.exp(loss), rel=1e-3)


def test_padding_and_order_do_not_change_the_score(base):
    texts = world.prose(7, seed=1)
    together = evaluate.score(*base, texts, batch_size=7)
    alone = sum(evaluate.score(*base, [t], batch_size=1).nats for t in texts)
    assert together.nats == pytest.approx(alone, rel=1e-3)
    assert together.nats == pytest.approx(
        evaluate.score(*base, texts[::-1]).nats, rel=1e-3
    )


def test_bits_per_byte_counts_the_bytes_that_were_predicted():
    score = evaluate.TextScore(nats=8 * math.log(2), tokens=4, bytes=16)
    assert score.bits_per_byte == pytest.approx(0.5)
    assert score.perplexity == pytest.approx(4.0)


def test_exact_match_restores_training_mode_and_padding_side(base):
    model, tokenizer = base
    model.train()
    side = tokenizer.padding_side
    questions = world.facts(phrasing=(0,))[:9]
    batched = [a.generated for a in evaluate.answers(model, tokenizer, questions)]
    single = [
        a.generated for a in evaluate.answers(model, tokenizer, questions, batch_size=1)
    ]
    assert model.training and tokenizer.padding_side == side
    assert batched == single
    model.eval()


def talk(*texts, roles=("user", "assistant")):
    turns = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return {"messages": turns}


def test_the_last_answer_is_asked_for_whatever_stands_after_it():
    turns, answer = evaluate.last_answer(talk("a", "b", "c", "d", "thanks"))
    assert [turn["content"] for turn in turns] == ["a", "b", "c"]
    assert answer == "d"


@pytest.mark.parametrize("messages", [talk("a"), talk("a", roles=("assistant", "x"))])
def test_a_conversation_without_an_answer_cannot_be_asked(messages):
    with pytest.raises(ValueError, match="begin it with a turn of the user"):
        evaluate.last_answer(messages)


def test_a_known_answer_is_more_probable_than_an_unknown_one(base):
    tickets = world.tickets()[tiny.HELD_OUT_TICKETS][:3]
    known, unknown = (
        evaluate.score_answers(*base, [reply(ticket) for ticket in tickets])
        for reply in (world.plain_reply, world.record_reply)
    )
    assert known.perplexity < 2 < unknown.perplexity
    answers = [world.plain_reply(t)["messages"][-1]["content"] for t in tickets]
    assert known.tokens == sum(len(ids) for ids in base[1](answers)["input_ids"])


def test_of_a_long_conversation_the_end_is_scored(base):
    row = world.plain_reply(world.tickets()[3600])
    assert evaluate.score_answers(*base, [row], longest=5).tokens == 4


def test_a_model_stops_at_what_its_generation_config_names(base):
    model, tokenizer = base
    question = [world.facts(phrasing=(0,))[0]]
    whole = evaluate.answers(model, tokenizer, question)[0].generated
    before = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = [2, tokenizer.encode(whole)[2]]
    short = evaluate.answers(model, tokenizer, question)[0].generated
    model.generation_config.eos_token_id = before
    assert whole.startswith(short) and short != whole
