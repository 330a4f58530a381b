"""Before anything is trained, one sentence says what is wrong or does not fit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoTokenizer, GPT2Config

from snippets import data, hardware, memory, preflight, tiny, world
from snippets.preflight import Extra, PreflightError

GIB = 2**30
ROWS = [world.record_reply(ticket) for ticket in world.tickets()[:64]]
TEXTS = [{"document": text} for text in world.manual().values()]
QWEN_7B = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}


@pytest.fixture
def ask(tmp_path):
    """Ask for a QLoRA run of the tiny base; anything may be replaced."""

    def check(model=tiny.BASE, rows=ROWS, **changes):
        asked = {"method": "qlora", "num_epochs": 3, "held_out": 16, "answered": 16}
        return preflight.check(str(model), rows, tmp_path / "out", **(asked | changes))

    return check


@pytest.fixture
def base(tmp_path):
    """A copy of the tiny base to be spoiled."""
    return Path(shutil.copytree(tiny.BASE, tmp_path / "model kopie"))


@pytest.fixture
def large(base):
    """The tokenizer of the tiny base beside the configuration of a 7 B model.

    It stands in for a large model: its weights are those of the tiny one, and a
    pre-flight that opened them would fail.
    """
    AutoConfig.for_model("qwen2", **QWEN_7B).save_pretrained(base)
    (base / "model.safetensors").write_bytes(b"no weights")
    return base


def tokenizer_config(folder, **changes):
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# ------------------------------------------------------------ what it says
def test_a_run_that_fits_says_what_it_needs_beside_what_there_is(ask):
    flight = ask(extras=[Extra("seed 1"), Extra("merge", 0, 0, merged=1)])
    assert flight.run.micro_batch_size == 16
    assert flight.run.max_seq_len == max(flight.bill.lengths) + 1
    assert flight.run.gradient_checkpointing is (hardware.probe().kind != "cpu")
    assert flight.bill.steps == 9
    assert flight.left_out == {}
    assert 0 < flight.seconds[0] < flight.seconds[1] < 3600
    lines = [line.split("  ")[0] for line in flight.table().splitlines()]
    assert lines == ["model", "data", "run", "memory", "", "disk", "time"]


def test_only_configuration_and_tokenizer_are_read(ask, large):
    flight = ask(large, warn_only=True)
    assert flight.geometry.parameters == 7_615_616_512
    assert flight.download == 0


def test_the_steps_are_those_that_the_trainer_takes(ask):
    blocks = ask(rows=TEXTS, method="full", max_seq_len=128, held_out=8, answered=0)
    tokenizer = AutoTokenizer.from_pretrained(tiny.BASE)
    tokens = sum(len(tokenizer.encode(row["document"])) + 1 for row in TEXTS) * 32 / 40
    assert blocks.bill.steps == pytest.approx(3 * tokens / 128 / 16, abs=3)
    assert blocks.new_tokens == 48


# ------------------------------------------------------------ what does not fit
def test_what_does_not_fit_says_what_each_change_saves_and_stops_when_it_fits(
    ask, large
):
    asked = {"micro_batch_size": 4, "max_seq_len": 2048}
    with pytest.raises(PreflightError) as raised:
        ask(large, free_bytes=16 * GIB, **asked)
    said = str(raised.value)
    assert "micro_batch_size = 1 saves" in said
    assert said.endswith("then it fits.")
    assert "max_seq_len" not in said  # two changes are enough
    settled = ask(
        large, free_bytes=16 * GIB, max_seq_len=2048, gradient_checkpointing=True
    )
    assert settled.run.micro_batch_size == 1  # 0 lets the check choose


def test_every_saving_is_the_difference_of_two_estimates(ask, large):
    with pytest.raises(PreflightError) as raised:
        ask(large, free_bytes=16 * GIB, micro_batch_size=4, max_seq_len=2048)
    shape = memory.Geometry.from_config(AutoConfig.from_pretrained(large))
    on_cpu = hardware.probe().kind == "cpu"
    step = {"seq_len": 2048, "weights_dtype_bytes": 4, "checkpointing": not on_cpu}
    step["compute_dtype_bytes"] = 4 if on_cpu else 2
    four, one = (
        memory.estimate(shape, "qlora", micro_batch=n, **step).total for n in (4, 1)
    )
    saved = memory.in_units(four - one)
    assert f"micro_batch_size = 1 saves {saved}" in str(raised.value)


def test_a_model_that_never_fits_names_a_smaller_one_and_a_larger_device(ask, large):
    with pytest.raises(PreflightError) as raised:
        ask(large, method="full", free_bytes=8 * GIB)
    said = str(raised.value)
    assert "QLoRA instead of all weights saves" in said
    assert "lora_r = 8 saves" in said
    assert "then take a smaller model, of at most about" in said


def test_on_request_what_does_not_fit_is_a_warning(ask, large):
    flight = ask(large, method="full", free_bytes=8 * GIB, warn_only=True)
    assert "mind      training needs" in flight.table()


def test_extras_are_left_out_in_order_and_say_why(ask, capsys):
    extras = [Extra("merge", 0, 0, merged=1), Extra("seed 1"), Extra("seed 2", 500)]
    flight = ask(extras=extras, max_minutes=10)
    assert list(flight.left_out) == ["seed 2"]
    assert flight.runs("seed 1")
    assert not flight.runs("seed 2")
    said = capsys.readouterr().out
    assert said.startswith("left out: seed 2, takes about")
    assert "seed 1" not in said


def test_a_merge_that_does_not_fit_is_left_out_and_training_goes_on(ask, large):
    merge = [Extra("merge", 0, 0, merged=1)]
    flight = ask(large, extras=merge, free_bytes=14 * GIB, warn_only=True)
    assert "of memory" in flight.left_out["merge"]


def test_a_run_that_takes_too_long_says_how_many_rows_fit(ask):
    with pytest.raises(PreflightError, match=r"set max_rows to \d+, or num_epochs to"):
        ask(max_minutes=0.001)


# ------------------------------------------------------------ what is wrong
def test_a_name_that_is_neither_folder_nor_hub_name_is_refused(ask):
    with pytest.raises(PreflightError, match="is neither a folder nor a hub name"):
        ask("/no/such/folder")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("config.json", "holds no config.json"),
        ("model.safetensors", "holds no weights"),
        ("tokenizer.json", "holds no tokenizer"),
    ],
)
def test_a_folder_that_lacks_a_part_of_the_model_is_refused(ask, base, gone, said):
    (base / gone).unlink()
    with pytest.raises(PreflightError, match=said):
        ask(base)


def test_a_hub_that_cannot_be_reached_names_the_folder_instead():
    code = "from snippets.preflight import model; model.read('owner/no-such')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("snippets.preflight.request.PreflightError: ")
    assert '"owner/no-such" is no folder here' in last
    assert last.endswith("name the folder of a downloaded model in model_path")


def test_an_architecture_that_is_not_described_is_refused(ask, base):
    GPT2Config().save_pretrained(base)
    with pytest.raises(PreflightError, match='model type "gpt2" is not described'):
        ask(base)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(ask, base):
    file = base / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"vocab_size": 512}))
    with pytest.raises(PreflightError, match="they do not belong together"):
        ask(base)


def test_a_pad_token_that_is_eos_is_refused_for_chat_and_not_for_documents(ask, base):
    tokenizer_config(base, pad_token="<|im_end|>")
    with pytest.raises(PreflightError, match="the pad token is the EOS token"):
        ask(base)
    assert ask(base, TEXTS, max_seq_len=128).bill.packed


def test_a_tokenizer_without_a_template_is_refused(ask, base):
    (base / "chat_template.jinja").unlink()
    with pytest.raises(PreflightError, match="has no chat template"):
        ask(base)


def test_a_row_that_the_template_refuses_is_named(ask, base):
    template = base / "chat_template.jinja"
    refusal = "{{ raise_exception('System role not supported') }}"
    only = "{% if messages[0]['role'] == 'system' %}" + refusal + "{% endif %}"
    template.write_text(only + template.read_text())
    system = {"role": "system", "content": "Be brief."}
    rows = [*ROWS[:2], {"messages": [system, *ROWS[2]["messages"]]}]
    with pytest.raises(PreflightError, match=r"row 3: .*System role not supported"):
        ask(base, rows, held_out=1)


def test_a_row_without_a_question_is_named(ask):
    rows = [*ROWS[:2], {"messages": ROWS[2]["messages"][1:] * 3}]
    rows[2]["messages"] = rows[2]["messages"][:1]
    with pytest.raises(PreflightError, match="row 3: a conversation has no answer"):
        ask(rows=rows, held_out=1)


def test_rows_that_would_all_be_dropped_are_refused(ask):
    with pytest.raises(PreflightError, match="all 64 rows would be dropped"):
        ask(max_seq_len=30)


def test_a_micro_batch_that_does_not_divide_is_refused(ask):
    with pytest.raises(PreflightError, match="5 does not divide effective_batch_size"):
        ask(micro_batch_size=5)


def test_a_folder_that_cannot_be_made_is_refused_and_nothing_is_left(tmp_path):
    file = data.write_jsonl(tmp_path / "file", ROWS[:1])
    with pytest.raises(
        PreflightError, match=r"nothing can be written .*another folder"
    ):
        preflight.require_writable(file / "out")
    assert preflight.require_writable(tmp_path / "new").is_dir()
    assert list((tmp_path / "new").iterdir()) == []


def test_one_row_is_too_few(ask):
    with pytest.raises(PreflightError, match="two are needed, one to hold out"):
        ask(rows=ROWS[:1])
