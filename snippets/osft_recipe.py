"""The published call of ``osft``, ready to copy, and the proof that it kept its word.

Patterns come from the model, and the recipe says how many matrices they protect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snippets import backends, osft, recipes

# What training_hub.osft takes, by its names; learning rates have no default there.
OSFT = {
    "unfreeze_rank_ratio": 0.25,  # a float: 1 is refused, 1.0 is not
    "warmup_steps": 10,
    "num_epochs": 2,
    "effective_batch_size": 32,
    "max_seq_len": 2048,
}


# region: train
def train(
    model_path: str,
    data_path: str | Path,
    output_dir: str | Path,
    *,
    learning_rate: float,
    micro_batch_size: int = 1,
    **changes: Any,
) -> str:
    """Train on conversations; return the folder of the new, plain model.

    ``changes`` replace settings of ``OSFT``, or add ``target_patterns``.
    """
    choice = backends.choose("osft")  # a probe of this machine
    print(choice)
    backends.register()
    from training_hub import osft as call

    from snippets.backends import run_folder

    patterns = changes.pop("target_patterns", None) or osft.target_patterns(model_path)
    run = OSFT | {"learning_rate": learning_rate} | changes
    ratio = run.pop("unfreeze_rank_ratio")
    recipes.preview(model_path, data_path, lr_scheduler="cosine", **run)
    result = call(
        model_path=model_path,
        data_path=str(data_path),
        ckpt_output_dir=str(output_dir),
        backend=choice.backend,
        unfreeze_rank_ratio=ratio,
        target_patterns=patterns,  # never leave them to the path of the model
        max_tokens_per_gpu=micro_batch_size * run["max_seq_len"],
        lr_scheduler="cosine",
        enable_jit_checkpoint=True,  # save on SIGTERM
        seed=0,
        **run,
    )
    if choice.backend == "mini-trainer-inprocess":
        kept_its_word(model_path, result["model"], patterns, ratio)
    return run_folder.final_model(output_dir)


# endregion: train


# region: kept_its_word
def kept_its_word(
    model_path: str, model: Any, patterns: list[str], unfreeze_rank_ratio: float
) -> float:
    """Return the worst share of a change in protected directions, at most 0.001.

    Parameters
    ----------
    model_path
        The model that was trained.
    model
        The result, still in factors and in float32.
    patterns, unfreeze_rank_ratio
        As in the call.

    Raises
    ------
    AssertionError
        If more lies there, and more than the rounding of a tiny change explains.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from snippets import subspace
    from snippets.backends import mini_trainer_osft

    before = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    names = osft.matched(before, patterns)
    after = mini_trainer_osft.dense_weights(model)
    leak = subspace.require_kept(before.state_dict(), after, names, unfreeze_rank_ratio)
    print(f"{len(names)} matrices, at most {leak:.1e} of a change is where it must not")
    return leak


# endregion: kept_its_word
