"""The guide to full fine-tuning runs as it stands, on the tiny base, in a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from snippets import data, masking, recipes, schedule, sft_recipe, tiny, world

model = tiny.resolve_model("tiny")


@pytest.fixture
def conversations(tmp_path):
    rows = [world.record_reply(t) for t in world.tickets()[:72]]
    return data.write_jsonl(tmp_path / "conversations.jsonl", [*rows, rows[0]])


def test_the_sft_guide_from_rows_to_a_model(conversations, tmp_path, capsys):
    folder = tmp_path
    # region: sft-guide
    rest, held = recipes.prepare(conversations, folder / "data", held_out=16)
    train, dev = recipes.prepare(rest, folder / "choose", held_out=8)
    masking.table(model, data.read_chat(train)[0]["messages"])

    settings = {"num_epochs": 1, "warmup_steps": 1}  # these four suit the tiny model
    settings |= {"max_seq_len": 128, "effective_batch_size": 16}
    rates = [2e-4, 1e-3, 5e-3]  # and these: begin with 5e-6, 1e-5, 2e-5
    found = sft_recipe.sweep(model, train, dev, folder / "sweep", rates, **settings)
    best = min(found, key=found.get)

    after = sft_recipe.train(
        model, rest, folder / "run", learning_rate=best, micro_batch_size=4, **settings
    )
    match = sft_recipe.check(model, after, data.read_chat(held))
    # endregion: sft-guide
    assert 0 <= match <= 1
    assert best > min(rates)
    assert (Path(after) / "model.safetensors").is_file()
    shown = capsys.readouterr().out
    assert "Training Hub, sft and osft" in shown
    assert "48 rows to train on, 8 held out" in shown
    assert "48 of 48 rows are kept" in shown
    assert "learning rate 0.001: perplexity" in shown
    assert "47 of 47 tensors changed" in shown
    assert "exact match 0.00 -> " in shown


def test_a_model_that_did_not_change_is_no_result(conversations):
    held = data.read_chat(conversations)[:2]
    with pytest.raises(AssertionError, match="training changed none of the"):
        sft_recipe.check(model, model, held, max_new_tokens=4)


def test_a_warm_up_longer_than_the_run_stops_before_anything_is_written(
    conversations, tmp_path
):
    with pytest.raises(schedule.ScheduleError, match="Lower warmup_steps"):
        sft_recipe.train(
            model, conversations, tmp_path / "run", learning_rate=1e-3, warmup_steps=100
        )
    assert not (tmp_path / "run").exists()
