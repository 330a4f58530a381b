"""The names whose history is worth a table: what they were, what they are now."""

from __future__ import annotations

from dataclasses import dataclass

# How far back one looks.
OLDEST = {"transformers": "4.36.0", "trl": "0.7.4", "peft": "0.4.0"}


@dataclass(frozen=True)
class Name:
    """A field or parameter of ``owner``; ``owner`` itself where there is no member."""

    package: str
    owner: str
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.owner}({self.member}=)" if self.member else self.owner


@dataclass(frozen=True)
class Rename:
    """An old name, what stands for it now, and what else a reader must know."""

    what: str
    old: Name
    new: Name | None = None
    note: str = ""


def argument(
    old: str,
    new: str | None,
    what: str,
    note: str = "",
    owner: str = "TrainingArguments",
) -> Rename:
    """Return the rename of one field within a class of transformers."""
    after = Name("transformers", owner, new) if new else None
    return Rename(what, Name("transformers", owner, old), after, note)


def trl(owner: str, old: str, new: Name | None, what: str, note: str = "") -> Rename:
    """Return the rename of a field or parameter of TRL."""
    return Rename(what, Name("trl", owner, old), new, note)


def config(member: str) -> Name:
    """Return a field of TRL's SFTConfig."""
    return Name("trl", "SFTConfig", member)


RENAMES = (
    argument("evaluation_strategy", "eval_strategy", "when to evaluate"),
    argument("no_cuda", "use_cpu", "stay on the CPU"),
    argument(
        "gradient_checkpointing", "activation_checkpointing", "activation checkpointing"
    ),
    argument(
        "gradient_checkpointing_kwargs",
        "activation_checkpointing_kwargs",
        "its settings, use_reentrant among them",
    ),
    argument("logging_dir", None, "where TensorBoard writes"),
    Rename(
        "length of the warm-up",
        Name("transformers", "TrainingArguments", "warmup_ratio"),
        Name("transformers", "TrainingArguments", "warmup_steps"),
        "below 1, a share of all steps (5.17.0)",
    ),
    argument("group_by_length", "train_sampling_strategy", "batches of equal length"),
    argument("save_safetensors", None, "format of the weights"),
    argument("overwrite_output_dir", None, "write into a folder that is not empty"),
    argument("push_to_hub_token", "hub_token", "token of the hub"),
    argument("include_inputs_for_metrics", "include_for_metrics", "inputs of metrics"),
    argument("tpu_num_cores", None, "cores of a TPU"),
    argument("tokenizer", "processing_class", "the tokenizer", owner="Trainer"),
    argument(
        "torch_dtype",
        "dtype",
        "data type of the weights",
        owner="PreTrainedModel.from_pretrained",
    ),
    argument(
        "load_in_4bit",
        "quantization_config",
        "quantize while loading",
        owner="PreTrainedModel.from_pretrained",
    ),
    trl("SFTConfig", "max_seq_length", config("max_length"), "longest sample"),
    trl("SFTTrainer", "max_seq_length", config("max_length"), "longest sample"),
    trl("SFTTrainer", "packing", config("packing"), "packing"),
    trl("SFTTrainer", "dataset_text_field", config("dataset_text_field"), "column"),
    trl("SFTTrainer", "model_init_kwargs", config("model_init_kwargs"), "loading"),
    trl("SFTTrainer", "neftune_noise_alpha", None, "NEFTune", "in TrainingArguments"),
    trl(
        "SFTTrainer",
        "tokenizer",
        Name("trl", "SFTTrainer", "processing_class"),
        "the tokenizer",
    ),
    trl("SFTConfig", "use_liger", None, "Liger kernels", "now use_liger_kernel"),
    trl("SFTConfig", "num_of_sequences", None, "packing by a guess of lengths"),
    trl("SFTConfig", "chars_per_token", None, "packing by a guess of lengths"),
    Rename(
        "loss on answers only",
        Name("trl", "DataCollatorForCompletionOnlyLM"),
        config("completion_only_loss"),
    ),
    Rename(
        "loss on assistant turns only",
        Name("trl", "DataCollatorForCompletionOnlyLM"),
        config("assistant_only_loss"),
    ),
    Rename("packed dataset", Name("trl", "ConstantLengthDataset"), config("packing")),
    Rename("chat template of a base", Name("trl", "setup_chat_format"),
           Name("trl", "clone_chat_template")),
    Rename(
        "prepare a quantized base",
        Name("peft", "prepare_model_for_int8_training"),
        Name("peft", "prepare_model_for_kbit_training"),
    ),
)  # fmt: skip
