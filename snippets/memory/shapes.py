"""Reads the shapes of a model from its configuration alone: no weights, no download."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snippets.memory import FAMILIES, GEMMA, Geometry, GeometryError

# What a config.json of these families may leave out, as transformers 5.17 fills it in.
HEAD_DIM = {"gemma2": 256, "gemma3_text": 256, "qwen3": 128}
NEEDED = (
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "num_attention_heads",
    "vocab_size",
)
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


def _shape(family: str, *sizes: int, head: int = 0, tied: bool = False) -> dict:
    hidden, layers, inner, heads, key_value, vocabulary = sizes
    return {
        "model_type": family,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value,
        "vocab_size": vocabulary,
        "head_dim": head or hidden // heads,
        "tie_word_embeddings": tied,
    }


# region: shapes
# The published config.json of each: family, hidden, layers, inner, heads, key-value
# heads, vocabulary. tests/snippets/test_budget.py holds every one against the number
# of parameters that its model page states.
SHAPES: dict[str, dict[str, Any]] = {
    "Qwen2.5-0.5B": _shape("qwen2", 896, 24, 4864, 14, 2, 151936, tied=True),
    "Qwen2.5-1.5B": _shape("qwen2", 1536, 28, 8960, 12, 2, 151936, tied=True),
    "Qwen2.5-3B": _shape("qwen2", 2048, 36, 11008, 16, 2, 151936, tied=True),
    "Qwen2.5-7B": _shape("qwen2", 3584, 28, 18944, 28, 4, 152064),
    "Qwen2.5-14B": _shape("qwen2", 5120, 48, 13824, 40, 8, 152064),
    "Qwen2.5-32B": _shape("qwen2", 5120, 64, 27648, 40, 8, 152064),
    "Qwen2.5-72B": _shape("qwen2", 8192, 80, 29568, 64, 8, 152064),
    "Qwen3-0.6B": _shape("qwen3", 1024, 28, 3072, 16, 8, 151936, head=128, tied=True),
    "Qwen3-1.7B": _shape("qwen3", 2048, 28, 6144, 16, 8, 151936, head=128, tied=True),
    "Qwen3-4B": _shape("qwen3", 2560, 36, 9728, 32, 8, 151936, head=128, tied=True),
    "Qwen3-8B": _shape("qwen3", 4096, 36, 12288, 32, 8, 151936, head=128),
    "Qwen3-14B": _shape("qwen3", 5120, 40, 17408, 40, 8, 151936, head=128),
    "Llama-3.2-1B": _shape("llama", 2048, 16, 8192, 32, 8, 128256, head=64, tied=True),
    "Llama-3.2-3B": _shape("llama", 3072, 28, 8192, 24, 8, 128256, tied=True),
    "Llama-3.1-8B": _shape("llama", 4096, 32, 14336, 32, 8, 128256),
    "Llama-3.1-70B": _shape("llama", 8192, 80, 28672, 64, 8, 128256),
    "LLaMA-65B": _shape("llama", 8192, 80, 22016, 64, 64, 32000),
    "Mistral-7B-v0.3": _shape("mistral", 4096, 32, 14336, 32, 8, 32768),
    "granite-3.1-8b": _shape("granite", 4096, 40, 12800, 32, 8, 49155, tied=True),
    "gemma-2-9b": _shape("gemma2", 3584, 42, 14336, 16, 8, 256000, head=256, tied=True),
}
# endregion: shapes


# region: read
def read(model: str | Path | Mapping[str, Any]) -> Geometry:
    """Read the shapes of a model without its weights and without the network.

    Parameters
    ----------
    model
        A name of ``SHAPES``, a folder or a ``config.json``, a hub name whose
        configuration is in the cache, or the configuration itself.

    Raises
    ------
    GeometryError
        With one sentence: what cannot be read, or is not described, and what to do.
        Mixture-of-experts models are refused: their experts are not counted here.
    """
    return from_dict(_config(model))


def _config(model: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(model, Mapping):
        return model
    listed = {name.lower(): shape for name, shape in SHAPES.items()}
    if str(model).lower() in listed:
        return listed[str(model).lower()]
    path = Path(model)
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        file = _cached(str(model))
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GeometryError(f"{file} is not JSON ({error}); name another") from error
    if not isinstance(found, dict):
        raise GeometryError(f"{file} holds no configuration; name a config.json")
    return found


def _cached(name: str) -> Path:
    """Return the configuration that an earlier download left in the hub's cache."""
    where = None
    if name.count("/") == 1 and not name.startswith(("/", ".")):
        from huggingface_hub import try_to_load_from_cache

        where = try_to_load_from_cache(name, "config.json")
    if not isinstance(where, str):
        raise GeometryError(
            f'"{name}" is no folder, no config.json and not in the cache of the hub; '
            f"download it, or use one of the shapes {', '.join(SHAPES)}"
        )
    return Path(where)


# endregion: read


# region: from_dict
def from_dict(config: Mapping[str, Any]) -> Geometry:
    """Read the shapes from the content of a ``config.json``.

    A vision-language configuration is read for its ``text_config``. What it leaves out
    is filled in as transformers does for the family.
    """
    config = config.get("text_config") or config
    family = config.get("model_type", "(none)")
    experts = next((config[key] for key in EXPERTS if config.get(key)), 0)
    if experts:
        raise GeometryError(
            f'model type "{family}" has {experts} experts, and mixtures of experts are '
            f"not described here; use a dense model of {', '.join(FAMILIES)}"
        )
    missing = [name for name in NEEDED if not config.get(name)]
    if family in FAMILIES and missing:
        raise GeometryError(
            f"the configuration has no {', '.join(missing)}; paste a whole config.json"
        )
    return Geometry.from_config(_filled(dict(config), family))


def _filled(config: dict[str, Any], family: str) -> SimpleNamespace:
    heads = config.get("num_attention_heads")
    defaults = {
        "num_key_value_heads": heads,
        "head_dim": HEAD_DIM.get(family),
        "tie_word_embeddings": family in GEMMA,
    }
    given = {name: value for name, value in config.items() if value is not None}
    filled = SimpleNamespace(**{"model_type": family} | defaults | given)
    filled.get_text_config = lambda: filled
    return filled


# endregion: from_dict
