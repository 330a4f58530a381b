"""Takes one training step at a time on a small model and measures what each rung of
the out-of-memory ladder saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snippets.memory import measure


@dataclass(frozen=True)
class Step:
    """How one step is taken; the defaults are the foot of the ladder."""

    method: str = "full"  # full, lora or qlora
    rows: int = 8
    tokens: int = 256  # a row
    micro_batch: int = 8  # rows a forward pass
    checkpointing: bool = False
    chunk: int = 0  # tokens whose logits exist at once; 0: all
    r: int = 16
    optimizer: str = "AdamW"  # of torch, or a class of bitsandbytes.optim
    dtype: str = "float32"
    autocast: bool = False  # compute in bfloat16


@dataclass(frozen=True)
class Measured:
    """Bytes that one step took."""

    weights: int  # adapters too
    gradients: int
    optimizer: int
    peak: int  # the most at once beyond these
    saved: int  # kept for the backward pass of the last forward pass
    loss: float
    gradient: Any = field(repr=False)  # of the first trained weight

    def parts(self) -> dict[str, int]:
        """Return the bytes of every part by name."""
        names = ("weights", "gradients", "optimizer", "peak")
        return {name: getattr(self, name) for name in names}

    @property
    def total(self) -> int:
        """The sum at the peak of the step."""
        return sum(self.parts().values())


# region: chunked_loss
def chunked_loss(hidden: Any, head: Any, labels: Any, chunk: int) -> Any:
    """Return the mean cross-entropy of next tokens, a few tokens' logits at a time.

    The logits of a chunk are thrown away and computed again in the backward pass, so
    that only ``chunk`` x vocabulary of them exist at once.

    Parameters
    ----------
    hidden
        Last hidden states, of shape (rows, tokens, hidden).
    head
        Weight of the output head, of shape (vocabulary, hidden).
    labels
        Token ids, of shape (rows, tokens).
    chunk
        Tokens at once.
    """
    from torch.nn.functional import cross_entropy, linear
    from torch.utils.checkpoint import checkpoint

    def part(states: Any, wanted: Any) -> Any:
        return cross_entropy(linear(states, head).float(), wanted, reduction="sum")

    states, wanted = hidden[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    parts = zip(states.split(chunk), wanted.split(chunk), strict=True)
    sums = [checkpoint(part, *one, use_reentrant=False) for one in parts]
    return sum(sums) / len(wanted)


# endregion: chunked_loss


# region: take
def take(config: Any, step: Step, folder: str | Path) -> Measured:
    """Take a step twice, measure the second one, and let the optimizer move once.

    Parameters
    ----------
    config
        Of a small transformers model; its weights are made at random.
    step
        How.
    folder
        Where a model is written to be read in 4 bits.
    """
    import torch

    torch.manual_seed(0)
    model = _model(config, step, Path(folder)).train()
    if step.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    ids = torch.randint(0, config.vocab_size, (step.rows, step.tokens))
    free = [one for one in model.parameters() if one.requires_grad]
    with measure.saved_tensors(model) as saved:
        _loss(model, ids[: step.micro_batch], step)
    losses = _accumulate(model, ids, step)()
    gradient = free[0].grad.clone()
    peak = measure.peak_bytes(_accumulate(model, ids, step))
    optimizer = _optimizer(step.optimizer, free)
    optimizer.step()
    return Measured(
        weights=_weights(model),
        gradients=measure.gradient_bytes(model),
        optimizer=measure.optimizer_bytes(optimizer),
        peak=peak,
        saved=saved.total,
        loss=losses,
        gradient=gradient,
    )


def _accumulate(model: Any, ids: Any, step: Step) -> Callable[[], float]:
    def work() -> float:
        total = 0.0
        for rows in ids.split(step.micro_batch):
            loss = _loss(model, rows, step) * len(rows) / step.rows
            loss.backward()
            total += loss.item()
        return total

    return work


def _loss(model: Any, rows: Any, step: Step) -> Any:
    import torch

    with torch.autocast("cpu", torch.bfloat16, enabled=step.autocast):
        if not step.chunk:
            return model(input_ids=rows, labels=rows, use_cache=False).loss
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        states = inner.model(input_ids=rows, use_cache=False).last_hidden_state
        return chunked_loss(states, inner.lm_head.weight, rows, step.chunk)


# endregion: take


# region: parts
def _model(config: Any, step: Step, folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    dtype = getattr(torch, step.dtype)
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    if step.method == "full":
        return model
    from peft import LoraConfig, get_peft_model

    if step.method == "qlora":
        model.save_pretrained(folder)
        model = _quantized(folder, dtype)
    adapter = LoraConfig(task_type="CAUSAL_LM", r=step.r, target_modules="all-linear")
    return get_peft_model(model, adapter)


def _quantized(folder: Path, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    return AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        device_map={"": "cpu"},
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        ),
    )


def _weights(model: Any) -> int:
    from snippets.memory import measured_footprint

    rotary = [one for name, one in model.named_buffers() if "inv_freq" in name]
    return measured_footprint(model).total - measure.tensor_bytes(rotary)


def _optimizer(name: str, parameters: list[Any]) -> Any:
    if name == "AdamW":
        from torch.optim import AdamW

        return AdamW(parameters)
    from bitsandbytes import optim

    return getattr(optim, name)(parameters)


# endregion: parts
