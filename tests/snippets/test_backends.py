"""Training Hub is really called; every bad input gets one sentence, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from training_hub import lora_sft, sft
from transformers import AutoTokenizer

from snippets import backends, data, hardware, preemption, proof, schedule, tiny, world
from snippets.backends import batches, launch, loop, parameters, peft_lora, run_folder

backends.register()
BASE = str(tiny.BASE)


@pytest.fixture
def rows():
    return [world.record_reply(t) for t in world.tickets()[:32]]


@pytest.fixture
def chat(tmp_path, rows):
    return str(data.write_jsonl(tmp_path / "chat.jsonl", rows))


@pytest.fixture
def text(tmp_path):
    documents = [{"document": t} for t in list(world.manual().values())[:3]]
    return str(data.write_jsonl(tmp_path / "text.jsonl", documents))


@pytest.fixture
def lora(tmp_path, chat):
    """The arguments of a QLoRA run of four steps."""
    return dict(
        model_path=BASE,
        data_path=chat,
        ckpt_output_dir=str(tmp_path / "run"),
        backend="peft",
        load_in_4bit=True,
        lora_r=4,
        lora_alpha=8,
        num_epochs=2,
        effective_batch_size=16,
        learning_rate=1e-3,
        max_seq_len=128,
        seed=0,
    )


@pytest.fixture
def full(tmp_path, text):
    """The arguments of a CPT run of a few steps."""
    return dict(
        model_path=BASE,
        data_path=text,
        ckpt_output_dir=str(tmp_path / "run"),
        backend="transformers",
        is_pretraining=True,
        block_size=64,
        max_seq_len=64,
        num_epochs=1,
        effective_batch_size=32,
        learning_rate=1e-3,
        random_seed=0,
    )


def adapter_digest(folder):
    return run_folder.file_sha256(Path(folder) / "adapter_model.safetensors")


# -- both calls do what they say ---------------------------------------------


def test_qlora_trains_only_adapters_and_leaves_the_4bit_base_alone(lora):
    before = proof.base_fingerprint(
        peft_lora.load_base({"model_path": BASE, "load_in_4bit": True})
    )
    result = lora_sft(**lora)
    assert proof.only_adapters_changed(result["model"]) > 0
    assert proof.base_unchanged(before, proof.base_fingerprint(result["model"])) > 0
    log = run_folder.read_log(lora["ckpt_output_dir"])
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    assert (Path(result["output"]) / "adapter_model.safetensors").exists()


def test_cpt_packs_blocks_and_saves_the_dtype_of_the_base(full):
    result = sft(**full)
    saved = run_folder.final_model(full["ckpt_output_dir"])
    assert json.loads((Path(saved) / "config.json").read_text())["dtype"] == "bfloat16"
    assert result["output"] == saved
    reached = proof.lr_reached(run_folder.read_log(full["ckpt_output_dir"]), 1e-3)
    assert reached == pytest.approx(1e-3)


def test_sft_on_conversations_masks_all_but_the_assistant(chat, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    row = batches.chat_rows({"model_path": BASE, "data_path": chat}, tokenizer)[0]
    trained = tokenizer.decode([x for x in row["labels"] if x != -100])
    assert trained.startswith("device: ") and trained.endswith("<|im_end|>")
    whole = {"model_path": BASE, "data_path": chat, "assistant_only_loss": False}
    assert -100 not in batches.chat_rows(whole, tokenizer)[0]["labels"]


def test_collator_pads_without_loss_and_without_attention():
    batch = batches.Collator(0)(
        [{"input_ids": [5, 6], "labels": [-100, 6]}, {"input_ids": [7], "labels": [7]}]
    )
    assert batch["labels"].tolist() == [[-100, 6], [7, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]


def test_the_choice_names_the_backend_and_the_reason():
    choice = backends.choose("lora_sft")
    expected = "peft" if hardware.probe().kind != "cuda" else choice.backend
    assert choice.backend == expected and choice.reason in str(choice)


def test_mlflow_gets_the_run_and_the_environment_is_restored(lora, tmp_path):
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    lora_sft(
        **lora,
        mlflow_tracking_uri=uri,
        mlflow_experiment_name="house",
        mlflow_run_name="one",
    )
    assert "MLFLOW_TRACKING_URI" not in os.environ
    mlflow.set_tracking_uri(uri)
    run = mlflow.search_runs(experiment_names=["house"], output_format="list")[0]
    assert run.info.status == "FINISHED" and "loss" in run.data.metrics
    mlflow.set_tracking_uri(None)


def test_two_processes_train_like_one(full, tmp_path):
    one = sft(**full)
    two = dict(full, ckpt_output_dir=str(tmp_path / "two"), nproc_per_node=2)
    sft(**two)
    a, b = (run_folder.read_log(p) for p in (full["ckpt_output_dir"], tmp_path / "two"))
    assert len(a) == len(b) == one["trainer"].state.global_step
    for x, y in zip(a, b, strict=True):
        assert x["loss"] == pytest.approx(y["loss"], rel=2e-2)


def test_callbacks_cannot_cross_into_other_processes(lora):
    with pytest.raises(parameters.ParameterError, match="torchrun"):
        launch.torchrun("lora_sft", lora | {"callbacks": [object()]})


# -- stopping and resuming ---------------------------------------------------


def test_a_killed_run_resumes_to_the_same_bits(lora, tmp_path):
    whole = lora_sft(**dict(lora, lora_dropout=0.1))
    call = dict(lora, lora_dropout=0.1, ckpt_output_dir=str(tmp_path / "killed"))
    del call["backend"]
    call["save_steps"] = 1
    reached = preemption.kill_at(2, "lora_sft", **call)
    assert 2 <= reached < 4
    resumed = lora_sft(**call, backend="peft")
    assert adapter_digest(whole["output"]) == adapter_digest(resumed["output"])
    log = run_folder.read_log(resumed["output"])
    assert [line["step"] for line in log] == [1, 2, 3, 4], "each step once"


def test_a_run_is_killed_at_its_own_step_and_not_at_that_of_an_earlier_log(lora):
    call = {**lora, "save_steps": 1, "num_epochs": 6}
    lora_sft(**call)
    del call["backend"]
    reached = preemption.kill_at(3, "lora_sft", **call)
    assert 3 <= reached < 12, (
        "the log is that of the new run: the earlier one ends at 12"
    )
    assert usable_steps(lora["ckpt_output_dir"]) <= set(range(1, reached + 1))


def usable_steps(folder: str) -> set[int]:
    return {int(p.name.split("-")[1]) for p in Path(folder).glob("checkpoint-*")}


def test_a_truncated_newest_checkpoint_is_skipped_for_the_one_before(lora, capsys):
    lora_sft(**lora, save_steps=1)
    folder = Path(lora["ckpt_output_dir"])
    weights = folder / "checkpoint-4" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert run_folder.usable_checkpoint(folder) == str(folder / "checkpoint-3")
    optimizer = folder / "checkpoint-3" / "optimizer.pt"
    for damaged in (optimizer.read_bytes()[:100], b"", bytes(100), b"no pickle"):
        optimizer.write_bytes(damaged)
        assert run_folder.usable_checkpoint(folder) == str(folder / "checkpoint-2")
    assert "skipping checkpoint-4: cannot be read" in capsys.readouterr().out


def test_ctrl_c_ends_the_step_saves_and_says_how_to_go_on(lora, capsys):
    from training_hub import TrainingHubCallback

    class PressCtrlC(TrainingHubCallback):
        def on_step_end(self, context):
            if context.step == 2:
                signal.raise_signal(signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    whole = lora_sft(**dict(lora, ckpt_output_dir=lora["ckpt_output_dir"] + "-whole"))
    with pytest.raises(KeyboardInterrupt, match="Run the same call again"):
        lora_sft(**lora, callbacks=[PressCtrlC()])
    folder = Path(lora["ckpt_output_dir"])
    assert run_folder.usable_checkpoint(folder)
    assert not (folder / "adapter_model.safetensors").exists(), "no half result"
    resumed = lora_sft(**lora)
    assert adapter_digest(resumed["output"]) == adapter_digest(whole["output"])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_with_jit_checkpoint_exits_143_and_resumes(lora, tmp_path):
    call = {k: v for k, v in lora.items() if k != "backend"}
    call |= {"enable_jit_checkpoint": True, "num_epochs": 400}
    job = tmp_path / "job.json"
    run_folder.write_json(job, {"algorithm": "lora_sft", "parameters": call})
    process = subprocess.Popen(
        [sys.executable, "-m", "snippets.backends.launch", str(job)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    log = Path(lora["ckpt_output_dir"]) / run_folder.LOG_FILE
    while not (log.exists() and len(run_folder.read_log(log)) > 2):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 143, out
    assert "Run the same call again to resume" in out
    assert run_folder.usable_checkpoint(lora["ckpt_output_dir"])


def test_running_the_same_finished_call_again_trains_again_to_the_same_bits(lora):
    first = adapter_digest(lora_sft(**lora)["output"])
    assert adapter_digest(lora_sft(**lora)["output"]) == first
    assert len(run_folder.read_log(lora["ckpt_output_dir"])) == 4


# -- bad input: one clear sentence, nothing lost -----------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"learning_rat": 1}, parameters.ParameterError, "did you mean learning_rate"),
        ({"sample_packing": True}, parameters.ParameterError, "does not honor"),
        ({"max_steps": 3}, parameters.ParameterError, "parameter max_steps"),
        ({"wandb_project": "x"}, parameters.ParameterError, "parameter wandb_project"),
        ({"target_modules": ["query"]}, parameters.ParameterError, '"query" matches'),
        ({"target_modules": ["q_proj", "fc1"]}, parameters.ParameterError, '"fc1"'),
        ({"warmup_steps": 100}, schedule.ScheduleError, "Lower warmup_steps below 4"),
        ({"max_seq_len": 30}, data.DataError, "max_seq_len"),
        ({"effective_batch_size": 7, "micro_batch_size": 2},
         parameters.ParameterError, "effective_batch_size 7 is not"),
        ({"data_path": "nowhere.jsonl"}, data.DataError, "nowhere.jsonl"),
    ],
)  # fmt: skip
def test_a_bad_lora_parameter_is_named_before_anything_is_written(
    lora, change, error, message
):
    with pytest.raises(error, match=message) as caught:
        lora_sft(**(lora | change))
    assert "\n" not in str(caught.value)
    assert not Path(lora["ckpt_output_dir"]).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_size": None}, "needs block_size"),
        ({"max_tokens_per_gpu": 63}, "larger than max_tokens_per_gpu 63"),
        ({"document_column_name": "text"}, "document_column_name"),
        ({"use_processed_dataset": True}, "use_processed_dataset"),
    ],
)
def test_a_bad_cpt_parameter_is_named_before_anything_is_written(full, change, message):
    with pytest.raises(ValueError, match=message):
        sft(**(full | change))
    assert not Path(full["ckpt_output_dir"]).exists()


def test_every_parameter_training_hub_sends_unasked_is_accepted(lora, full):
    """Training Hub fills defaults; a new one must not break every call."""
    seen = []
    spy = type("Spy", (), {"execute_training": lambda self, p: seen.append(p)})
    from training_hub import AlgorithmRegistry

    for name in ("lora_sft", "sft"):
        AlgorithmRegistry.register_backend(name, "spy", spy)
    lora_sft(**(lora | {"backend": "spy"}))
    sft(**(full | {"backend": "spy"}))
    parameters.check("lora_sft", seen[0], parameters.LORA)
    parameters.check("sft", seen[1], parameters.SFT)


def test_a_folder_of_another_run_is_refused_and_left_as_it_is(lora):
    lora_sft(**lora)
    before = adapter_digest(lora["ckpt_output_dir"])
    with pytest.raises(
        run_folder.RunFolderError, match="learning_rate is 0.001 there and 0.002 here"
    ):
        lora_sft(**(lora | {"learning_rate": 2e-3}))
    assert adapter_digest(lora["ckpt_output_dir"]) == before


def test_a_folder_of_another_program_is_refused(lora):
    folder = Path(lora["ckpt_output_dir"])
    (folder / "hf_format").mkdir(parents=True)
    with pytest.raises(run_folder.RunFolderError, match="another program"):
        lora_sft(**lora)


def _tokenizer_folder(tmp_path, change):
    folder = tmp_path / "model"
    shutil.copytree(BASE, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    change(tokenizer)
    (folder / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_pad_token_equal_to_eos_is_refused(lora, tmp_path):
    def change(tokenizer):
        tokenizer.pad_token = tokenizer.eos_token

    with pytest.raises(data.DataError, match="never learns to stop"):
        lora_sft(**(lora | {"model_path": _tokenizer_folder(tmp_path, change)}))


def test_a_template_that_drops_the_answer_is_refused(lora, tmp_path):
    def change(tokenizer):
        tokenizer.chat_template = (
            "{% for m in messages %}<|im_start|>{{ m['role'] }} "
            "{% if m['role'] == 'user' %}{{ m['content'] * 3 }}{% endif %}{% endfor %}"
        )

    with pytest.raises((data.DataError, ValueError), match="chat template|template"):
        lora_sft(**(lora | {"model_path": _tokenizer_folder(tmp_path, change)}))


def test_a_tokenizer_without_a_chat_template_is_refused(lora, tmp_path):
    def change(tokenizer):
        tokenizer.chat_template = None

    with pytest.raises(data.DataError, match="no chat template"):
        lora_sft(**(lora | {"model_path": _tokenizer_folder(tmp_path, change)}))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount).returncode:
        pytest.skip("a tmpfs of 1 MiB needs the right to mount; probe: mount -t tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_leaves_no_half_result(full, small_disk):
    call = full | {"ckpt_output_dir": str(small_disk / "run"), "save_steps": 2}
    with pytest.raises(OSError, match="no space left while writing"):
        sft(**call)
    left = [p.name for p in (small_disk / "run").iterdir()]
    assert "hf_format" not in left and not [n for n in left if n.endswith(".part")]


# -- traps of the libraries --------------------------------------------------


@pytest.mark.skipif(
    "avx512_bf16" not in hardware.cpu_flags() or hardware.probe().kind != "cpu",
    reason="bitsandbytes repacks only on AVX512-BF16 CPUs; probe: cpu_flags()",
)
def test_without_the_cure_bitsandbytes_repacks_the_frozen_base():
    def fingerprint_after_a_forward(cure):
        model = peft_lora.load_base({"model_path": BASE, "load_in_4bit": True})
        for module in model.modules():
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = not cure
        before = proof.base_fingerprint(model)
        with torch.no_grad():
            model.eval()(input_ids=torch.tensor([[1, 2, 3]]))
        return before, proof.base_fingerprint(model)

    proof.base_unchanged(*fingerprint_after_a_forward(cure=True))
    with pytest.raises(AssertionError):
        proof.base_unchanged(*fingerprint_after_a_forward(cure=False))


def test_4bit_computes_in_float32_on_a_cpu():
    config = peft_lora.quantization({"load_in_4bit": True})
    if hardware.probe().kind == "cpu":
        assert config.bnb_4bit_compute_dtype == torch.float32
    assert config.bnb_4bit_quant_type == "nf4" and config.bnb_4bit_use_double_quant


def test_two_models_that_differ_in_one_byte_are_told_apart(tmp_path):
    for name, content in (("a", b"x" * 99), ("b", b"x" * 98 + b"y")):
        (tmp_path / name).write_bytes(content)
    a, b = (run_folder.quick_digest(tmp_path / name, ends=9) for name in "ab")
    assert a != b and a == run_folder.quick_digest(tmp_path / "a", ends=9)


def test_final_model_sorts_by_number_not_by_name(tmp_path):
    for number in (800, 1000):
        (tmp_path / "hf_format" / f"samples_{number}").mkdir(parents=True)
    assert run_folder.final_model(tmp_path).endswith("samples_1000")


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ({}, (2, 1)),
        ({"effective_batch_size": 16}, (16, 1)),
        ({"effective_batch_size": 16, "gradient_accumulation_steps": 4}, (4, 4)),
        ({"effective_batch_size": 16, "max_tokens_per_gpu": 500, "max_seq_len": 100},
         (4, 4)),
        ({"effective_batch_size": 6, "max_tokens_per_gpu": 400, "max_seq_len": 100},
         (3, 2)),
    ],
)  # fmt: skip
def test_batches_multiply_to_the_effective_batch_size(p, expected):
    assert loop.batching(p) == expected
