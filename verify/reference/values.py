"""What each parameter is called with: one value no library would choose by itself.

A path whose first part is in capitals, such as ``OUT/elsewhere``, lies in the folder
that ``world.workspace`` makes; results name it the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Call = Mapping[str, Any]
DOCUMENTS = {"is_pretraining": True, "block_size": 64, "data_path": "DOCUMENTS.jsonl"}
FOUR_BIT = {"load_in_4bit": True}
VISION = {"model_path": "VISION"}
ALONE: tuple[Call, ...] = ({},)


@dataclass(frozen=True)
class Plan:
    """How one algorithm is called.

    Attributes
    ----------
    base : mapping
        The shortest call that its default backend accepts.
    probes : mapping
        Names the function does not have, or values of a wrong type, and what to pass.
    beside : mapping
        Parameter to the sets of others that it is tried beside; alone without an entry.
    """

    base: Call
    probes: Call
    beside: Mapping[str, tuple[Call, ...]] = field(default_factory=dict)


PATHS = {"model_path": "MODEL", "data_path": "DATA.jsonl", "ckpt_output_dir": "OUT"}

# Parameter -> the value it is called with, for every algorithm that has it.
VALUES: dict[str, Any] = {
    "model_path": "OTHER",
    "data_path": "EVAL.jsonl",
    "eval_data_path": "EVAL.jsonl",
    "ckpt_output_dir": "OUT/elsewhere",
    "data_output_dir": "OUT/processed",
    "num_epochs": 7,
    "effective_batch_size": 6,
    "micro_batch_size": 3,
    "gradient_accumulation_steps": 5,
    "per_device_eval_batch_size": 9,
    "learning_rate": 0.00037,
    "max_seq_len": 384,
    "max_tokens_per_gpu": 777,
    "block_size": 48,
    "save_samples": 24,
    "warmup_steps": 1,
    "lr_scheduler": "constant_with_warmup",
    "lr_scheduler_kwargs": {"num_cycles": "2"},
    "accelerate_full_state_at_epoch": False,
    "checkpoint_at_epoch": True,
    "save_final_checkpoint": False,
    "is_pretraining": True,
    "document_column_name": "text",
    "beta1": 0.77,
    "beta2": 0.88,
    "eps": 1e-05,
    "weight_decay": 0.033,
    "max_grad_norm": 0.44,
    "seed": 1234,
    "random_seed": 1234,
    "use_liger": True,
    "use_processed_dataset": True,
    "unmask_messages": True,
    "unfreeze_rank_ratio": 0.42,
    "target_patterns": ["self_attn"],
    "nproc_per_node": 2,
    "nnodes": 3,
    "node_rank": 1,
    "rdzv_id": 4321,
    "rdzv_endpoint": "node-7:29400",
    "master_addr": "node-7",
    "master_port": 29777,
    "wandb_project": "a-project",
    "wandb_entity": "an-entity",
    "wandb_run_name": "a-run",
    "tensorboard_log_dir": "OUT/tensorboard",
    "mlflow_tracking_uri": "http://tracking.invalid",
    "mlflow_experiment_name": "an-experiment",
    "mlflow_run_name": "a-run",
    "trust_remote_code": True,
    "callbacks": "CALLBACK",
    "enable_jit_checkpoint": True,
    "checkpoint_storage": "memory://bucket/prefix",
    "lora_r": 5,
    "lora_alpha": 11,
    "lora_dropout": 0.07,
    "target_modules": ["q_proj"],
    "load_in_4bit": True,
    "load_in_8bit": True,
    "bnb_4bit_quant_type": "fp4",
    "bnb_4bit_compute_dtype": "float16",
    "bnb_4bit_use_double_quant": False,
    "flash_attention": True,
    "sample_packing": False,
    "bf16": False,
    "fp16": True,
    "tf32": True,
    "save_steps": 13,
    "eval_steps": 17,
    "logging_steps": 19,
    "save_total_limit": 4,
    "dataset_type": "passthrough",
    "field_messages": "dialog",
    "field_instruction": "question",
    "field_input": "given",
    "field_output": "answer",
    "enable_model_splitting": True,
    "finetune_vision_layers": True,
    "finetune_language_layers": False,
}

# Names that other documents mention, and two that a finger slips to.
ELSEWHERE: dict[str, Any] = {
    name: VALUES[name]
    for name in (
        "seed",
        "random_seed",
        "logging_steps",
        "lr_scheduler",
        "max_grad_norm",
    )
} | {
    "max_steps": 21,
    "disable_flash_attn": True,
    "gradient_checkpointing": True,
    "learning_rat": 0.5,
    "num_epoch": 5,
}
ALPACA = {"dataset_type": "alpaca", "data_path": "ALPACA.jsonl"}
EVALUATED = {"eval_data_path": "EVAL.jsonl"}
ADDRESS: tuple[Call, ...] = ({}, {"master_addr": "node-7"})

PLANS = {
    "sft": Plan(
        base=PATHS
        | {"num_epochs": 2, "effective_batch_size": 4}
        | {"learning_rate": 0.0001, "max_seq_len": 512},
        probes=ELSEWHERE
        | {name: VALUES[name] for name in ("use_processed_dataset", "use_liger")}
        | {name: VALUES[name] for name in ("save_final_checkpoint", "unmask_messages")}
        | {name: VALUES[name] for name in ("micro_batch_size", "trust_remote_code")}
        | {"bf16": False, "max_batch_len": 888, "keep_last_checkpoint_only": True}
        | {"validation_split": 0.25, "on_demand_checkpointing": True}
        | {"gradient_accumulation_steps": 2, "save_steps": 13},
        beside={
            "is_pretraining": (
                {},
                {"block_size": 64, "data_path": "DOCUMENTS.jsonl"},
            ),
            "block_size": ({}, DOCUMENTS),
            "document_column_name": ({}, DOCUMENTS),
            "beta1": ({}, {"beta2": 0.95}),
            "beta2": ({}, {"beta1": 0.9}),
            "master_port": ADDRESS,
            "validation_split": ({}, {"validation_frequency": 5}),
            "micro_batch_size": ({"effective_batch_size": 12},),
        },
    ),
    "osft": Plan(
        base=PATHS
        | {"unfreeze_rank_ratio": 0.25, "effective_batch_size": 4}
        | {"max_tokens_per_gpu": 2048, "max_seq_len": 512, "learning_rate": 0.0001},
        probes=ELSEWHERE
        | {"training_mode": "step", "osft_upcast_dtype": "bfloat16", "bf16": False}
        | {"train_dtype": "bfloat16", "save_dtype": "bfloat16", "osft": False}
        | {"min_samples_per_checkpoint": 24, "validation_split": 0.25}
        | {"save_best_val_loss": True, "micro_batch_size": 2, "save_steps": 13},
        beside={
            "is_pretraining": (
                {},
                {"block_size": 64, "data_path": "DOCUMENTS.jsonl"},
            ),
            "block_size": ({}, DOCUMENTS),
            "document_column_name": ({}, DOCUMENTS),
            "master_port": ADDRESS,
            "wandb_entity": ({}, {"wandb_project": "p"}),
            "wandb_run_name": ({}, {"wandb_project": "p"}),
            "mlflow_experiment_name": ({}, {"mlflow_tracking_uri": "http://t.invalid"}),
            "mlflow_run_name": ({}, {"mlflow_tracking_uri": "http://t.invalid"}),
            "validation_split": ({}, {"validation_frequency": 5}),
            "save_best_val_loss": (
                {},
                {"validation_split": 0.1, "validation_frequency": 5},
            ),
            "max_steps": ({}, {"training_mode": "step"}),
        },
    ),
    "lora_sft": Plan(
        base=PATHS,
        probes=ELSEWHERE
        | {name: VALUES[name] for name in ("weight_decay", "beta1", "eps")}
        | {name: VALUES[name] for name in ("max_tokens_per_gpu", "save_samples")}
        | {name: VALUES[name] for name in ("checkpoint_at_epoch", "data_output_dir")}
        | {"use_rslora": True, "use_dora": True, "init_lora_weights": "gaussian"}
        | {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"q_proj": 9}}
        | {"loftq_config": {"loftq_bits": 4}, "optim": "paged_adamw_8bit"}
        | {"assistant_only_loss": False, "save_model": False, "use_liger": True}
        | {"lr_scheduler_type": "constant", "is_pretraining": True},
        beside={
            "micro_batch_size": ({}, {"effective_batch_size": 12}),
            "gradient_accumulation_steps": ({}, {"effective_batch_size": 10}),
            "bnb_4bit_quant_type": ({}, FOUR_BIT),
            "bnb_4bit_compute_dtype": ({}, FOUR_BIT),
            "bnb_4bit_use_double_quant": ({}, FOUR_BIT),
            "eval_steps": ({}, EVALUATED),
            "per_device_eval_batch_size": ({}, EVALUATED),
            "wandb_entity": ({}, {"wandb_project": "p"}),
            "field_messages": ({"data_path": "DIALOGS.jsonl"},),
            "field_instruction": ({}, ALPACA),
            "field_input": ({}, ALPACA),
            "field_output": ({}, ALPACA),
            "finetune_vision_layers": ({}, VISION),
            "finetune_language_layers": ({}, VISION),
            "fp16": ({}, {"bf16": False}),
        },
    ),
}

# A value of the wrong type for a parameter that exists: osft tells int from float.
TYPES: dict[str, Call] = {
    "osft": {"learning_rate": 1, "unfreeze_rank_ratio": 1, "warmup_steps": 1.0},
    "sft": {"learning_rate": "0.002", "num_epochs": 1.5},
    "lora_sft": {},
}
