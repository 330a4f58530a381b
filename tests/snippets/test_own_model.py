"""Changing only the parameters runs the tutorials on other models and other data."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    set_seed,
)

from snippets import data

ROOT = Path(__file__).parents[2]
QLORA, CPT = "qlora-comprehensive-tutorial", "cpt-comprehensive-tutorial"
SFT = "sft-comprehensive-tutorial"
OSFT = "osft-comprehensive-tutorial"
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
# A budget that leaves no time for anything but the main run, which is only warned of.
SMALL = {"max_minutes": 0.001, "ignore_preflight": True}

# ------------------------------------------------------------ other models
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}"
    "<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n"
    "{% endif %}"
)
QWEN = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'] + '\n\n' %}{% set talk = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set talk = messages %}{% endif %}"
    "{% for m in talk %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ first if loop.first else '' }}{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
LLAMA_TOKENS = {"bos": "<|begin_of_text|>", "eos": "<|eot_id|>", "pad": "<|pad|>"}
QWEN_TOKENS = {"eos": "<|im_end|>", "pad": "<|endoftext|>"}
GEMMA_TOKENS = {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"}


def tokenizer_of(tokens, more, template, size, prefix):
    """Train a tokenizer on the texts below; every family gets another one."""
    bpe = Tokenizer(models.BPE())
    byte = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    digits = pre_tokenizers.Digits(individual_digits=not prefix)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, byte])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[*tokens.values(), *more],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([json.dumps(chats(), ensure_ascii=False)], trainer)
    names = {f"{name}_token": token for name, token in tokens.items()}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, **names)
    tokenizer.chat_template = template
    return tokenizer


def llama(folder):
    more = ["<|start_header_id|>", "<|end_header_id|>"]
    tokenizer = tokenizer_of(LLAMA_TOKENS, more, LLAMA, 700, prefix=False)
    return save(folder, tokenizer, LlamaForCausalLM, LlamaConfig)


def qwen3(folder):
    tokenizer = tokenizer_of(QWEN_TOKENS, ["<|im_start|>"], QWEN, 500, prefix=True)
    return save(folder, tokenizer, Qwen3ForCausalLM, Qwen3Config)


def gemma(folder):
    more = ["<start_of_turn>", "<end_of_turn>"]
    tokenizer = tokenizer_of(GEMMA_TOKENS, more, GEMMA, 640, prefix=False)
    shape = {"sliding_window": 32, "query_pre_attn_scalar": 16}
    return save(folder, tokenizer, Gemma3ForCausalLM, Gemma3TextConfig, **shape)


def save(folder, tokenizer, model, config, **more):
    """Save a model with random weights, and room for tokens that nobody uses."""
    set_seed(0)
    ids = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id")
        for name in ("bos", "eos", "pad")
    }
    shape = SHAPE | more | ids | {"vocab_size": len(tokenizer) + 12}
    model(config(**shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# ------------------------------------------------------------ other data
PLACES = ("Žižkov", "Ørestad", "東京", "São Paulo", "Łódź", "Αθήνα", "Kraków", "Malmö")


def chats(count=40):
    """Conversations of one or two questions; half of them with a system prompt."""
    rows = []
    for number in range(count):
        place = PLACES[number % len(PLACES)]
        turns = [("system", "Odpovídej stručně – answer in one line.")][: number % 2]
        turns += [
            ("user", f"Číslo {number}: which tram goes to {place} at {number}:30?"),
            ("assistant", f"Line {number % 9} → {place}, platform {number % 4}."),
        ]
        if number % 3 == 0:
            turns += [
                ("user", f"And back from {place}, number {number}?"),
                ("assistant", f"Line {(number + 4) % 9} ← {place}; ±{number} minutes."),
            ]
        messages = [{"role": role, "content": text} for role, text in turns]
        rows.append({"messages": messages, "id": number})
    return rows


def documents(count=24):
    """Documents that name their file; some files hold two of them."""
    return [
        {
            "file": f"zpráva-{number // 2 if number < 8 else number}.txt",
            "document": " ".join(
                f"Tram {line} from {PLACES[(number + line) % 8]} was {number} min late,"
                f" depot {line * number % 11}, čas {line}:{number:02d}."
                for line in range(6)
            ),
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with spaces and letters that are not ASCII."""
    folder = tmp_path_factory.mktemp("own") / "můj model 模型"
    folder.mkdir()
    data.write_jsonl(folder / "rozhovory ä.jsonl", chats())
    data.write_jsonl(folder / "dokumenty ö.jsonl", documents())
    return folder


class Reader:
    """Somebody who opens a notebook and changes its parameters."""

    def __init__(self, place, tmp_path):
        self.place, self.tmp = place, tmp_path
        self.cwd = tmp_path / "here"
        self.out = tmp_path / "výstup out"
        self.cwd.mkdir()

    def job(self, name, model, **parameters):
        file = "dokumenty ö.jsonl" if name == CPT else "rozhovory ä.jsonl"
        own = {
            "model_path": str(model),
            "data_path": str(self.place / file),
            "output_dir": str(self.out),
        }
        return {
            "notebook": str(ROOT / "notebooks" / f"{name}.ipynb"),
            "executed": str(self.tmp / "executed.ipynb"),
            "cwd": str(self.cwd),
            "parameters": own | parameters,
        }

    def runs(self, *jobs, mount=""):
        """Run jobs one after the other, after mounts that only they see."""
        for number, job in enumerate(jobs):
            job["result"] = str(self.tmp / f"result-{number}.json")
        listed = self.tmp / "jobs.json"
        listed.write_text(json.dumps(jobs), encoding="utf-8")
        command = [sys.executable, str(Path(__file__).with_name("run_own.py"))]
        command.append(str(listed))
        if mount:
            script = f'{mount} && exec "$@"'
            command = ["unshare", "-m", "sh", "-ec", script, "sh", *command]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return [json.loads(Path(job["result"]).read_text("utf-8")) for job in jobs]


@pytest.fixture
def reader(place, tmp_path):
    return Reader(place, tmp_path)


def test_llama_runs_all_of_the_qlora_tutorial_on_own_conversations(reader, place):
    job = reader.job(QLORA, llama(place / "Llama ≈ tiny"), seeds=1)
    (done,) = reader.runs(job)
    assert done["error"] is None
    assert done["ran"] == done["cells"]
    found = done["outcomes"]
    assert found["resume_bit_identical"] is True
    assert found["base_unchanged"] is True
    assert found["end_of_turn_trained"] is True
    assert found["loss_ratio"] < 1.1
    assert "merge_dequantize_distance" in found
    # What was not measured is not recorded, and the page says why.
    assert not {"polite_reply_after", "facts_as_trained"} & found.keys()
    assert "exact_match_worst_seed" not in found
    assert "left out: new facts" in done["printed"]["facts"]
    assert "left out: polite replies" in done["printed"]["baseline"]
    assert (reader.out / "merged" / "model.safetensors").exists()


def test_gemma_runs_the_qlora_tutorial_and_is_told_what_its_template_does(
    reader, place
):
    job = reader.job(QLORA, gemma(place / "Gemma style δ"), **SMALL)
    (done,) = reader.runs(job)
    assert done["error"] is None
    assert done["ran"] == done["cells"]
    table = done["printed"]["preflight"]
    assert 'ends a turn with "<end_of_turn>" and EOS is "<eos>"' in table
    assert "max_minutes allows 0 s" in table
    assert done["outcomes"]["end_of_turn_trained"] is False
    # The budget left no time for more than the main run.
    for cell in ("seeds", "attention", "resume", "merge"):
        assert "max_minutes leaves no time for it" in done["printed"][cell]
    assert "merge_dequantize_distance" not in done["outcomes"]
    assert "resume_bit_identical" not in done["outcomes"]


def test_gemma_runs_all_of_the_cpt_tutorial_on_own_documents(reader, place):
    job = reader.job(CPT, gemma(place / "Gemma style γ"), replay_shares=[0.25])
    (done,) = reader.runs(job)
    assert done["error"] is None
    assert done["ran"] == done["cells"]
    found = done["outcomes"]
    assert found["resume_bit_identical"] is True
    assert found["isolated_change"] < found["cross_document_change"]
    assert "general_after_prose_25" in found
    assert not {"chat_before", "chat_after_sft", "chat_after_both"} & found.keys()
    assert "left out: chat and facts" in done["printed"]["baseline"]
    assert "left out: SFT" in done["printed"]["sft"]


def test_llama_runs_all_of_the_sft_tutorial_on_own_conversations(reader, place):
    job = reader.job(SFT, llama(place / "Llama ≈ SFT"), sweep_factors=[5])
    (done,) = reader.runs(job)
    assert done["error"] is None
    assert done["ran"] == done["cells"]
    found = done["outcomes"]
    assert found["resume_bit_identical"] is True
    assert found["tensors_changed_share"] == 1
    assert found["accumulated_gradient_per_token"] < 1e-4
    assert found["packed_loss_difference"] < 1e-4
    assert found["leak_reset"] < found["leak_joined"]
    assert len(found["sweep_match"]) == 2
    # TRL refuses a template without markers, and the page says so.
    assert "trained_tokens_trl" not in found
    assert "refuses this template" in done["printed"]["masks"]
    assert not {"facts_before", "sweep_facts", "second_turn_after"} & found.keys()
    assert "left out: the second turn" in done["printed"]["turns"]


def test_gemma_runs_the_sft_tutorial_where_there_is_no_time_for_extras(reader, place):
    job = reader.job(SFT, gemma(place / "Gemma SFT ε"), **SMALL)
    (done,) = reader.runs(job)
    assert done["error"] is None
    assert done["ran"] == done["cells"]
    for cell in ("accumulation", "sweep", "resume"):
        assert "max_minutes leaves no time for it" in done["printed"][cell]


def test_gemma_runs_the_osft_tutorial_on_own_conversations(reader, place):
    job = reader.job(OSFT, gemma(place / "Gemma OSFT ζ"), other_ratios=[])
    (done,) = reader.runs(job)
    assert done["error"] is None
    assert done["ran"] == done["cells"]
    found = done["outcomes"]
    assert found["worst_leak"] < 0.1, "a change this small is rounded visibly"
    assert found["dense_logit_distance"] < 1e-2
    assert found["resume_bit_identical"] is True
    assert not {"facts_before", "documents_cpt_facts"} & found.keys()
    assert "left out: a log book" in done["printed"]["documents"]
    assert "left out: a second task" in done["printed"]["second"]


# ------------------------------------------------------------ other folders
def needs_mounts():
    """Skip where this process may not mount, as a user without rights may not."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this machine, so no mounts of one's own")
    made = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("mounts of one's own are not allowed here")


def test_qwen3_runs_both_tutorials_where_the_current_folder_is_read_only(reader, place):
    needs_mounts()
    model = qwen3(place / "通义 Qwen3")
    jobs = [
        reader.job(name, model, output_dir=str(reader.out / name), **SMALL)
        for name in (QLORA, CPT)
    ]
    here = f"'{reader.cwd}'"
    mount = f"mount --bind {here} {here} && mount -o remount,ro,bind {here} {here}"
    refused = f"! touch {here}/x 2>/dev/null"
    for done in reader.runs(*jobs, mount=f"{mount} && {refused}"):
        assert done["error"] is None
        assert done["ran"] == done["cells"]
    assert list(reader.cwd.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fill_after", "leave"),
    [(CPT, "blocks", 2**20), (QLORA, "lengths", 200_000)],
    ids=["the model", "the tracking file"],
)
def test_a_disk_that_fills_up_ends_in_one_sentence_and_the_next_run_is_whole(
    reader, place, name, fill_after, leave
):
    needs_mounts()
    reader.out.mkdir()
    ballast = reader.out / "ballast"
    job = reader.job(name, llama(place / f"Llama {name}"), **SMALL)
    full = job | {"fill_after": fill_after, "fill": str(ballast), "leave": leave}
    again = dict(job, remove=[str(ballast)])
    mount = f"mount -t tmpfs -o size=200m tmpfs '{reader.out}'"
    first, second = reader.runs(full, again, mount=mount)
    assert first["ran"][-1] == "train"
    assert "no space left while writing to" in first["error"]
    assert first["error"].endswith("Free some space and run the same call again")
    assert len(first["error"].splitlines()) == 1
    assert second["error"] is None
    assert second["ran"] == second["cells"]


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_trained(reader, place):
    needs_mounts()
    reader.out.mkdir()
    job = reader.job(QLORA, llama(place / "Llama small disk"))
    mount = f"mount -t tmpfs -o size=20m tmpfs '{reader.out}'"
    (done,) = reader.runs(job, mount=mount)
    assert done["ran"][-1] == "preflight"
    assert "PreflightError: the main run writes" in done["error"]
    assert "name a folder on another disk in output_dir" in done["error"]
