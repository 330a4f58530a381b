"""The memory formula agrees with hand calculation, with models and with autograd."""

import pytest

from snippets.memory import (
    FAMILIES,
    METHODS,
    Breakdown,
    Geometry,
    GeometryError,
    estimate,
    in_units,
    lora_parameters,
    measured_footprint,
    nf4_bits,
    nf4_bytes,
    unit_of,
)

GIB = 1024**3


def qwen2_5_7b():
    from transformers import Qwen2Config

    return Qwen2Config(
        hidden_size=3584,
        num_hidden_layers=28,
        intermediate_size=18944,
        num_attention_heads=28,
        num_key_value_heads=4,
        vocab_size=152064,
        tie_word_embeddings=False,
    )


def llama_3_1_8b():
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=4096,
        num_hidden_layers=32,
        intermediate_size=14336,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=128256,
        tie_word_embeddings=False,
    )


def llama_65b():
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=8192,
        num_hidden_layers=80,
        intermediate_size=22016,
        num_attention_heads=64,
        vocab_size=32000,
        tie_word_embeddings=False,
    )


def tiny(family="qwen3", layers=2, **changes):
    """Describe a model small enough to run in a test."""
    from transformers import AutoConfig

    shapes = {
        "hidden_size": 128,
        "num_hidden_layers": layers,
        "intermediate_size": 384,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": 512,
        "tie_word_embeddings": True,
    }
    return AutoConfig.for_model(family, **(shapes | changes))


def quantized(config, folder, double_quant=True):
    """Save a random model and load it back with real NF4 linear layers."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16,
        device_map={"": "cpu"},
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=double_quant,
            bnb_4bit_compute_dtype=torch.float32,
        ),
    )


# ------------------------------------------------------------ by hand
def test_double_quantized_nf4_takes_4_127_bits():
    assert nf4_bits() == 4 + 8 / 64 + 32 / (64 * 256) == pytest.approx(4.127, abs=1e-3)
    assert nf4_bits(double_quant=False) == 4.5


def test_the_tables_vanish_in_a_large_model():
    geometry = Geometry.from_config(qwen2_5_7b())
    bits = 8 * nf4_bytes(geometry) / geometry.linear_parameters
    assert bits == pytest.approx(nf4_bits(), rel=1e-4)


@pytest.mark.parametrize(
    ("config", "gib"), [(qwen2_5_7b, 5.17), (llama_3_1_8b, 5.31), (llama_65b, 32.1)]
)
def test_nf4_weights_of_known_models(config, gib):
    weights = estimate(Geometry.from_config(config()), "qlora").weights
    assert weights / GIB == pytest.approx(gib, rel=0.002)


def test_a_rank_16_adapter_of_a_7b_has_40_million_parameters():
    geometry = Geometry.from_config(qwen2_5_7b())
    assert lora_parameters(geometry, r=16) == 40_370_176
    adapter = estimate(geometry, "qlora", r=16)
    trained = adapter.adapters + adapter.gradients + adapter.optimizer
    assert trained == 16 * 40_370_176


def test_full_fine_tuning_takes_16_bytes_a_parameter():
    geometry = Geometry.from_config(qwen2_5_7b())
    full = estimate(geometry, "full")
    states = full.weights + full.gradients + full.optimizer
    assert states == 16 * geometry.parameters
    assert states / GIB == pytest.approx(113.5, abs=0.05)


def test_a_65b_model_fits_the_48_gib_card_of_the_qlora_paper():
    geometry = Geometry.from_config(llama_65b())
    paper = estimate(geometry, "qlora", r=64, seq_len=512)
    assert paper.fits(48)
    assert not estimate(geometry, "lora", r=64, seq_len=512).fits(80)


# ------------------------------------------------------------ against models
@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("qwen2", {}),
        ("qwen3", {}),
        ("qwen3", {"attention_bias": True}),
        ("llama", {}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("mistral", {}),
        ("granite", {}),
        ("granite", {"attention_bias": True, "mlp_bias": True}),
        ("gemma2", {}),
        ("gemma3_text", {}),
    ],
)
def test_every_parameter_is_counted(family, more, tie):
    import torch
    from transformers import AutoModelForCausalLM

    config = tiny(family, tie_word_embeddings=tie, **more)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    geometry = Geometry.from_config(config)
    assert geometry.parameters == model.num_parameters()


@pytest.mark.parametrize("config", [qwen2_5_7b, llama_3_1_8b, llama_65b])
def test_known_models_are_counted_to_the_last_parameter(config):
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config())
    assert Geometry.from_config(config()).parameters == model.num_parameters()


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"], "down_proj"])
def test_adapters_are_counted_as_peft_makes_them(targets):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = tiny()
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=8,
        target_modules=[targets] if targets == "down_proj" else targets,
    )
    model = get_peft_model(AutoModelForCausalLM.from_config(config), lora)
    trained, _ = model.get_nb_trainable_parameters()
    assert lora_parameters(Geometry.from_config(config), 8, targets) == trained
    assert measured_footprint(model).adapters == 4 * trained


@pytest.mark.parametrize("double_quant", [True, False])
def test_a_real_nf4_model_takes_what_the_formula_says(tmp_path, double_quant):
    config = tiny(layers=4)
    model = quantized(config, tmp_path, double_quant)
    geometry, found = Geometry.from_config(config), measured_footprint(model)
    assert found.nf4_parameters == geometry.linear_parameters
    assert found.nf4_bits == pytest.approx(nf4_bits(double_quant), rel=0.001)
    assert found.nf4 + found.tables == nf4_bytes(geometry, double_quant)
    predicted = estimate(geometry, "qlora", double_quant=double_quant)
    assert found.total == pytest.approx(predicted.weights, rel=0.02)
    assert found.adapters == 0


def test_preparing_for_training_doubles_what_is_not_quantized(tmp_path):
    from peft import prepare_model_for_kbit_training

    model = prepare_model_for_kbit_training(
        quantized(tiny(), tmp_path), use_gradient_checkpointing=False
    )
    geometry = Geometry.from_config(tiny())
    predicted = estimate(geometry, "qlora", weights_dtype_bytes=4)
    assert measured_footprint(model).total == pytest.approx(
        predicted.weights, rel=0.001
    )


def test_a_plain_model_counts_a_tied_head_once():
    import torch
    from transformers import AutoModelForCausalLM

    config = tiny()
    model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    found = measured_footprint(model)
    predicted = estimate(Geometry.from_config(config), "lora").weights
    assert found.nf4 == 0
    assert found.nf4_bits == 0.0
    assert found.total == pytest.approx(predicted, rel=0.001)  # + rotary frequencies


# ------------------------------------------------------------ against autograd
def saved_bytes(model, tokens=64):
    """Add up what autograd keeps between forward and backward, weights left out."""
    import torch

    own = [*model.parameters(), *model.buffers()]
    skip = {tensor.untyped_storage().data_ptr() for tensor in own}
    kept, sizes = [], {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in skip:
            kept.append(tensor)  # a freed tensor would give its place to another
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(0, 512, (2, tokens // 2))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(input_ids=ids, labels=ids, use_cache=False)
    return sum(sizes.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_activations_of_a_layer_are_those_autograd_keeps(family, dtype, method):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    measured, predicted = [], []
    for layers in (1, 3):
        config = tiny(family, layers)
        model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
        if method == "lora":
            lora = LoraConfig(task_type="CAUSAL_LM", r=8, target_modules="all-linear")
            model = get_peft_model(model, lora)
        measured.append(saved_bytes(model.train()))
        memory = estimate(
            Geometry.from_config(config),
            method,
            r=8,
            seq_len=64,
            checkpointing=False,
            compute_dtype_bytes=getattr(torch, dtype).itemsize,
        )
        predicted.append(memory.activations)
    assert predicted[1] - predicted[0] == pytest.approx(
        measured[1] - measured[0], rel=0.005
    )


def test_checkpointing_keeps_one_hidden_state_a_layer():
    geometry = Geometry.from_config(qwen2_5_7b())
    with_it = estimate(geometry, "qlora").activations
    without = estimate(geometry, "qlora", checkpointing=False).activations
    boundaries = 2048 * 28 * 3584 * 2
    assert with_it == boundaries + without / 28
    assert with_it < without / 15


def test_logits_in_chunks_take_no_more_for_a_longer_sequence():
    geometry = Geometry.from_config(qwen2_5_7b())
    whole = estimate(geometry, "qlora", seq_len=4096)
    chunked = estimate(geometry, "qlora", seq_len=4096, logits_chunk=256)
    assert whole.logits == 4096 * 152064 * 10
    assert chunked.logits == whole.logits / 16


# ------------------------------------------------------------ in words
def test_the_rows_end_with_the_total():
    rows = Breakdown(3 * GIB, 0, 0, 0, 1024, 0, 0).rows()
    assert rows == [
        ("weights", "3 GiB"),
        ("activations", "1 KiB"),
        ("total", "3 GiB"),
    ]


def test_a_device_needs_room_beyond_the_formula():
    memory = Breakdown(7 * GIB, 0, 0, 0, 0, 0, 0)
    assert not memory.fits(8)
    assert memory.fits(8.5)
    assert memory.fits(7, reserve_gib=0)


def test_sizes_are_written_in_the_unit_that_reads_best():
    sizes = (7, 2048, 1023 * 1024**2, 5.17 * GIB, 0)
    said = ["7 bytes", "2 KiB", "1,023 MiB", "5.17 GiB", "0 bytes"]
    assert [in_units(size) for size in sizes] == said
    assert unit_of(GIB) == "GiB"


@pytest.mark.parametrize("targets", ["q_projj", ["q_proj", "attention"], []])
def test_a_target_that_matches_nothing_is_refused(targets):
    with pytest.raises(GeometryError, match=r"matches no linear layer; use all-linear"):
        lora_parameters(Geometry.from_config(tiny()), 8, targets)


def test_a_model_that_is_not_described_is_refused():
    from transformers import AutoConfig

    with pytest.raises(GeometryError, match='model type "gpt2" is not described'):
        Geometry.from_config(AutoConfig.for_model("gpt2"))


def test_an_unknown_method_is_refused():
    with pytest.raises(GeometryError, match='unknown method "dora"'):
        estimate(Geometry.from_config(tiny()), "dora")
    assert METHODS == ("full", "lora", "qlora")
