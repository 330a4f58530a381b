"""Lists the fields and parameters of TRL, PEFT and transformers, as installed."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from typing import Any

from verify.reference.asking import default_of, type_of, versions

LIBRARIES = ("transformers", "trl", "peft", "bitsandbytes")
# Class -> where it comes from. SFTConfig extends TrainingArguments: only its own shown.
CLASSES = {
    "TrainingArguments": "transformers",
    "SFTConfig": "trl",
    "LoraConfig": "peft",
    "BitsAndBytesConfig": "transformers",
}
FUNCTIONS = {
    "Trainer": "transformers",
    "SFTTrainer": "trl",
    "get_peft_model": "peft",
    "prepare_model_for_kbit_training": "peft",
    "PeftModel.from_pretrained": "peft",
    "LoraModel.merge_and_unload": "peft",
    "quantize_4bit": "bitsandbytes.functional",
    "dequantize_4bit": "bitsandbytes.functional",
    "Linear4bit": "bitsandbytes.nn",
}
UNSAID = "a new object each time"


def ask() -> dict[str, Any]:
    """Return type and default of every field and parameter, ready for JSON."""
    base = fields("TrainingArguments", "transformers")
    found = {name: fields(name, module) for name, module in CLASSES.items()}
    found["SFTConfig"] = {
        name: field
        for name, field in found["SFTConfig"].items()
        if field != base.get(name)
    }
    return {
        "versions": versions(LIBRARIES),
        "classes": found,
        "functions": {name: parameters(name, m) for name, m in FUNCTIONS.items()},
    }


def fields(name: str, module: str) -> dict[str, dict[str, str | None]]:
    """Return the fields that a class can be called with."""
    cls = getattr(importlib.import_module(module), name)
    if not dataclasses.is_dataclass(cls) or name == "BitsAndBytesConfig":
        return parameters(name, module)
    return {
        field.name: {"type": _type(field.type), "default": _default(field)}
        for field in dataclasses.fields(cls)
        if field.init
    }


def parameters(name: str, module: str) -> dict[str, dict[str, str | None]]:
    """Return the parameters of a function or a class."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return {
        parameter.name: {"type": type_of(parameter), "default": default_of(parameter)}
        for parameter in inspect.signature(found).parameters.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and parameter.name not in ("self", "cls")
    }


def _type(annotation: Any) -> str:
    return type_of(
        inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    )


def _default(field: dataclasses.Field) -> str | None:
    if field.default is not dataclasses.MISSING:
        return str(getattr(field.default, "value", field.default))
    factory = field.default_factory
    if factory is dataclasses.MISSING:
        return None
    made = factory()
    return str(made) if isinstance(made, list | dict | set | tuple) else UNSAID
