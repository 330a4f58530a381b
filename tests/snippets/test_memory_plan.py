"""The plan agrees with hand calculation, with real tensors and with torch's peaks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snippets.memory import FAMILIES, Geometry, GeometryError, plan, shapes

ROOT = Path(__file__).parents[2]
GIB = 1024**3
# As the model pages on huggingface.co state them (safetensors, "Model size").
PUBLISHED = {
    "Qwen2.5-0.5B": 494_032_768,
    "Qwen2.5-1.5B": 1_543_714_304,
    "Qwen2.5-3B": 3_085_938_688,
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen2.5-14B": 14_770_033_664,
    "Qwen2.5-32B": 32_763_876_352,
    "Qwen2.5-72B": 72_706_203_648,
    "Qwen3-0.6B": 596_049_920,
    "Qwen3-1.7B": 1_720_574_976,
    "Qwen3-4B": 4_022_468_096,
    "Qwen3-8B": 8_190_735_360,
    "Qwen3-14B": 14_768_307_200,
    "Llama-3.2-1B": 1_235_814_400,
    "Llama-3.2-3B": 3_212_749_824,
    "Llama-3.1-8B": 8_030_261_248,
    "Llama-3.1-70B": 70_553_706_496,
    "LLaMA-65B": 65_285_660_672,
    "Mistral-7B-v0.3": 7_248_023_552,
    "granite-3.1-8b": 8_170_848_256,
    "gemma-2-9b": 9_241_705_984,
}


def tiny(family="qwen3", **changes):
    """Describe a model small enough to train in a test."""
    from transformers import AutoConfig

    shape = {
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "intermediate_size": 384,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": 1024,
        "tie_word_embeddings": True,
    }
    return AutoConfig.for_model(family, **(shape | changes))


# ------------------------------------------------------------ by hand
def test_every_listed_shape_has_the_published_number_of_parameters():
    counted = {name: shapes.read(name).parameters for name in shapes.SHAPES}
    assert counted == PUBLISHED


@pytest.mark.parametrize(
    ("model", "gib"),
    [
        ("Qwen2.5-7B", 5.17),
        ("Llama-3.1-8B", 5.31),
        ("LLaMA-65B", 32.1),
        ("Llama-3.1-70B", 36.8),
    ],
)
def test_nf4_weights_are_those_computed_by_hand(model, gib):
    weights = plan.plan(shapes.read(model), method="qlora").weights
    assert weights / GIB == pytest.approx(gib, rel=0.002)


def test_full_fine_tuning_of_a_7b_holds_113_gib_of_states():
    states = plan.plan(shapes.read("Qwen2.5-7B"), method="full").states
    assert states / GIB == pytest.approx(113.5, rel=0.001)


def test_pure_bf16_takes_half_of_float32_masters():
    shape = shapes.read("Qwen2.5-7B")
    wide = plan.plan(shape, method="full").states
    assert plan.plan(shape, method="full", precision="bf16").states == wide / 2


@pytest.mark.parametrize("method", plan.METHODS)
def test_sharding_divides_the_states_and_data_parallel_does_not(method):
    shape = shapes.read("Llama-3.1-8B")
    one = plan.plan(shape, method=method)
    copied = plan.plan(shape, method=method, gpus=8)
    divided = plan.plan(shape, method=method, gpus=8, sharding="fsdp")
    assert copied.states == one.states
    assert copied.communication == one.gradients  # DDP keeps its buckets
    assert divided.states == pytest.approx(one.states / 8, rel=1e-6)
    assert divided.communication > 0


def test_fsdp_gathers_two_layers_and_what_is_outside_of_them():
    shape = shapes.read("Llama-3.1-8B")
    gathered = plan.plan(shape, method="lora", gpus=2, sharding="fsdp").communication
    layer = shape.linear_parameters // 32
    assert gathered == 2 * 2 * layer + 2 * 2 * 128256 * 4096


def test_logits_in_chunks_do_not_grow_with_the_row():
    shape = shapes.read("Qwen2.5-7B")
    whole = plan.plan(shape, seq_len=8192)
    chunked = plan.plan(shape, seq_len=8192, loss_chunk=256)
    assert whole.logits == 12 * 8192 * 152064
    assert chunked.logits == 0  # one layer is then the larger moment
    assert chunked.layer > 12 * 256 * 152064


def test_an_8_bit_optimizer_takes_a_quarter_and_a_paged_one_leaves_the_device():
    shape = shapes.read("Qwen2.5-7B")
    usual = plan.plan(shape, method="full")
    small = plan.plan(shape, method="full", optimizer="adamw-8bit")
    paged = plan.plan(shape, method="full", optimizer="paged-adamw")
    assert small.optimizer / usual.optimizer == pytest.approx(0.254, abs=0.001)
    assert (paged.optimizer, paged.host) == (0, usual.optimizer)
    assert "in main memory" in dict(paged.rows())


def test_it_fits_does_not_or_is_too_close_to_call():
    needed = plan.plan(shapes.read("Qwen2.5-7B"), method="qlora")
    assert needed.low < needed.total < needed.high
    assert needed.fits(needed.high / GIB) == "yes"
    assert needed.fits(needed.total / GIB) == "too close to call"
    assert needed.fits(needed.low / GIB - 0.01) == "no"


def test_a_65b_model_fits_the_48_gib_card_of_the_qlora_paper():
    shape = shapes.read("LLaMA-65B")
    paper = {"r": 64, "seq_len": 512, "optimizer": "paged-adamw"}
    assert plan.plan(shape, **paper).fits(48) == "yes"
    assert plan.plan(shape, method="lora", r=64, seq_len=512).fits(80) == "no"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"method": "dora"}, 'method "dora" is not described here; use one of full'),
        ({"optimizer": "lion"}, 'optimizer "lion" is not described'),
        ({"sharding": "tp"}, 'sharding "tp" is not described'),
        ({"gpus": 0}, "gpus is 0; use 1 or more"),
        ({"unfreeze": 0.0}, "unfreeze is 0.0; use a share above 0"),
    ],
)
def test_a_setting_that_is_not_described_is_refused(setting, message):
    with pytest.raises(GeometryError, match=message):
        plan.plan(shapes.read("Qwen2.5-7B"), **setting)


# ------------------------------------------------------------ configurations
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_config_json_is_read_as_transformers_reads_it(tmp_path, family, tied):
    config = tiny(family, tie_word_embeddings=tied)
    config.save_pretrained(tmp_path)
    known = Geometry.from_config(config)
    assert shapes.read(tmp_path) == known
    assert shapes.read(tmp_path / "config.json") == known
    assert shapes.read(json.loads((tmp_path / "config.json").read_text())) == known


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_leaves_out_is_filled_in_as_transformers_does(family):
    from transformers import AutoConfig

    given = {name: 256 for name in shapes.NEEDED} | {"num_attention_heads": 4}
    whole = AutoConfig.for_model(family, **given, num_key_value_heads=4)
    bare = given | {"model_type": family}
    assert shapes.from_dict(bare) == Geometry.from_config(whole)


def test_a_vision_language_config_is_read_for_its_text():
    text = dict(shapes.SHAPES["Qwen3-4B"])
    found = shapes.from_dict({"model_type": "any_vl", "text_config": text})
    assert found == shapes.read("Qwen3-4B")


def test_a_hub_name_is_read_from_the_cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    snapshot = tmp_path / "models--owner--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--owner--model" / "refs").mkdir()
    (tmp_path / "models--owner--model" / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text(json.dumps(shapes.SHAPES["Qwen3-4B"]))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert shapes.read("owner/model") == shapes.read("Qwen3-4B")
    with pytest.raises(GeometryError, match="not in the cache of the hub"):
        shapes.read("owner/other")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gpt2"}, 'model type "gpt2" is not described'),
        ({}, r'model type "\(none\)" is not described'),
        (
            {"model_type": "qwen3_moe", "num_experts": 128},
            "has 128 experts, and mixtures of experts are not described here",
        ),
        ({"model_type": "llama", "hidden_size": 8}, "has no num_hidden_layers"),
    ],
)
def test_a_config_that_is_not_described_is_refused(config, message):
    with pytest.raises(GeometryError, match=message):
        shapes.read(config)


def test_a_file_that_is_no_config_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("[1, ")
    with pytest.raises(GeometryError, match="is not JSON"):
        shapes.read(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(GeometryError, match="holds no configuration"):
        shapes.read(tmp_path)


# ------------------------------------------------------------ against torch
def trained(family, method, dtype, checkpointing, folder, autocast=False):
    """Train one real step; return model, optimizer and the peak beyond the start."""
    import torch

    from snippets.memory import measure

    config = tiny(family)
    model = built(config, method, getattr(torch, dtype), folder).train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    ids = torch.randint(0, 512, (4, 128))

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()

    step()
    peak = measure.peak_bytes(step)
    free = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(free)
    optimizer.step()
    return model, optimizer, peak


def built(config, method, dtype, folder):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(config).to(dtype)
    if method == "lora":
        from peft import LoraConfig, get_peft_model

        adapter = LoraConfig(task_type="CAUSAL_LM", r=8, target_modules="all-linear")
        return get_peft_model(model, adapter)
    if method == "full":
        return model
    from mini_trainer.osft_utils import create_osft_model_class

    model.save_pretrained(folder)
    return create_osft_model_class(type(model)).from_pretrained(
        folder,
        rank_ratio=0.75,  # mini-trainer's share of frozen directions: 1 - unfreeze
        target_patterns=["self_attn", "mlp"],
        initialize_osft=True,
        upcast_dtype=dtype,
        output_dtype=dtype,
        dtype=dtype,
    )


STEPS = [
    ("qwen3", "full", "float32", True, False),
    ("qwen3", "full", "float32", True, True),
    ("qwen3", "full", "bfloat16", False, False),
    ("qwen3", "lora", "bfloat16", True, False),
    ("qwen3", "osft", "float32", True, False),
    ("qwen3", "osft", "float32", False, False),
    ("llama", "lora", "bfloat16", False, False),
    ("gemma2", "full", "float32", True, False),
]


@pytest.mark.parametrize(("family", "method", "dtype", "saving", "autocast"), STEPS)
def test_a_real_step_takes_what_is_planned(
    tmp_path, family, method, dtype, saving, autocast
):
    from snippets.memory import measure

    model, optimizer, peak = trained(family, method, dtype, saving, tmp_path, autocast)
    width = 2 if autocast or dtype == "bfloat16" else 4
    pure = dtype == "bfloat16" and method != "lora"
    planned = plan.plan(
        Geometry.from_config(tiny(family)),
        method=method, r=8, micro_batch=4, seq_len=128, checkpointing=saving,
        compute_bytes=width, precision="bf16" if pure else "fp32-master",
    )  # fmt: skip
    weights = measure.tensor_bytes(model.parameters())
    assert weights == planned.weights + planned.adapters
    assert measure.gradient_bytes(model) == planned.gradients
    assert measure.optimizer_bytes(optimizer) == planned.optimizer
    low, high = plan.MODELLED
    assert low * planned.modelled <= peak <= high * planned.modelled


def test_osft_stores_what_its_real_classes_store_on_the_tiny_base():
    import torch
    from mini_trainer.osft_utils import create_osft_model_class
    from transformers import Qwen3ForCausalLM

    from snippets.memory import measure

    folder = ROOT / "snippets" / "fixtures" / "tiny-base"
    model = create_osft_model_class(Qwen3ForCausalLM).from_pretrained(
        folder,
        rank_ratio=0.75,
        target_patterns=["self_attn", "mlp"],
        initialize_osft=True,
        upcast_dtype=torch.float32,
        output_dtype=torch.float32,
        dtype=torch.float32,
    )
    shape = shapes.read(folder)
    planned = plan.plan(shape, method="osft").weights
    assert measure.tensor_bytes(model.parameters()) == planned
    assert planned / (4 * shape.parameters) == pytest.approx(1.396, abs=0.001)
    stored, _ = plan.osft_parameters(shape, 0.25)
    assert stored / shape.linear_parameters == pytest.approx(1.462, abs=0.001)


def test_two_processes_hold_what_is_planned_for_each(tmp_path):
    """DDP and FSDP2 on two CPU processes, through gloo; no GPU."""
    from snippets import sharding

    base = ROOT / "snippets" / "fixtures" / "tiny-base"
    found = sharding.measure(str(base), tmp_path / "held.json")
    for way in ("ddp", "fsdp"):
        planned = plan.plan(
            shapes.read(base), method="full", compute_bytes=4, gpus=2, sharding=way
        )
        for part in ("weights", "gradients", "optimizer"):
            held = found[way][part]
            assert held == pytest.approx(getattr(planned, part), rel=0.001), (way, part)


def test_a_loss_in_chunks_is_the_loss_and_has_its_gradient():
    import torch

    from snippets.memory import rungs

    torch.manual_seed(0)
    head = torch.nn.Parameter(torch.randn(50, 8))
    labels = torch.randint(0, 50, (3, 11))
    states = torch.randn(3, 11, 8, requires_grad=True)
    found = []
    for chunk in (7, 1000):
        loss = rungs.chunked_loss(states, head, labels, chunk)
        found.append((loss, *torch.autograd.grad(loss, [states, head])))
    logits = torch.nn.functional.linear(states, head)[:, :-1].flatten(0, 1)
    known = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten())
    for chunked, whole in zip(*found, strict=True):
        assert torch.allclose(chunked, whole, atol=1e-6)
    assert found[0][0].item() == pytest.approx(known.item(), rel=1e-6)


def test_the_peer_computes_as_installed_and_leaves_no_file():
    from training_hub.profiling import memory_estimator as real

    from snippets.memory import peer

    for name in ("_load_model", "_update_model_storage"):
        assert callable(getattr(real.BasicEstimator, name)), "it replaces nothing"
    config = tiny()
    config.name_or_path = "tiny-qwen3"
    low, expected, high = peer.training_hub(config, "full", seq_len=64)
    assert 16 * Geometry.from_config(config).parameters < low < expected < high
    written = Path(real.__file__).with_name("model_storage.csv")
    assert not written.exists() or "tiny-qwen3" not in written.read_text("utf-8")


def test_8_bit_states_take_what_bitsandbytes_allocates():
    import bitsandbytes
    import torch

    from snippets.memory import measure

    weight = torch.nn.Parameter(torch.randn(1024, 1024))
    optimizer = bitsandbytes.optim.AdamW8bit([weight])
    weight.grad = torch.randn_like(weight)
    optimizer.step()
    planned = plan.OPTIMIZERS["adamw-8bit"] * weight.numel()
    assert measure.optimizer_bytes(optimizer) == planned


def test_the_peak_counts_what_is_freed_again():
    import torch

    from snippets.memory import measure

    def work():
        first = torch.ones(2**20)
        del first
        torch.ones(2**19)

    assert measure.peak_bytes(work) == pytest.approx(4 * 2**20, rel=0.01)


# ------------------------------------------------------------ the command
def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "snippets.memory", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_prints_a_table_and_a_verdict():
    done = command("Qwen2.5-7B", "--method", "qlora", "--gpu", "24")
    assert done.returncode == 0, done.stderr
    assert "weights           5.17 GiB" in done.stdout
    assert done.stdout.endswith("fits 24 GiB: yes\n")


def test_the_command_ends_with_the_verdict():
    assert command("Qwen2.5-7B", "--method", "full", "--gpu", "24").returncode == 1
    assert command("Qwen2.5-7B", "--gpu", "10.5").returncode == 3


def test_the_command_gives_bytes_as_json():
    done = command("Qwen2.5-7B", "--gpu", "24", "--json", "--seq-len", "4096")
    needed = plan.plan(shapes.read("Qwen2.5-7B"), seq_len=4096)
    assert json.loads(done.stdout)["total"] == needed.total


def test_the_command_says_in_one_line_what_is_wrong():
    done = command("nowhere", "--gpu", "24")
    assert done.returncode == 2
    assert done.stderr.startswith('snippets.memory: "nowhere" is no folder')
    assert len(done.stderr.splitlines()) == 1
