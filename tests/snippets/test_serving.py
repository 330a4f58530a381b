"""Files that a server would refuse are named, and good ones answer over HTTP."""

from __future__ import annotations

import json
import urllib.request

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from snippets import evaluate, merge, serving, tiny, world

BASE = str(tiny.BASE)


@pytest.fixture
def model():
    return AutoModelForCausalLM.from_pretrained(BASE)


def adapter_of(model, folder, **settings):
    """Save an untrained adapter."""
    config = LoraConfig(target_modules="all-linear", **settings)
    get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.fixture
def merged(model, tmp_path):
    """The tiny base, saved as a merged model is."""
    return merge.save(model, AutoTokenizer.from_pretrained(BASE), tmp_path / "merged")


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_ordinary_adapter_passes(model, tmp_path):
    assert serving.check_adapter(adapter_of(model, tmp_path, r=16), BASE) == []


def test_a_rank_above_the_limit_names_the_flag(model, tmp_path):
    folder = adapter_of(model, tmp_path, r=24)
    assert serving.check_adapter(folder, BASE) == [
        "rank 24 is above --max-lora-rank 16: pass --max-lora-rank 32"
    ]
    assert serving.check_adapter(folder, BASE, max_lora_rank=32) == []
    assert "takes no rank 24" in serving.check_adapter(folder, BASE, 24)[0]


def test_the_rank_of_a_single_layer_counts(model, tmp_path):
    folder = adapter_of(model, tmp_path, r=8, rank_pattern={"q_proj": 64})
    assert "rank 64 is above" in serving.check_adapter(folder, BASE)[0]


def test_trained_embeddings_are_found_in_the_configuration_and_the_file(
    model, tmp_path
):
    folder = adapter_of(model, tmp_path, r=8, modules_to_save=["embed_tokens"])
    first, second = serving.check_adapter(folder, BASE)
    assert first.startswith("modules_to_save is ['embed_tokens'], which vLLM does not")
    assert "tensors are no LoRA" in second


def test_embeddings_make_the_adapter_larger_by_their_own_size(model, tmp_path):
    small = adapter_of(model, tmp_path / "a", r=8)
    again = AutoModelForCausalLM.from_pretrained(BASE)
    large = adapter_of(again, tmp_path / "b", r=8, modules_to_save=["embed_tokens"])
    name = "adapter_model.safetensors"
    more = (large / name).stat().st_size - (small / name).stat().st_size
    rows = model.get_input_embeddings().weight
    whole = more / (rows.numel() * rows.element_size())
    assert whole == pytest.approx(round(whole), abs=0.02) and round(whole) >= 1


def test_dora_and_another_base_are_found(model, tmp_path):
    folder = adapter_of(model, tmp_path, r=8, use_dora=True)
    found = " ".join(serving.check_adapter(folder, "models/other-base"))
    assert "use_dora is True" in found
    assert "and the server has models/other-base" in found


def test_an_adapter_that_names_a_replaced_repository_is_found(model, tmp_path):
    folder = adapter_of(model, tmp_path, r=8)
    config = folder / "adapter_config.json"
    edit(config, base_model_name_or_path="unsloth/some-model-unsloth-bnb-4bit")
    assert "it names a 4-bit repository" in serving.check_adapter(folder, BASE)[0]


def test_a_merged_model_passes(merged):
    assert serving.check_model(merged) == []


def test_a_weight_file_that_was_cut_off_is_found(merged):
    file = merged / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    assert (
        "model.safetensors cannot be read, copy it again"
        in (serving.check_model(merged)[0])
    )


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("config.json", {"quantization_config": {"load_in_4bit": True}}, "4 bits"),
        ("config.json", {"vocab_size": 9}, "embeddings, but vocab_size 9"),
        (
            "generation_config.json",
            {"eos_token_id": 0},
            "turn ends in <|im_end|> (2)",
        ),
    ],
)
def test_a_setting_that_contradicts_the_files_is_found(merged, file, changes, said):
    edit(merged / file, **changes)
    assert said in " ".join(serving.check_model(merged))


def test_an_adapter_folder_is_no_model(merged):
    (merged / "adapter_config.json").write_text("{}")
    assert "this is an adapter, not a model" in serving.check_model(merged)[0]


def test_float32_weights_and_a_missing_template_are_found(model, tmp_path):
    model.to(torch.float32).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    found = " ".join(serving.check_model(tmp_path))
    assert "no chat template" in found and "weights are float32" in found


def test_a_missing_tokenizer_is_found(merged):
    (merged / "tokenizer.json").unlink()
    assert serving.check_model(merged) == ["tokenizer.json is missing"]


def test_the_guide_a_model_answers_over_http_as_it_was_evaluated(merged):
    question = world.plain_reply(world.tickets()[tiny.HELD_OUT_TICKETS][0])
    # region: serve-guide
    asked = {"messages": question["messages"][:-1]}
    with serving.serve(merged) as address:
        request = urllib.request.Request(address, json.dumps(asked).encode())
        with urllib.request.urlopen(request) as response:
            reply = json.load(response)["choices"][0]["message"]["content"]
    # endregion: serve-guide
    model = AutoModelForCausalLM.from_pretrained(merged)
    tokenizer = AutoTokenizer.from_pretrained(merged)
    (answer,) = evaluate.answers(model, tokenizer, [question])
    assert reply == answer.generated and answer.correct
