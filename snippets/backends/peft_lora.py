"""``lora_sft(backend="peft")``: LoRA and QLoRA with PEFT and bitsandbytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from training_hub import Backend
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from snippets import hardware
from snippets.backends import launch, loop, parameters, run_folder
from snippets.backends.batches import chat_rows
from snippets.backends.parameters import ParameterError


class PeftLoRABackend(Backend):
    """Train LoRA adapters on any device that PyTorch runs on."""

    def execute_training(self, algorithm_params: dict[str, Any]) -> dict[str, Any]:
        """Train and save the adapter; called by ``training_hub.lora_sft``.

        Returns
        -------
        dict
            ``model``, ``tokenizer``, ``trainer`` as the unsloth backend returns them,
            and ``output``, the folder with the adapter. With ``nproc_per_node`` above 1
            the model lives in other processes, and only ``output`` is returned.
        """
        call = 'lora_sft(backend="peft")'
        p = parameters.check(call, algorithm_params, parameters.LORA)
        if launch.wanted(p):
            return launch.torchrun("lora_sft", p)
        tokenizer = loop.load_tokenizer(p)
        rows = chat_rows(p, tokenizer)
        checkpointing = bool(p.get("gradient_checkpointing", torch.cuda.is_available()))
        model = add_adapters(load_base(p, checkpointing), p)
        defaults = {"learning_rate": 2e-4, "lr_scheduler": "linear"}
        defaults |= {"max_grad_norm": 0.3, "num_epochs": 3}
        trainer = loop.train("lora_sft", p, model, tokenizer, rows, **defaults)
        folder = Path(p["ckpt_output_dir"])
        if trainer.is_world_process_zero():
            with loop.explain_disk(trainer.args):
                run_folder.place(folder, lambda out: _save(model, tokenizer, out))
            run_folder.finish(folder)
        return {
            "model": model,
            "tokenizer": tokenizer,
            "trainer": trainer,
            "output": str(folder),
        }


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


# region: quantization
def quantization(p: dict[str, Any]) -> BitsAndBytesConfig | None:
    """Return the bitsandbytes configuration that the parameters ask for.

    4-bit means NF4 with double quantization unless said otherwise: 4.127 bits per
    parameter (Dettmers et al. 2023, arXiv:2305.14314).
    """
    if p.get("load_in_8bit"):
        return BitsAndBytesConfig(load_in_8bit=True)
    if not p.get("load_in_4bit"):
        return None
    compute = p.get("bnb_4bit_compute_dtype") or hardware.compute_dtype()
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=p.get("bnb_4bit_quant_type", "nf4"),
        bnb_4bit_use_double_quant=p.get("bnb_4bit_use_double_quant", True),
        bnb_4bit_compute_dtype=getattr(torch, str(compute).removeprefix("torch.")),
    )


# endregion: quantization


# region: load_base
def load_base(p: dict[str, Any], checkpointing: bool = False) -> Any:
    """Load the base model, quantized if the parameters say so, ready for adapters."""
    config = quantization(p)
    place = {"device_map": loop.device_map()} if config else {}
    model = AutoModelForCausalLM.from_pretrained(
        p["model_path"],
        quantization_config=config,
        dtype=None if config else getattr(torch, hardware.compute_dtype()),
        trust_remote_code=p.get("trust_remote_code", False),
        **place,
    )
    if config is None:
        return model
    keep_4bit_layout(model)
    reentrant = {"use_reentrant": False} if checkpointing else None
    return prepare_model_for_kbit_training(
        model,
        use_gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs=reentrant,
    )


# endregion: load_base


# region: keep_4bit_layout
def keep_4bit_layout(model: Any) -> Any:
    """Stop bitsandbytes from repacking 4-bit weights in place on AVX512-BF16 CPUs.

    On such CPUs the first forward pass without gradients turns each ``Linear4bit`` into
    a layout of its own: block scales are rounded to bfloat16 and double quantization is
    undone (``bitsandbytes.nn.Linear4bit.forward``). The frozen base is then no longer
    bit-identical, and merging gives garbage without an error. Call this right after
    loading; elsewhere it changes nothing.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
    return model


# endregion: keep_4bit_layout


# region: add_adapters
def add_adapters(model: Any, p: dict[str, Any]) -> Any:
    """Attach LoRA adapters; the seed decides their random half.

    Raises
    ------
    ParameterError
        If one of ``target_modules`` matches no module.
    """
    targets = p.get("target_modules") or "all-linear"
    if isinstance(targets, list | tuple):
        require_targets(model, list(targets))
    torch.manual_seed(p.get("seed", 3407))
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=p["lora_r"],
        lora_alpha=p["lora_alpha"],
        lora_dropout=p.get("lora_dropout", 0.0),
        target_modules=targets,
        use_rslora=p.get("use_rslora", False),
        use_dora=p.get("use_dora", False),
        init_lora_weights=p.get("init_lora_weights", True),
        rank_pattern=p.get("rank_pattern", {}),
        alpha_pattern=p.get("alpha_pattern", {}),
    )
    return get_peft_model(model, config)


# endregion: add_adapters


def require_targets(model: Any, targets: list[str]) -> None:
    """Raise for the first target that is no module; PEFT checks only all together."""
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    endings = sorted({n.rsplit(".", 1)[-1] for n in names} - {"lm_head"})
    for target in targets:
        if not any(n == target or n.endswith("." + target) for n in names):
            raise ParameterError(
                f'target_modules: "{target}" matches no linear layer of this model; '
                f"it has {', '.join(endings)}. None means all of them."
            )
