"""Which parameters each backend honors; any other one is an error, never silence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any


class ParameterError(ValueError):
    """A parameter of the call is unknown, not honored, or contradicts another one."""


# Name -> what the backend does with it. All backends honor these.
COMMON = {
    "model_path": "hub name or folder of the model",
    "data_path": "JSONL file",
    "ckpt_output_dir": "folder of the run: log, checkpoints, result",
    "num_epochs": "passes over the data",
    "effective_batch_size": "samples per optimizer step, over all processes",
    "micro_batch_size": "samples per forward pass and process",
    "gradient_accumulation_steps": "forward passes per optimizer step",
    "learning_rate": "peak learning rate",
    "max_seq_len": "longest sample in tokens; longer ones are dropped",
    "warmup_steps": "optimizer steps of linear warm-up",
    "lr_scheduler": "name of a transformers schedule",
    "beta1": "AdamW",
    "beta2": "AdamW",
    "eps": "AdamW",
    "weight_decay": "AdamW",
    "max_grad_norm": "gradient clipping",
    "seed": "data order, dropout and adapter initialization",
    "random_seed": "the same as seed, by instructlab-training's name",
    "bf16": "autocast to bfloat16; default: only on CUDA devices that have it",
    "gradient_checkpointing": "trade time for activation memory; default: CUDA only",
    "save_steps": "checkpoint every so many optimizer steps",
    "checkpoint_at_epoch": "checkpoint after every epoch",
    "save_total_limit": "checkpoints to keep",
    "logging_steps": "steps between lines of the loss log",
    "callbacks": "Training Hub callbacks",
    "enable_jit_checkpoint": "checkpoint on SIGTERM",
    "mlflow_tracking_uri": "MLflow server or SQLite file",
    "mlflow_experiment_name": "MLflow experiment",
    "mlflow_run_name": "MLflow run",
    "nproc_per_node": "processes on this machine, through torchrun",
    "trust_remote_code": "allow code from the model repository",
}
SFT = COMMON | {
    "max_tokens_per_gpu": "cap on tokens per forward pass and process",
    "save_samples": "checkpoint every so many samples",
    "is_pretraining": "raw documents instead of conversations",
    "block_size": "tokens per packed window, with is_pretraining",
    "document_column_name": "column of the documents; default document",
    "on_demand_checkpointing": "set by Training Hub for enable_jit_checkpoint",
}
LORA = COMMON | {
    "lora_r": "rank",
    "lora_alpha": "scale is alpha / r",
    "lora_dropout": "dropout before the adapter",
    "target_modules": "module names; default every linear layer",
    "use_rslora": "scale is alpha / sqrt(r)",
    "use_dora": "weight-decomposed LoRA",
    "init_lora_weights": "PEFT's initialization",
    "rank_pattern": "rank per module",
    "alpha_pattern": "alpha per module",
    "load_in_4bit": "QLoRA: bitsandbytes 4-bit base",
    "load_in_8bit": "bitsandbytes LLM.int8() base",
    "bnb_4bit_quant_type": "nf4 (default) or fp4",
    "bnb_4bit_compute_dtype": "default: what the hardware probe says",
    "bnb_4bit_use_double_quant": "default True",
    "assistant_only_loss": "default True; False trains on the full text",
    "field_messages": "column of the conversation; default messages",
}

# Values that switch a feature off. Passing them asks for nothing, so they are accepted.
OFF: dict[str, tuple[Any, ...]] = {
    "peft_enabled": (True,),
    "peft_type": ("lora",),
    "dataset_type": ("chat_template",),
    "sample_packing": (False,),
    "flash_attention": (False,),
    "disable_flash_attn": (True, False),
    "use_liger": (False,),
    "fp16": (False,),
    "tf32": (False,),
    "enable_model_splitting": (False,),
    "loftq_config": (None,),
    "accelerate_full_state_at_epoch": (False,),
    "nnodes": (1,),
    "node_rank": (0,),
    "checkpoint_storage": ("pvc",),
    "nproc_per_node": (1,),
    "trust_remote_code": (False,),
    "save_final_checkpoint": (True,),
    "use_processed_dataset": (False,),
    "unmask_messages": (False,),
}

# What decides the result: a run may only be resumed when these are unchanged.
IRRELEVANT = {
    "ckpt_output_dir", "callbacks", "enable_jit_checkpoint", "on_demand_checkpointing",
    "mlflow_tracking_uri", "mlflow_experiment_name", "mlflow_run_name",
    "save_steps", "save_samples", "save_total_limit", "checkpoint_at_epoch",
    "logging_steps", "nproc_per_node", "model_path", "data_path",
}  # fmt: skip


# region: check
def check(
    call: str, params: Mapping[str, Any], honored: Mapping[str, str]
) -> dict[str, Any]:
    """Return the parameters that were given, or raise for one that has no effect.

    Raises
    ------
    ParameterError
        Naming the parameter, the call and the nearest name that would work.
    """
    given = {name: value for name, value in params.items() if value is not None}
    for name, value in given.items():
        if name in honored or value in OFF.get(name, ()):
            continue
        if name in OFF:
            allowed = " or ".join(repr(v) for v in OFF[name])
            raise ParameterError(
                f"{call} does not honor {name}={value!r}: only {allowed} is accepted. "
                "Remove it, or use Training Hub's default backend."
            )
        near = difflib.get_close_matches(name, honored, n=1)
        hint = f"did you mean {near[0]}?" if near else "remove it."
        raise ParameterError(f"{call} does not honor the parameter {name}: {hint}")
    if "random_seed" in given:
        given["seed"] = given.pop("random_seed")
    return given


# endregion: check


def shaping(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that decide the result, ready for JSON."""
    return {
        name: value
        for name, value in sorted(params.items())
        if name not in IRRELEVANT and name not in OFF
    }
