"""Every number that the pages compute is the one that the formula gives today."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from snippets.memory import METHODS, Geometry, estimate, in_units, lora_parameters

DOCS = Path(__file__).parents[2] / "docs" / "explanation"
GIB = 1024**3


def described(**shape):
    config = SimpleNamespace(tie_word_embeddings=False, **shape)
    config.get_text_config = lambda: config
    return Geometry.from_config(config)


QWEN = described(
    model_type="qwen2",
    hidden_size=3584,
    intermediate_size=18944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    vocab_size=152064,
)
LLAMA_65B = described(
    model_type="llama",
    hidden_size=8192,
    intermediate_size=22016,
    num_hidden_layers=80,
    num_attention_heads=64,
    num_key_value_heads=64,
    vocab_size=32000,
)


def total(method="qlora", **changes):
    asked = {"r": 16, "micro_batch": 1, "seq_len": 2048} | changes
    return in_units(estimate(QWEN, method, **asked).total)


def page(name):
    """The text of a page, one space between words."""
    return re.sub(r"\s+", " ", (DOCS / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", list(estimate(QWEN, "qlora").parts()))
def test_the_table_of_three_ways_holds_the_formula(part):
    shown = []
    for method in METHODS:
        size = estimate(QWEN, method, r=16, seq_len=2048).parts()[part]
        shown.append(in_units(size) if size else "–")
    assert f"| {part} | {' | '.join(shown)} |" in page("memory.md")


def rungs():
    one, whole = total(seq_len=4096), total(micro_batch=16, seq_len=4096)
    half = total(seq_len=1024)
    return [
        f"16 rows of 4,096 tokens: {whole}. One: {one} |",
        f"chunks of 256 tokens: {total(seq_len=4096, logits_chunk=256)} |",
        f"one row of 2,048: {total(checkpointing=False)} instead of {total()} |",
        f"4,096: {one}. 2,048: {total()}. 1,024: {half} |",
        f"LoRA {total('lora')}, QLoRA {total()} |",
        f"full: {total('full')} to {total('full', optimizer_bytes=2)}. "
        f"QLoRA: {total()} to {total(optimizer_bytes=2)} |",
        f"16: {total()}. 8: {total(r=8)} |",
    ]


@pytest.mark.parametrize("sentence", rungs())
def test_every_rung_of_the_ladder_holds_the_formula(sentence):
    assert sentence in page("memory.md")


def sentences():
    qlora = estimate(QWEN, "qlora", r=16)
    other = QWEN.parameters - QWEN.linear_parameters
    weights, half_byte = qlora.weights / GIB, QWEN.parameters / 2 / GIB
    trained = qlora.adapters + qlora.gradients + qlora.optimizer
    rest = estimate(QWEN, "qlora", weights_dtype_bytes=4).weights - qlora.weights
    paper = estimate(LLAMA_65B, "qlora", r=64, seq_len=512).total
    return [
        f"{weights - 2 * other / GIB:.2f} GiB for {QWEN.linear_parameters / 1e9:.2f} B",
        f"and {2 * other / GIB:.2f} GiB for the other {other / 1e9:.2f} B: "
        f"{weights:.2f} GiB",
        f"{half_byte:.2f} GiB, {1 - half_byte / weights:.0%}".replace("%", " %"),
        f"has {QWEN.parameters / 1e9:.2f} B: {16 * QWEN.parameters / GIB:.1f} GiB",
        f"{lora_parameters(QWEN, 16) / 1e6:.1f} M parameters: a file of "
        f"{qlora.adapters / 1e6:.0f} MB",
        f"{trained / 2**20:.0f} MiB during training",
        f"{rest / GIB:.2f} GiB more for this model",
        f"the formula gives {in_units(paper)}",
    ]


@pytest.mark.parametrize("sentence", sentences())
def test_every_computed_number_in_the_text_of_memory(sentence):
    assert sentence in page("memory.md")


def test_full_training_of_seven_billion_does_not_fit_as_the_table_of_costs_says():
    assert "fit on one GPU of 80 GiB at this size" in page("which-method.md")
    assert not estimate(QWEN, "full").fits(80)
