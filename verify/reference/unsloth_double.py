"""A double of unsloth that keeps what ``lora_sft`` hands to it; it trains nothing.

unsloth needs a CUDA device. Its two loaders, its adapter call and TRL's SFTConfig and
SFTTrainer are stood in for; Training Hub's own backend runs for real between them. A
name that the installed SFTConfig does not have is kept apart: the real class raises a
TypeError for it, and unsloth's patched one drops it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

from verify.reference import world
from verify.reference.torchrun_spy import Places

LOADED, ADAPTED = "from_pretrained", "get_peft_model"
CONFIG, UNKNOWN = "SFTConfig", "not in SFTConfig"
TRAINER, DATA, EVALUATION = "SFTTrainer", "training data", "evaluation data"


def loader(places: Places) -> type:
    """Return the double of FastLanguageModel and FastModel."""
    from transformers import AutoConfig, AutoTokenizer

    class RecordingLoader:
        """Keeps its arguments; returns a real config and tokenizer, and no weights."""

        @staticmethod
        def from_pretrained(model_name: str, **named: Any) -> tuple[Any, Any]:
            places[LOADED] = {"model_name": model_name, **named}
            config = AutoConfig.from_pretrained(model_name)
            model = SimpleNamespace(config=config, supports_gradient_checkpointing=True)
            return model, AutoTokenizer.from_pretrained(model_name)

        @staticmethod
        def get_peft_model(model: Any, **named: Any) -> Any:
            places[ADAPTED] = named
            return model

    return RecordingLoader


def config_double(places: Places) -> Any:
    """Return what is called in place of SFTConfig: it keeps names, known and not."""
    from trl import SFTConfig

    known = {field.name for field in dataclasses.fields(SFTConfig)}

    def build(**named: Any) -> SimpleNamespace:
        places[CONFIG] = {n: v for n, v in named.items() if n in known}
        places[UNKNOWN] = {n: v for n, v in named.items() if n not in known}
        return SimpleNamespace(**named)

    return build


def trainer_double(places: Places) -> type:
    """Return the double of SFTTrainer."""

    class RecordingTrainer:
        """Keeps its data and callbacks; ``train`` returns at once."""

        def __init__(self, train_dataset: Any, **named: Any) -> None:
            self.callbacks: list[str] = []
            places[DATA] = shape(train_dataset)
            places[TRAINER] = {"callbacks": self.callbacks, "saved": False}
            if "eval_dataset" in named:
                places[EVALUATION] = shape(named["eval_dataset"])

        def add_callback(self, callback: Any) -> None:
            inner = getattr(callback, "_hub_callback", callback)
            self.callbacks.append(type(inner).__name__)

        def train(self, resume_from_checkpoint: str | None = None) -> None:
            places["environment"] = world.settings()
            places[TRAINER]["resume_from_checkpoint"] = resume_from_checkpoint

        def save_model(self, folder: str) -> None:
            places[TRAINER]["saved"] = True

    return RecordingTrainer


def shape(dataset: Any) -> dict[str, Any]:
    """Return what a dataset is made of."""
    first = dataset[0].get("text", dataset[0])
    columns = list(dataset.column_names)
    return {"rows": len(dataset), "columns": columns, "first row": first}


@contextmanager
def unsloth() -> Iterator[Places]:
    """Yield what unsloth and TRL are given, filled by the call."""
    import trl

    places: Places = {}
    double = ModuleType("unsloth")
    double.FastModel = double.FastLanguageModel = loader(places)
    double.UnslothVisionDataCollator = lambda **named: None
    config, trainer = config_double(places), trainer_double(places)
    with (
        patch.dict("sys.modules", {"unsloth": double}),
        patch.object(trl, "SFTConfig", config),
        patch.object(trl, "SFTTrainer", trainer),
    ):
        yield places
