"""Merging keeps what was trained; replay mixes what it says."""

import pytest
import torch
from training_hub import lora_sft

from snippets import backends, data, merge, proof, replay, tiny, world

BASE = str(tiny.BASE)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    rows = [world.record_reply(t) for t in world.tickets()[:64]]
    file = data.write_jsonl(folder / "rows.jsonl", rows)
    backends.register()
    return lora_sft(
        model_path=BASE, data_path=str(file), ckpt_output_dir=str(folder / "run"),
        backend="peft", load_in_4bit=True, num_epochs=4, effective_batch_size=16,
        learning_rate=5e-3, max_seq_len=128, seed=0,
    )["output"]  # fmt: skip


def test_the_dequantized_merge_is_the_closest_to_what_was_trained(adapter):
    ids = torch.arange(3, 67).view(2, 32)
    trained = merge.logits(merge.load_adapter(BASE, adapter), ids)
    distance = {}
    for how in ("dequantize", "requantize", "original"):
        merged = merge.logits(merge.merge(BASE, adapter, how), ids)
        distance[how] = (merged - trained).abs().mean().item()
    assert distance["dequantize"] < 0.05
    assert distance["dequantize"] < 0.3 * distance["requantize"]
    assert distance["dequantize"] < 0.3 * distance["original"]
    with pytest.raises(AssertionError):
        proof.adapter_equals_merged(trained, trained + 1, tolerance=0.05)


def test_a_merge_after_an_evaluation_is_still_right(adapter):
    """The repack of bitsandbytes on AVX512-BF16 CPUs would make it garbage."""
    ids = torch.arange(3, 67).view(2, 32)
    model = merge.load_adapter(BASE, adapter)
    trained = merge.logits(model, ids)  # an evaluation forward, then merge in place
    merged = merge.logits(model.merge_and_unload(), ids)
    assert merge.agreement(trained, merged) > 0.7


def test_a_merged_model_is_saved_in_bfloat16_and_moved_into_place(adapter, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    model = merge.merge(BASE, adapter, "dequantize")
    out = merge.save(model, tokenizer, tmp_path / "merged")
    assert AutoModelForCausalLM.from_pretrained(out).dtype == torch.bfloat16
    assert not list(tmp_path.glob("*.part"))


def test_the_share_of_replay_is_a_share_of_the_result():
    domain = [f"domain {i:04d}" for i in range(300)]
    mixed = replay.mix(domain, [f"replay {i:04d}" for i in range(300)], share=0.25)
    old = sum(len(t) for t in mixed if t.startswith("replay"))
    assert old / sum(map(len, mixed)) == pytest.approx(0.25, abs=0.01)
    assert sorted(t for t in mixed if t.startswith("domain")) == domain
    assert sorted(replay.mix(domain, [], share=0)) == domain


def test_too_little_replay_and_a_bad_share_are_errors():
    with pytest.raises(ValueError, match="needs 9 characters"):
        replay.mix(["x" * 9], ["y"], share=0.5)
    with pytest.raises(ValueError, match=r"not in \[0, 1\)"):
        replay.mix(["x"], ["y"], share=1)


def test_interleaving_gives_each_kind_half_of_the_characters():
    mixed = replay.interleave(["a" * 40] * 50, ["b" * 10] * 500)
    text = "".join(mixed)
    assert text.count("a") / len(text) == pytest.approx(0.5, abs=0.02)
