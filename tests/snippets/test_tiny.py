"""The committed base is the published one and knows what the notebooks rely on."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from snippets import evaluate, tiny, world


@pytest.fixture(scope="module")
def base():
    model = AutoModelForCausalLM.from_pretrained(tiny.BASE, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(tiny.BASE)


def test_the_committed_base_has_the_published_digest():
    published = json.loads((tiny.BASE / "digest.json").read_text())["sha256"]
    assert tiny.file_digest(tiny.BASE / "model.safetensors") == published
    assert tiny.resolve_model("tiny") == str(tiny.BASE)
    assert tiny.resolve_model("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"


def test_a_changed_base_is_refused(tmp_path, monkeypatch):
    shutil.copytree(tiny.BASE, tmp_path / "base")
    with open(tmp_path / "base" / "model.safetensors", "ab") as file:
        file.write(b"x")
    monkeypatch.setattr(tiny, "BASE", tmp_path / "base")
    with pytest.raises(ValueError, match="not the published base checkpoint"):
        tiny.resolve_model("tiny")


def test_the_base_is_small_enough_to_ship():
    assert (tiny.BASE / "model.safetensors").stat().st_size <= 3 * 2**20


def test_the_base_answers_tickets_politely_and_not_with_a_record(base):
    held = world.tickets()[tiny.HELD_OUT_TICKETS][:48]
    polite = evaluate.exact_match(*base, [world.plain_reply(t) for t in held])
    taught = evaluate.exact_match(*base, [world.record_reply(t) for t in held])
    assert polite >= 0.95 and taught == 0.0


def test_the_base_knows_its_facts_but_no_port(base):
    assert evaluate.exact_match(*base, world.facts(phrasing=(0,))) >= 0.9
    assert evaluate.exact_match(*base, world.facts(properties=("port",))) == 0.0


def test_pad_and_end_of_turn_are_different_tokens(base):
    tokenizer = base[1]
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    ids = tokenizer.apply_chat_template(
        world.facts()[0]["messages"], tokenize=True, return_dict=False
    )
    assert ids.count(tokenizer.eos_token_id) == 2


def test_a_base_can_be_built_again_bit_for_bit(tmp_path):
    for name in ("a", "b"):
        tiny.build_base(tmp_path / name, steps=2)
    a, b = (tiny.file_digest(tmp_path / n / "model.safetensors") for n in "ab")
    assert a == b
