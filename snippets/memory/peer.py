"""Asks Training Hub's own memory estimator the same question, for a comparison.

Read and run at training-hub 0.11.2, ``training_hub/profiling/memory_estimator.py``.
"""

from __future__ import annotations

from typing import Any

CLASSES = {
    "full": "BasicEstimator",
    "lora": "LoRAEstimator",
    "qlora": "QLoRAEstimator",
    "osft": "OSFTEstimator",
}


def training_hub(
    config: Any,
    method: str,
    *,
    micro_batch: int = 1,
    seq_len: int = 2048,
    gpus: int = 1,
    **settings: Any,
) -> tuple[int, int, int]:
    """Return Training Hub's estimate of one GPU in bytes: low, expected, high.

    The real classes compute. Two of their methods are replaced: the one that loads a
    model is given one without weights, made from ``config``, and the one that writes a
    table beside the installed library writes nothing.

    Parameters
    ----------
    config
        A transformers configuration; ``config.name_or_path`` chooses the layers that
        adapters are counted for.
    method
        ``full``, ``lora``, ``qlora`` or ``osft``.
    micro_batch, seq_len, gpus
        Rows of one GPU, tokens a row, and GPUs, by which the estimator divides.
    settings
        Passed on: ``lora_r``, ``unfreeze_rank_ratio``, ``use_liger``.
    """
    from training_hub.profiling import memory_estimator

    kind = getattr(memory_estimator, CLASSES[method])
    estimator = type(kind.__name__, (_without_files(config), kind), {})(
        num_gpus=gpus,
        model_path=config.name_or_path,
        batch_size=micro_batch * gpus,
        max_seq_len=seq_len,
        verbose=0,
        **settings,
    )
    low, expected, high = estimator.estimate()
    return round(low), round(expected), round(high)


def _without_files(config: Any) -> type:
    import torch
    from transformers import AutoModel

    class WithoutFiles:
        def _load_model(self, warn: str, trust_remote_code: bool = False) -> None:
            with torch.device("meta"):
                self.model = AutoModel.from_config(config)
            self.num_params = self.model.num_parameters()
            self.num_trainable_params = self.num_params
            self.num_layers = config.num_hidden_layers
            self.hidden_size = config.hidden_size

        def _update_model_storage(self) -> None:
            """Write nothing."""

    return WithoutFiles
