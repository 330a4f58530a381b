"""Name the matrices OSFT protects, from the model itself and not from its path."""

from __future__ import annotations

from typing import Any


# region: target_patterns
def target_patterns(model_path: str) -> list[str]:
    """Return ``target_patterns`` for ``training_hub.osft``: all layer matrices.

    Left to itself, mini-trainer 0.9.0 looks for known names in the *path* of the model,
    ``opt`` before ``granite`` and ``qwen``. A model below a folder ``/opt`` is taken
    for an OPT model, and most of its matrices are silently left unprotected
    (``mini_trainer.osft_utils.get_model_patterns``). Only the configuration is read.

    Parameters
    ----------
    model_path
        Hub name or folder.

    Returns
    -------
    list of str
        For example ``["mlp.down_proj", ..., "self_attn.q_proj"]``.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model_path)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    return sorted(
        {
            ".".join(name.split(".")[-2:])
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        }
    )


# endregion: target_patterns


def matched(model: Any, patterns: list[str]) -> list[str]:
    """Return the matrices that the patterns select; each pattern must select some.

    Raises
    ------
    ValueError
        Naming the first pattern that is part of no parameter name.
    """
    names = [name for name, p in model.named_parameters() if p.dim() == 2]
    for pattern in patterns:
        if not any(pattern in name for name in names):
            raise ValueError(
                f'target pattern "{pattern}" matches no matrix of this model, so OSFT '
                f"would protect nothing there; its matrices are called {names[1]}, ..."
            )
    return [name for name in names if any(p in name for p in patterns)]
