"""Only the configuration and the tokenizer of a model are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from snippets import memory
from snippets.memory import Geometry
from snippets.preflight.request import PreflightError

__all__ = ()  # steps of preflight.check

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


def read(model_path: str) -> tuple[Any, Any]:
    """Return configuration and tokenizer; nothing else is read or downloaded."""
    from transformers import AutoConfig, AutoTokenizer

    _check_name(model_path)
    try:
        config = AutoConfig.from_pretrained(model_path)
        return config, AutoTokenizer.from_pretrained(model_path)
    except (OSError, ValueError, KeyError) as error:
        what = str(error).strip().splitlines()[0].rstrip(".:") if str(error) else error
        if Path(model_path).is_dir():
            raise PreflightError(
                f"{model_path}: configuration or tokenizer cannot be read ({what}); "
                "download the model again, or name another folder in model_path"
            ) from error
        raise PreflightError(
            f'"{model_path}" is no folder here, and its configuration cannot be had '
            f"from the hub ({what}); without a network, name the folder of a "
            "downloaded model in model_path"
        ) from error


def _check_name(model_path: str) -> None:
    folder = Path(model_path)
    if not folder.is_dir():
        if folder.exists() or not HUB_NAME.fullmatch(model_path):
            raise PreflightError(
                f'model_path "{model_path}" is neither a folder nor a hub name: give '
                "the folder that holds config.json, or a name such as owner/model"
            )
        return
    needed = {"config.json": ("config.json",), "weights": WEIGHTS}
    needed["tokenizer"] = TOKENIZERS
    for what, names in needed.items():
        if not any(any(folder.glob(name)) for name in names):
            raise PreflightError(
                f"model_path {folder} holds no {what} ({' or '.join(names)}): name a "
                "folder that transformers can load a model from"
            )


def geometry_of(config: Any) -> Geometry:
    try:
        return Geometry.from_config(config)
    except memory.GeometryError as error:
        raise PreflightError(f"model_path: {error}") from error
