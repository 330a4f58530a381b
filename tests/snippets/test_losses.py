"""A loss is a number for a batch: what is divided by what, and who sees whom."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from snippets import data, losses, tiny, world
from snippets.backends import batches


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(tiny.BASE)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(tiny.BASE, dtype=torch.float32)


@pytest.fixture(scope="module")
def rows(tokenizer, tmp_path_factory):
    """Eight rows, short ones first."""
    tickets = [world.record_reply(t) for t in world.tickets()[:4]]
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    data.write_jsonl(file, [*world.facts()[:4], *tickets])
    settings = {"model_path": str(tiny.BASE), "data_path": str(file)}
    return batches.chat_rows(settings | {"max_seq_len": 128}, tokenizer)


def test_per_token_a_step_is_the_same_in_one_pass_and_in_four(model, rows, tokenizer):
    pad = tokenizer.pad_token_id
    once, gradient = losses.accumulated(model, rows, 1, pad, "token")
    loss, same = losses.accumulated(model, rows, 4, pad, "token")
    assert loss == pytest.approx(once, rel=1e-5)
    assert (same - gradient).norm() / gradient.norm() < 1e-4


def test_a_mean_of_means_is_another_step(model, rows, tokenizer):
    pad = tokenizer.pad_token_id
    _, gradient = losses.accumulated(model, rows, 1, pad, "token")
    loss, other = losses.accumulated(model, rows, 4, pad, "pass")
    assert (other - gradient).norm() / gradient.norm() > 0.02
    means = [losses.padded_loss(model, rows[n : n + 2], pad) for n in range(0, 8, 2)]
    assert loss == pytest.approx(sum(means) / 4, rel=1e-5)


def test_in_one_pass_both_ways_are_one(model, rows, tokenizer):
    pad = tokenizer.pad_token_id
    a, _ = losses.accumulated(model, rows, 1, pad, "token")
    b, _ = losses.accumulated(model, rows, 1, pad, "pass")
    assert a == pytest.approx(b, rel=1e-5)


@pytest.mark.parametrize(("passes", "per"), [(3, "token"), (2, "row")])
def test_what_cannot_be_shared_out_is_one_sentence(model, rows, passes, per):
    with pytest.raises(ValueError, match='8 rows in . passes, per ".*": choose'):
        losses.accumulated(model, rows, passes, 0, per)


def test_reset_positions_isolate_and_a_mask_of_ones_undoes_it(model, rows):
    leak = losses.isolation(model, rows[0]["input_ids"], rows[-1]["input_ids"])
    assert leak["reset"] < 1e-3
    assert leak["joined"] > 0.1
    assert leak["reset and mask"] > 0.1


def test_packed_rows_have_the_loss_of_padded_rows(model, rows, tokenizer):
    padded = losses.padded_loss(model, rows, tokenizer.pad_token_id)
    assert losses.packed_loss(model, rows) == pytest.approx(padded, abs=1e-4)


def test_the_loss_of_all_tokens_lies_between_those_of_its_parts(model, rows, tokenizer):
    trained, masked = losses.loss_of_parts(model, rows, tokenizer.pad_token_id)
    whole = [{**row, "labels": row["input_ids"]} for row in rows]
    everything = losses.padded_loss(model, whole, tokenizer.pad_token_id)
    assert min(trained, masked) < everything < max(trained, masked)


def test_neftune_adds_noise_within_its_bound_and_only_while_training(model, rows):
    ids = rows[0]["input_ids"]
    model.eval()
    noise = losses.neftune(model, ids, alpha=5)
    assert noise["bound"] == pytest.approx(5 / math.sqrt(len(ids) * 128))
    assert 0.9 * noise["bound"] < noise["largest"] <= noise["bound"] * 1.00001
    assert noise["evaluating"] == 0
    assert not model.training
    embed = model.get_input_embeddings()
    assert not embed._forward_hooks
    assert not hasattr(embed, "neftune_noise_alpha")
