"""From rows of text to batches: Training Hub's own masking, checked before training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from snippets.backends.parameters import ParameterError
from snippets.data import DataError, length_report, read_chat, read_text, require_any

Row = dict[str, list[int]]


def check_chat_tokenizer(tokenizer: Any) -> None:
    """Raise for a tokenizer that cannot teach a model to stop.

    Raises
    ------
    DataError
        If padding and end of sequence are one token, or there is no chat template.
    """
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        missing = "pad" if tokenizer.pad_token_id is None else "EOS"
        raise DataError(
            f"the tokenizer has no {missing} token: set one, save the tokenizer beside "
            "the model, and pass that folder as model_path."
        )
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise DataError(
            f'the pad token is the EOS token, "{tokenizer.eos_token}": whatever masks '
            "padding masks EOS too, and the model never learns to stop. Set pad_token "
            "to another special token, save the tokenizer and pass that folder."
        )
    if not tokenizer.chat_template:
        raise DataError(
            "the tokenizer has no chat template, so it cannot render conversations: "
            "use the instruct model's tokenizer or set tokenizer.chat_template."
        )


# region: chat_rows
def chat_rows(p: dict[str, Any], tokenizer: Any) -> list[Row]:
    """Tokenize conversations; only assistant turns carry a loss.

    The masks come from ``instructlab.training.data_process``, which Training Hub's
    default ``sft`` and ``osft`` use too. Samples shorter than 20 tokens or not shorter
    than ``max_seq_len`` are dropped, as there; if none is left, that is an error. In a
    row with ``"unmask": true`` every turn but the system's carries a loss.
    """
    check_chat_tokenizer(tokenizer)
    field = p.get("field_messages", "messages")
    rows = read_chat(p["data_path"], field=field)
    longest = p.get("max_seq_len", 2048)
    report = require_any(length_report(rows, tokenizer, longest, field=field))
    kept = [rows[i] for i in report.kept]
    if not p.get("assistant_only_loss", True):
        return [_whole_text(row[field], tokenizer) for row in kept]
    samples = [{"messages": r[field], "unmask": bool(r.get("unmask"))} for r in kept]
    masked = _mask(p["model_path"], samples)
    dead = [i for i, row in enumerate(masked) if all(x == -100 for x in row["labels"])]
    if dead:
        raise DataError(
            f"{p['data_path']}, sample {report.kept[dead[0]] + 1}: the chat template "
            "renders no token of the assistant turn that could be trained on. Check "
            "that the template prints the content of assistant messages."
        )
    return masked


# endregion: chat_rows


def _mask(model_path: str, samples: list[dict[str, Any]]) -> list[Row]:
    from datasets import Dataset
    from instructlab.training import data_process

    tokenizer = data_process.configure_tokenizer(model_path)
    data = Dataset.from_list(samples)
    with quiet_datasets():
        done = data_process.process_samples(data, tokenizer, num_cpu_procs=1)
    return [{"input_ids": r["input_ids"], "labels": r["labels"]} for r in done]


def _whole_text(turns: list[dict[str, str]], tokenizer: Any) -> Row:
    ids = tokenizer.apply_chat_template(turns, return_dict=False)
    return {"input_ids": ids, "labels": list(ids)}


# region: document_blocks
def document_blocks(p: dict[str, Any], tokenizer: Any) -> Any:
    """Pack raw documents into windows of ``block_size`` tokens.

    Each document ends in EOS; documents are joined in file order and cut, the last
    window is padded (``instructlab.training.sampler.PretrainingBlockDataset``). There
    is no document mask: attention crosses document borders.
    """
    from datasets import Dataset
    from instructlab.training.sampler import PretrainingBlockDataset

    size = p.get("block_size")
    if size is None:
        raise ParameterError("is_pretraining=True needs block_size (tokens per window)")
    budget = p.get("max_tokens_per_gpu")
    if budget is not None and size > budget:
        raise ParameterError(
            f"block_size {size} is larger than max_tokens_per_gpu {budget}: no window "
            f"fits a forward pass. Lower block_size or raise the budget to {size}."
        )
    if tokenizer.eos_token_id is None:
        raise DataError("the tokenizer has no EOS token to end documents with")
    field = p.get("document_column_name", "document")
    texts = [row[field] for row in read_text(p["data_path"], field=field)]
    ids = [_with_eos(tokenizer.encode(t), tokenizer.eos_token_id) for t in texts]
    pad = tokenizer.pad_token_id
    pad = tokenizer.eos_token_id if pad is None else pad  # labels of padding are -100
    return PretrainingBlockDataset(Dataset.from_dict({"input_ids": ids}), size, pad)


# endregion: document_blocks


def _with_eos(ids: list[int], eos: int) -> list[int]:
    return ids if ids and ids[-1] == eos else [*ids, eos]


class Collator:
    """Pad rows on the right; padding has no loss and no attention."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad = pad_token_id

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``labels``, ``attention_mask``: (rows, longest)."""
        width = max(len(row["input_ids"]) for row in rows)
        fill = {"input_ids": self.pad, "labels": -100, "attention_mask": 0}
        batch: dict[str, list[list[int]]] = {name: [] for name in fill}
        for row in rows:
            full = {
                "input_ids": list(row["input_ids"]),
                "labels": list(row["labels"]),
                "attention_mask": [1] * len(row["input_ids"]),
            }
            for name, values in full.items():
                batch[name].append(values + [fill[name]] * (width - len(values)))
        return {name: torch.tensor(values) for name, values in batch.items()}


@contextlib.contextmanager
def quiet_datasets() -> Iterator[None]:
    """Hide the progress bars of the datasets library for a while."""
    import datasets

    shown = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
