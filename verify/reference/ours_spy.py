"""Spies for this handbook's backends: real data, real model, no training step."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from verify.reference import world
from verify.reference.torchrun_spy import Places

# Of the hundred fields of a configuration, those that a call never decides.
SKIPPED = {"auto_mapping", "peft_version", "quant_method", "runtime_config"}


class Reached(Exception):
    """The call came to where training starts; there is nothing more to see."""


def trainer_double(places: Places) -> type:
    """Return the double of transformers' Trainer."""

    class StoppingTrainer:
        """Keeps the real arguments, data and callbacks, and stops before training."""

        def __init__(self, *, args: Any, train_dataset: Any, **named: Any) -> None:
            places["TrainingArguments"] = args.to_dict()
            places["training data"] = shape(train_dataset)
            names = [callback_name(callback) for callback in named["callbacks"]]
            places["Trainer"] = {"callbacks": names}

        def remove_callback(self, callback: Any) -> None:
            """Keep all: nothing prints."""

        add_callback = remove_callback

        def train(self, resume_from_checkpoint: str | None = None) -> None:
            places["environment"] = world.settings()
            raise Reached

    return StoppingTrainer


def callback_name(callback: Any) -> str:
    """Return the class of a callback, or of the one it adapts."""
    return type(getattr(callback, "_hub_callback", callback)).__name__


def shape(dataset: Any) -> dict[str, int]:
    """Count the samples, their tokens, and those that carry a loss."""
    rows = [dataset[number] for number in range(len(dataset))]
    labels = [label for row in rows for label in list(row["labels"])]
    trained = sum(int(label) != -100 for label in labels)
    return {"samples": len(rows), "tokens": len(labels), "trained": trained}


def note_model(places: Places, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``from_pretrained`` as it is, but for a note of its arguments."""

    def from_pretrained(name: str, **named: Any) -> Any:
        quantized = named.get("quantization_config")
        plainly = {n: v for n, v in named.items() if n != "quantization_config"}
        places["from_pretrained"] = {"model": name, **plainly}
        if quantized is not None:
            places["BitsAndBytesConfig"] = kept(quantized.to_dict())
        return real(name, **named)

    return from_pretrained


def note_adapters(places: Places, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``get_peft_model`` as it is, but for a note of the LoraConfig."""

    def get_peft_model(model: Any, config: Any, **named: Any) -> Any:
        places["LoraConfig"] = kept(dataclasses.asdict(config))
        return real(model, config, **named)

    return get_peft_model


def note_matrices(places: Places, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``create_osft_model_class`` as it is; its loader's arguments are kept."""

    def create(base: type) -> type:
        made = real(base)
        loading = made.from_pretrained

        def from_pretrained(name: str, **named: Any) -> Any:
            places["OSFT model"] = {"model": name, **named}
            return loading(name, **named)

        made.from_pretrained = staticmethod(from_pretrained)
        return made

    return create


def note_launch(places: Places) -> Callable[..., None]:
    """Return what is called in place of ``subprocess.run`` to start torchrun."""

    def run(words: list[str], **named: Any) -> None:
        at = words.index("--nproc-per-node")
        places["torchrun"] = {"--nproc-per-node": words[at + 1]}
        raise Reached

    return run


def tokenized_once(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return the masking as it is; the same conversations are masked once a process."""

    def mask(model_path: str, conversations: list[Any]) -> Any:
        key = json.dumps([str(model_path), conversations])
        if key not in MASKED:
            MASKED[key] = real(model_path, conversations)
        return MASKED[key]

    return mask


MASKED: dict[str, Any] = {}


def kept(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the public fields of a configuration."""
    return {
        name: value
        for name, value in fields.items()
        if name not in SKIPPED and not name.startswith("_")
    }


@contextmanager
def ours() -> Iterator[Places]:
    """Yield what transformers, PEFT and bitsandbytes are given, filled by the call."""
    from transformers import AutoModelForCausalLM

    from snippets.backends import batches, launch, loop, mini_trainer_osft, peft_lora

    places: Places = {}
    real = AutoModelForCausalLM.from_pretrained
    adapters = note_adapters(places, peft_lora.get_peft_model)
    osft = mini_trainer_osft
    matrices = note_matrices(places, osft.create_osft_model_class)
    with ExitStack() as spies:
        for target, name, double in (
            (AutoModelForCausalLM, "from_pretrained", note_model(places, real)),
            (peft_lora, "get_peft_model", adapters),
            (osft, "create_osft_model_class", matrices),
            (loop, "Trainer", trainer_double(places)),
            (launch.subprocess, "run", note_launch(places)),
            (batches, "_mask", tokenized_once(batches._mask)),
        ):
            spies.enter_context(patch.object(target, name, double))
        yield places
