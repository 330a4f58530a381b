"""The published call of ``sft`` on conversations, whole and ready to copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snippets import backends, data, evaluate, hardware, proof, recipes


def train(
    model_path: str,
    data_path: str | Path,
    output_dir: str | Path,
    *,
    learning_rate: float,
    micro_batch_size: int = 1,
    save_samples: int = 0,
    **changes: Any,
) -> str:
    """Train all weights on conversations; return the folder of the new model.

    ``changes`` replace settings of ``recipes.SFT``.
    """
    choice = backends.choose("sft")  # a probe of this machine
    print(choice)
    backends.register()
    from training_hub import sft

    from snippets.backends import run_folder

    run = recipes.SFT | {"learning_rate": learning_rate} | changes
    recipes.preview(model_path, data_path, lr_scheduler="cosine", **run)
    sft(
        model_path=model_path,
        data_path=str(data_path),
        ckpt_output_dir=str(output_dir),
        backend=choice.backend,
        max_tokens_per_gpu=micro_batch_size * run["max_seq_len"],
        save_samples=save_samples,  # rows between checkpoints, 0: none
        enable_jit_checkpoint=True,  # save on SIGTERM
        random_seed=0,  # seed= has no effect in the default backend
        **recipes.TORCHRUN,
        **run,
    )
    return run_folder.final_model(output_dir)


def _load(folder: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = getattr(torch, hardware.compute_dtype())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map="auto")
    return model, AutoTokenizer.from_pretrained(folder)


def check(
    before: str, after: str, held: Sequence[dict], *, max_new_tokens: int = 256
) -> float:
    """Return the exact match on held-out rows; raise if no weight changed.

    Parameters
    ----------
    before, after
        Folders of the model that was trained and of the one that came out.
    held
        Conversations that nobody trained on; their last answers are asked for.
    """
    old, tokenizer = _load(before)
    was = evaluate.exact_match(old, tokenizer, held, max_new_tokens)
    weights = proof.base_fingerprint(old)
    del old
    hardware.release()

    new, tokenizer = _load(after)
    changed = proof.weights_changed(weights, proof.base_fingerprint(new))
    print(f"{changed} of {len(weights)} tensors changed")
    for answer in evaluate.answers(new, tokenizer, held[:3], max_new_tokens):
        print(f"{answer.prompt}\n  -> {answer.generated}")
    match = evaluate.exact_match(new, tokenizer, held, max_new_tokens)
    print(f"exact match {was:.2f} -> {match:.2f}")
    return match


def sweep(
    model_path: str,
    train_path: str | Path,
    dev_path: str | Path,
    folder: str | Path,
    rates: Sequence[float],
    **changes: Any,
) -> dict[float, float]:
    """Train at each learning rate; return the perplexity of the right answers.

    Lower is better. ``dev_path`` holds rows for this choice alone: the rows that you
    report must not have helped to choose.
    """
    dev, found = data.read_chat(dev_path), {}
    for rate in rates:
        place = Path(folder) / f"rate-{rate:g}"
        out = train(model_path, train_path, place, learning_rate=rate, **changes)
        model, tokenizer = _load(out)
        found[rate] = evaluate.score_answers(model, tokenizer, dev).perplexity
        print(f"learning rate {rate:g}: perplexity {found[rate]:.3f}")
        del model
        hardware.release()
    return found
