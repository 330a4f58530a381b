"""Every number that the pages compute is the one that the formula gives today."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from snippets.memory import (
    METHODS,
    Geometry,
    estimate,
    in_units,
    lora_parameters,
    plan,
    shapes,
)

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


def planned(method="qlora", **changes):
    return plan.plan(shapes.read("Qwen2.5-7B"), method=method, **changes)


def saved(before, after, method="qlora"):
    gone = planned(**{"method": method} | before).total
    return in_units(gone - planned(**{"method": method} | after).total)


def rungs():
    eight = {"optimizer": "adamw-8bit"}
    sharded = planned("full", gpus=8, sharding="fsdp").total
    return [
        f"| 4 rows of 2,048 to 1: {saved({'micro_batch': 4}, {})} |",
        f"| {saved({}, {'loss_chunk': 256})} | logits are computed twice",
        f"| {saved({'checkpointing': False}, {})} | about one more forward pass |",
        f"| 2,048 to 1,024: {saved({}, {'seq_len': 1024})} |",
        f"| from LoRA: {saved({'method': 'lora'}, {})} |",
        f"| all weights: {saved({}, eight, 'full')}; QLoRA: {saved({}, eight)} |",
        f"MiB, r 16 to 8 | {saved({}, {'r': 8})} |",
        f"all weights, 8 GPUs: {in_units(planned('full').total)} to "
        f"{in_units(sharded)} each",
    ]


@pytest.mark.parametrize("sentence", rungs())
def test_every_rung_of_the_ladder_holds_the_plan(sentence):
    assert sentence in page("../how-to/fit-a-gpu.mdx")


def plans():
    full, osft = planned("full"), planned("osft")
    sharded = planned("full", gpus=8, sharding="fsdp").total
    return [
        f"{osft.weights / GIB:.1f} GiB of weights instead of {full.weights / GIB:.1f}, "
        f"and {osft.states / GIB:.1f} GiB of states in all instead of "
        f"{full.states / GIB:.1f}",
        f"takes {in_units(full.total)} on one GPU, and {in_units(sharded)} on each",
        f"keeps {plan.OPTIMIZERS['adamw-8bit']:.2f} bytes for its two means",
        f"{plan.LOSS_BYTES} bytes a logit",
        f"with tanh, takes {plan.SOFTCAP_BYTES} more",
        f"{1 - plan.MODELLED[0]:.0%} less to {plan.MODELLED[1] - 1:.0%} more".replace(
            "%", " %"
        ),
    ]


@pytest.mark.parametrize("sentence", plans())
def test_every_number_of_the_plan_in_the_text_of_memory(sentence):
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
