"""The guides run as they stand, on the tiny base and in a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from snippets import data, merge, recipes, schedule, tiny, world

model = tiny.resolve_model("tiny")


@pytest.fixture
def conversations(tmp_path):
    rows = [world.record_reply(t) for t in world.tickets()[:64]]
    return data.write_jsonl(tmp_path / "conversations.jsonl", [*rows, rows[0]])


@pytest.fixture
def corpus(tmp_path):
    files = list(world.manual().items())[:3]
    rows = [{"file": name, "document": text[:2000]} for name, text in files]
    return data.write_jsonl(tmp_path / "corpus.jsonl", rows)


@pytest.fixture
def everyday(tmp_path):
    rows = [{"document": text} for text in world.prose(60, seed=tiny.GENERAL_SEED)]
    return data.write_jsonl(tmp_path / "everyday.jsonl", rows)


@pytest.fixture
def everyday_held(tmp_path):
    rows = [{"document": text} for text in world.prose(4, seed=tiny.GENERAL_EVAL_SEED)]
    return data.write_jsonl(tmp_path / "everyday-held.jsonl", rows)


def test_what_fits_is_told_from_the_configuration_alone(capsys):
    assert recipes.fits(model, gib=80) == ["full", "lora", "qlora"]
    assert recipes.fits(model, gib=1) == []
    assert "qlora: " in capsys.readouterr().out


def test_the_qlora_guide_from_rows_to_a_merged_model(conversations, tmp_path, capsys):
    folder = tmp_path
    # region: qlora-guide
    train, held = recipes.prepare(conversations, folder / "data", held_out=16)
    result = recipes.qlora(
        model,  # a folder or a hub name
        train,
        folder / "run",
        learning_rate=5e-3,  # these five suit the tiny model: leave them out for 7 B
        num_epochs=2,
        warmup_steps=2,
        max_seq_len=128,
        lora_r=8,
    )
    match = recipes.check(result, data.read_chat(held), learning_rate=5e-3)
    print(f"exact match on held-out rows: {match:.2f}")

    merged = merge.merge(model, folder / "run", "dequantize")
    merge.save(merged, result["tokenizer"], folder / "merged")
    # endregion: qlora-guide
    assert (folder / "run" / "adapter_model.safetensors").is_file()
    assert (folder / "merged" / "model.safetensors").is_file()

    shown = capsys.readouterr().out
    assert "48 rows to train on, 16 held out\n1 duplicates dropped" in shown
    assert 'lora_sft(backend="' in shown
    assert "48 of 48 rows are kept" in shown
    assert "carry no loss; row 1 is trained on this:\ndevice: " in shown
    assert "6 steps of 16 samples" in shown
    assert "highest learning rate 0.005" in shown
    assert "resuming" not in shown


def test_a_warm_up_longer_than_the_run_stops_before_anything_is_written(
    conversations, tmp_path
):
    with pytest.raises(schedule.ScheduleError, match="Lower warmup_steps"):
        recipes.qlora(model, conversations, tmp_path / "run", warmup_steps=100)
    assert not (tmp_path / "run").exists()


def test_a_setting_that_does_not_exist_is_refused(conversations, tmp_path):
    with pytest.raises(TypeError, match="warmup_ratio"):
        recipes.qlora(model, conversations, tmp_path / "run", warmup_ratio=0.1)


def test_the_cpt_guide_from_documents_to_a_model_that_answers(
    corpus, everyday, everyday_held, conversations, tmp_path, capsys
):
    folder = tmp_path
    # region: cpt-guide
    train, held = recipes.prepare_documents(corpus, folder / "data", held_out_files=1)
    candidates = []
    for share in (0, 0.05, 0.25):
        candidates.append(
            recipes.cpt(
                model,
                recipes.add_replay(train, everyday, share),
                folder / f"replay-{share * 100:g}",
                learning_rate=1e-3,  # find yours with a sweep
                block_size=64,  # these three suit the tiny model
                effective_batch_size=16,
                warmup_steps=1,
            )
        )
    best = recipes.pick(model, candidates, domain=held, general=everyday_held)
    answering = recipes.then_sft(
        best,
        conversations,
        folder / "then-sft",
        learning_rate=1e-3,
        max_seq_len=128,
        warmup_steps=1,
    )
    # endregion: cpt-guide
    assert best in candidates
    assert (Path(answering) / "model.safetensors").is_file()
    shown = capsys.readouterr().out
    assert "2 documents to train on, 1 held out" in shown
    assert "1,024 tokens per step" in shown


def test_no_candidate_is_picked_when_all_forgot_too_much(everyday_held):
    with pytest.raises(ValueError, match="every candidate forgot too much"):
        recipes.pick(model, [model], everyday_held, everyday_held, limit=0.5)
