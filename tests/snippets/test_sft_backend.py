"""What ``sft`` trains on, through Training Hub and our backend for it."""

import pytest
from training_hub import AlgorithmRegistry, sft
from transformers import AutoTokenizer

from snippets import backends, data, tiny, world
from snippets.backends import batches, run_folder

backends.register()
BASE = str(tiny.BASE)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(BASE)


@pytest.fixture
def uneven(tmp_path):
    """Sixteen rows, whose answers are of two lengths."""
    tickets = [world.record_reply(t) for t in world.tickets()[:8]]
    return data.write_jsonl(tmp_path / "rows.jsonl", [*world.facts()[:8], *tickets])


def test_a_row_with_unmask_is_trained_on_the_words_of_the_user_too(tmp_path, tokenizer):
    row = world.record_reply(world.tickets()[0])
    question, answer = (turn["content"] for turn in row["messages"])
    marked = data.write_jsonl(tmp_path / "rows.jsonl", [row, row | {"unmask": True}])
    settings = {"model_path": BASE, "data_path": str(marked)}
    plain, unmasked = (
        tokenizer.decode([label for label in found["labels"] if label != -100])
        for found in batches.chat_rows(settings, tokenizer)
    )
    assert plain == f"{answer}<|im_end|>"
    assert unmasked == f"{question}{answer}<|im_end|>"


def test_the_loss_of_a_run_does_not_depend_on_accumulation(tmp_path, uneven):
    found = []
    for passes in (1, 4):
        folder = tmp_path / f"passes-{passes}"
        sft(
            model_path=BASE,
            data_path=str(uneven),
            ckpt_output_dir=str(folder),
            backend="transformers",
            num_epochs=2,
            effective_batch_size=16,
            gradient_accumulation_steps=passes,
            learning_rate=1e-3,
            max_seq_len=128,
            random_seed=0,
        )
        found.append([line["loss"] for line in run_folder.read_log(folder)])
    assert len(found[0]) == 2
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_backend_that_a_download_does_not_carry_is_passed_over(monkeypatch):
    kept = {name: dict(known) for name, known in AlgorithmRegistry._backends.items()}
    monkeypatch.setattr(AlgorithmRegistry, "_backends", kept)
    kept["sft"].pop("transformers"), kept["osft"].pop("mini-trainer-inprocess")
    here = backends._installed
    monkeypatch.setattr(backends, "_installed", lambda m: "osft" not in m and here(m))
    backends.register()
    assert "transformers" in kept["sft"]
    assert "mini-trainer-inprocess" not in kept["osft"]
