"""The OSFT guide runs as it stands, on the tiny base and in a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from snippets import data, osft, osft_recipe, recipes, sft_recipe, tiny, world
from snippets.backends import mini_trainer_osft

model = tiny.resolve_model("tiny")


@pytest.fixture
def conversations(tmp_path):
    rows = [world.record_reply(t) for t in world.tickets()[:64]]
    return data.write_jsonl(tmp_path / "conversations.jsonl", rows)


def test_the_osft_guide_from_rows_to_a_checked_model(conversations, tmp_path, capsys):
    folder = tmp_path
    # region: osft-guide
    train, held = recipes.prepare(conversations, folder / "data", held_out=16)
    plain = AutoModelForCausalLM.from_pretrained(model)
    print(osft.matched(plain, osft.target_patterns(model)))  # what will be protected

    tuned = osft_recipe.train(
        model,  # a folder or a hub name
        train,
        folder / "run",
        learning_rate=2e-3,  # find yours with a sweep
        unfreeze_rank_ratio=0.25,
        effective_batch_size=16,  # these three suit the tiny model
        warmup_steps=1,
        max_seq_len=128,
    )
    match = sft_recipe.check(model, tuned, data.read_chat(held))
    # endregion: osft-guide
    assert 0 <= match <= 1
    assert (Path(tuned) / "model.safetensors").is_file()
    shown = capsys.readouterr().out
    assert 'osft(backend="' in shown
    assert "'model.layers.0.self_attn.q_proj.weight'" in shown
    assert "28 matrices, at most" in shown and "tensors changed" in shown


def test_a_broken_promise_is_named():
    drifted = mini_trainer_osft.decompose(model, 0.25)
    for module in drifted.modules():
        if hasattr(module, "osft_S_high"):
            module.osft_S_high.data.mul_(1.01)  # what training must not do
    patterns = osft.target_patterns(model)
    with pytest.raises(AssertionError, match="more than 0.001 and"):
        osft_recipe.kept_its_word(model, drifted, patterns, 0.25)


def test_patterns_that_protect_nothing_stop_before_anything_is_written(
    conversations, tmp_path
):
    with pytest.raises(ValueError, match="matches no matrix"):
        osft_recipe.train(
            model,
            conversations,
            tmp_path / "run",
            learning_rate=1e-3,
            target_patterns=["attention"],
            warmup_steps=1,
            max_seq_len=128,
        )
    assert not (tmp_path / "run").exists()
