"""Three ways to merge a QLoRA adapter, and how far each is from what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from snippets import hardware
from snippets.backends import loop, run_folder
from snippets.backends.peft_lora import load_base

How = Literal["dequantize", "requantize", "original"]


# region: merge
def merge(model_path: str, adapter: str | Path, how: How) -> Any:
    """Return a model without adapters.

    Parameters
    ----------
    model_path
        The base the adapter was trained on: hub name or folder.
    adapter
        Folder with ``adapter_model.safetensors``.
    how
        ``"dequantize"``: expand the NF4 weights to 16 or 32 bit, then add the adapter.
        This is the model that was trained.
        ``"requantize"``: add the adapter to each NF4 layer and quantize the sum again
        (what ``merge_and_unload`` does on a 4-bit model); small updates are rounded
        away.
        ``"original"``: add the adapter to the weights before quantization. The adapter
        never saw them, so this is a third model; measure it before you use it.
    """
    dtype = getattr(torch, hardware.compute_dtype())
    if how == "original":
        base = AutoModelForCausalLM.from_pretrained(
            model_path, dtype=dtype, device_map=loop.device_map()
        )
    else:
        base = load_base({"model_path": model_path, "load_in_4bit": True})
        base = base.dequantize(dtype).to(dtype) if how == "dequantize" else base
    return PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()


# endregion: merge


def load_adapter(model_path: str, adapter: str | Path) -> Any:
    """Return the NF4 base with the trained adapter on it, as it was in training."""
    base = load_base({"model_path": model_path, "load_in_4bit": True})
    return PeftModel.from_pretrained(base, str(adapter)).eval()


def logits(model: Any, input_ids: torch.Tensor) -> torch.Tensor:
    """Return the logits, shape ``(batch, tokens, vocabulary)``, in float32."""
    model.eval()
    with torch.no_grad():
        return model(input_ids=input_ids.to(model.device)).logits.float().cpu()


def agreement(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the share of positions where both models prefer the same token."""
    return (first.argmax(-1) == second.argmax(-1)).float().mean().item()


def save(model: Any, tokenizer: Any, folder: str | Path) -> Path:
    """Save a merged model in bfloat16, beside and then moved into place."""
    half = model.to(torch.bfloat16)

    def write(out: Path) -> None:
        half.save_pretrained(out)
        tokenizer.save_pretrained(out)

    run_folder.place(Path(folder), write)
    return Path(folder)
