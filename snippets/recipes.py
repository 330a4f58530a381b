"""The published calls, whole and ready to copy: QLoRA, and continued pre-training.

Each recipe looks before it trains: it prints what will be trained on and how, and it
raises before the call where the call would train nothing.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snippets import (
    backends,
    data,
    evaluate,
    hardware,
    memory,
    proof,
    replay,
    schedule,
)
from snippets.schedule import Schedule

# What Training Hub's default backend of sft wants to know about this machine.
TORCHRUN = {
    "nproc_per_node": 1,
    "disable_flash_attn": importlib.util.find_spec("flash_attn") is None,
}


def fits(model_path: str, gib: float, **settings: Any) -> list[str]:
    """Return the methods that fit a device of ``gib`` GiB, and print what each needs.

    Only the configuration of the model is read, not its weights. ``settings`` are
    fields of ``memory.Step``, for example ``r=16, micro_batch=1, seq_len=2048``.
    """
    from transformers import AutoConfig

    shape = memory.Geometry.from_config(AutoConfig.from_pretrained(model_path))
    fitting = []
    for method in memory.METHODS:
        need = memory.estimate(shape, method, **settings)
        parts = ", ".join(f"{part} {size}" for part, size in need.rows()[:-1])
        print(f"{method}: {memory.in_units(need.total)} ({parts})")
        if need.fits(gib):
            fitting.append(method)
    return fitting


def prepare(
    data_path: str | Path, folder: str | Path, held_out: int
) -> tuple[str, str]:
    """Write ``train.jsonl`` and ``held.jsonl``: no duplicates, no row in both."""
    rows, twice = data.drop_duplicates(data.read_chat(data_path), text=json.dumps)
    train, held = data.split(rows, held_out)
    leaks = data.contamination(map(data.questions, train), map(data.questions, held))
    print(f"{len(train)} rows to train on, {len(held)} held out")
    print(f"{len(twice)} duplicates dropped")
    print(f"{len(leaks)} held-out questions share 8 words in a row with training")
    written = [
        data.write_jsonl(Path(folder) / f"{name}.jsonl", part)
        for name, part in (("train", train), ("held", held))
    ]
    return str(written[0]), str(written[1])


def preview(
    model_path: str,
    data_path: str | Path,
    *,
    max_seq_len: int,
    effective_batch_size: int,
    num_epochs: int,
    learning_rate: float,
    warmup_steps: int,
    lr_scheduler: str = "linear",
) -> Schedule:
    """Print which rows, which tokens and which steps a run would train on."""
    from transformers import AutoTokenizer

    from snippets.backends import batches

    tokenizer = AutoTokenizer.from_pretrained(model_path)
    rows = data.read_chat(data_path)
    print(data.length_report(rows, tokenizer, max_seq_len).summary())

    settings = {"model_path": model_path, "data_path": str(data_path)}
    tokenized = batches.chat_rows(settings | {"max_seq_len": max_seq_len}, tokenizer)
    masked = proof.masked_fraction([row["labels"] for row in tokenized])
    trained = [label for label in tokenized[0]["labels"] if label != -100]
    print(f"{masked:.0%} of all tokens carry no loss; row 1 is trained on this:")
    print(tokenizer.decode(trained))

    plan = schedule.plan(
        len(tokenized), effective_batch_size, num_epochs,
        learning_rate, warmup_steps, lr_scheduler,
    ).require_peak()  # fmt: skip
    print(plan.summary())
    return plan


QLORA = {
    "learning_rate": 2e-4,  # also the default of lora_sft
    "lr_scheduler": "linear",
    "warmup_steps": 10,
    "num_epochs": 3,
    "effective_batch_size": 16,  # rows per optimizer step
    "max_seq_len": 2048,  # rows that reach it are dropped
}


def qlora(
    model_path: str,
    data_path: str | Path,
    output_dir: str | Path,
    *,
    lora_r: int = 16,
    micro_batch_size: int = 2,
    **changes: Any,
) -> dict[str, Any]:
    """Train LoRA adapters on a 4-bit base; the same call again resumes.

    ``changes`` replace settings of ``QLORA``.
    """
    choice = backends.choose("lora_sft")  # a probe of this machine
    print(choice)
    backends.register()
    from training_hub import lora_sft

    run = QLORA | changes
    plan = preview(model_path, data_path, **run)
    return lora_sft(
        model_path=model_path,
        data_path=str(data_path),
        ckpt_output_dir=str(output_dir),
        backend=choice.backend,
        load_in_4bit=True,  # NF4, double quantization: pass no bnb_4bit_* argument
        lora_r=lora_r,
        lora_alpha=2 * lora_r,
        gradient_accumulation_steps=run["effective_batch_size"] // micro_batch_size,
        sample_packing=False,  # one row is one sample, as in the plan
        save_steps=max(1, plan.steps // 10),
        enable_jit_checkpoint=True,  # save on SIGTERM, and resume
        seed=0,
        **run,
    )


def check(
    result: Mapping[str, Any], held: Sequence[dict], learning_rate: float
) -> float:
    """Return the exact match on held-out rows; raise if the run trained nothing."""
    from snippets.backends import run_folder

    log = run_folder.read_log(result["trainer"].args.output_dir)
    rate = proof.lr_reached(log, learning_rate)
    ratio = proof.loss_dropped(log, by=0.1)
    moved = proof.only_adapters_changed(result["model"])
    print(f"highest learning rate {rate:.3g}, last loss / first loss {ratio:.2f}")
    print(f"{moved:,} adapter parameters moved, nothing else can")
    for answer in evaluate.answers(result["model"], result["tokenizer"], held[:3]):
        print(f"{answer.prompt}\n  -> {answer.generated}")
    return evaluate.exact_match(result["model"], result["tokenizer"], held)


def prepare_documents(
    data_path: str | Path, folder: str | Path, held_out_files: int
) -> tuple[str, str]:
    """Write ``train.jsonl`` and ``held.jsonl``; no file is in both.

    Every row holds a ``document`` and the name of the ``file`` it comes from.
    """
    rows = data.read_text(data_path)
    rows, twice = data.drop_duplicates(rows, text=lambda row: row["document"])
    train, held = data.split_by_group(rows, "file", held_out_files)
    texts = [[row["document"] for row in part] for part in (train, held)]
    leaks = data.contamination(*texts, n=13)
    print(f"{len(train)} documents to train on, {len(held)} held out")
    print(f"{len(twice)} duplicates dropped")
    print(f"{len(leaks)} held-out documents share 13 words in a row with training")
    written = [
        data.write_jsonl(Path(folder) / f"{name}.jsonl", part)
        for name, part in (("train", train), ("held", held))
    ]
    return str(written[0]), str(written[1])


def add_replay(train: str | Path, replay_path: str | Path, share: float) -> str:
    """Write the training documents with a share of replay, and return the file."""
    texts = [
        [row["document"] for row in data.read_text(file)]
        for file in (train, replay_path)
    ]
    mixed = replay.mix(*texts, share)
    file = Path(train).with_name(f"train-replay-{share * 100:g}.jsonl")
    return str(data.write_jsonl(file, [{"document": text} for text in mixed]))


def preview_documents(
    model_path: str,
    data_path: str | Path,
    *,
    block_size: int,
    effective_batch_size: int,
    num_epochs: int,
    learning_rate: float,
    warmup_steps: int,
) -> Schedule:
    """Print the token budget of a corpus and the steps it makes."""
    from transformers import AutoTokenizer

    from snippets.backends import batches

    tokenizer = AutoTokenizer.from_pretrained(model_path)
    settings = {"data_path": str(data_path), "block_size": block_size}
    blocks = batches.document_blocks(settings, tokenizer)
    print(f"{blocks.total_tokens:,} tokens in {len(blocks)} blocks of {block_size}")
    print(f"{effective_batch_size * block_size:,} tokens per step")
    plan = schedule.plan(
        len(blocks), effective_batch_size, num_epochs, learning_rate, warmup_steps
    ).require_peak()
    print(plan.summary())
    return plan


CPT = {
    "warmup_steps": 10,
    "num_epochs": 1,
    "effective_batch_size": 32,  # blocks per optimizer step, not documents
    "block_size": 2048,  # tokens per block
}


def cpt(
    model_path: str,
    data_path: str | Path,
    output_dir: str | Path,
    *,
    learning_rate: float,
    micro_batch_size: int = 1,
    save_samples: int = 0,
    **changes: Any,
) -> str:
    """Continue pre-training on documents; return the folder of the new model.

    ``changes`` replace settings of ``CPT``.
    """
    choice = backends.choose("sft")
    print(choice)
    backends.register()
    from training_hub import sft

    from snippets.backends import run_folder

    run = CPT | {"learning_rate": learning_rate} | changes
    preview_documents(model_path, data_path, **run)
    sft(
        model_path=model_path,
        data_path=str(data_path),
        ckpt_output_dir=str(output_dir),
        backend=choice.backend,
        is_pretraining=True,
        document_column_name="document",  # the default, too
        max_seq_len=run["block_size"],  # required, no effect on documents
        max_tokens_per_gpu=micro_batch_size * run["block_size"],
        save_samples=save_samples,  # blocks between checkpoints, 0: none
        enable_jit_checkpoint=True,  # save on SIGTERM
        random_seed=0,
        **TORCHRUN,
        **run,
    )
    return run_folder.final_model(output_dir)


def perplexities(folder: str, *files: str | Path) -> list[float]:
    """Return the perplexity of a model on the documents of each file."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = getattr(torch, hardware.compute_dtype())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map="auto")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [[row["document"] for row in data.read_text(file)] for file in files]
    return [evaluate.score(model, tokenizer, text).perplexity for text in texts]


def pick(
    base: str,
    candidates: Sequence[str],
    domain: str | Path,
    general: str | Path,
    limit: float = 1.3,
) -> str:
    """Return the candidate that knows the domain best and forgot little.

    A candidate counts only if its perplexity on the ``general`` file stays within
    ``limit`` times that of the base.
    """
    scores = {f: perplexities(f, domain, general) for f in [base, *candidates]}
    for folder, (on_domain, on_general) in scores.items():
        print(f"domain {on_domain:8.2f}  general {on_general:8.2f}  {folder}")
    most = limit * scores[base][1]
    kept = [folder for folder in candidates if scores[folder][1] <= most]
    if not kept:
        raise ValueError(
            f"every candidate forgot too much: general perplexity is above {most:.2f}, "
            f"{limit:g} times that of the base. Replay more, or train less."
        )
    return min(kept, key=lambda folder: scores[folder][0])


SFT = {
    "warmup_steps": 10,
    "num_epochs": 2,
    "effective_batch_size": 32,
    "max_seq_len": 2048,
}


def then_sft(
    model_path: str,
    data_path: str | Path,
    output_dir: str | Path,
    *,
    learning_rate: float,
    **changes: Any,
) -> str:
    """Teach a continued model to answer; return the folder of the new model.

    ``changes`` replace settings of ``SFT``.
    """
    choice = backends.choose("sft")
    print(choice)
    backends.register()
    from training_hub import sft

    from snippets.backends import run_folder

    run = SFT | {"learning_rate": learning_rate} | changes
    preview(model_path, data_path, lr_scheduler="cosine", **run)
    sft(
        model_path=model_path,
        data_path=str(data_path),
        ckpt_output_dir=str(output_dir),
        backend=choice.backend,
        max_tokens_per_gpu=run["max_seq_len"],
        enable_jit_checkpoint=True,
        random_seed=0,
        **TORCHRUN,
        **run,
    )
    return run_folder.final_model(output_dir)
