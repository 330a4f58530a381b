"""What a loss counts: which tokens, over how many passes, and which neighbors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Rows = Sequence[Mapping[str, Sequence[int]]]


# region: accumulated
def accumulated(
    model: PreTrainedModel, rows: Rows, passes: int, pad_token_id: int, per: str
) -> tuple[float, torch.Tensor]:
    """Return loss and gradient of one optimizer step, taken in several passes.

    Parameters
    ----------
    rows
        ``input_ids`` and ``labels``, in the order in which they are trained.
    passes
        Forward passes; each takes an equal share of the rows.
    per
        ``"token"`` divides by the trained tokens of the whole step, as transformers
        has done since 4.46; ``"pass"`` takes the mean of the means of the passes.

    Returns
    -------
    tuple
        The loss in nats a token, and all gradients as one flat vector.

    Raises
    ------
    ValueError
        If the rows cannot be shared out evenly, or ``per`` is another word.
    """
    import torch

    from snippets.backends.batches import Collator

    if len(rows) % passes or per not in ("token", "pass"):
        raise ValueError(
            f'{len(rows)} rows in {passes} passes, per "{per}": choose a number of '
            'passes that divides the rows, and "token" or "pass"'
        )
    collate, size = Collator(pad_token_id), len(rows) // passes
    tokens = sum(label != -100 for row in rows for label in row["labels"][1:])
    model.zero_grad()
    total = 0.0
    for start in range(0, len(rows), size):
        batch = collate(rows[start : start + size])
        batch = {name: values.to(model.device) for name, values in batch.items()}
        if per == "token":
            loss = model(**batch, num_items_in_batch=tokens).loss
        else:
            loss = model(**batch).loss / passes
        loss.backward()
        total += loss.item()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return total, torch.cat(gradients)


# endregion: accumulated


# region: isolation
def isolation(
    model: PreTrainedModel, first: Sequence[int], second: Sequence[int]
) -> dict[str, float]:
    """Return how much one row changes the logits of the row packed behind it.

    Returns
    -------
    dict
        The largest absolute difference of the logits from those of the second row on
        its own: ``joined`` plainly, with positions that start again (``reset``), and
        with those and an attention mask of ones (``reset and mask``).
    """
    import torch

    packed = torch.tensor([[*first, *second]], device=model.device)
    places = [*range(len(first)), *range(len(second))]
    reset = {"position_ids": torch.tensor([places], device=model.device)}
    ones = {"attention_mask": torch.ones_like(packed)}
    ways: dict[str, dict[str, torch.Tensor]] = {
        "joined": {},
        "reset": reset,
        "reset and mask": reset | ones,
    }
    model.eval()
    with torch.no_grad():
        alone = model(input_ids=packed[:, len(first) :], use_cache=False).logits
        logits = {
            way: model(input_ids=packed, use_cache=False, **extra).logits
            for way, extra in ways.items()
        }
    return {
        way: (found[:, len(first) :] - alone).abs().max().item()
        for way, found in logits.items()
    }


# endregion: isolation


# region: packed
def padded_loss(model: PreTrainedModel, rows: Rows, pad_token_id: int) -> float:
    """Return the mean loss of the trained tokens, each row padded to the longest."""
    from snippets.backends.batches import Collator

    return _loss(model, Collator(pad_token_id)(list(rows)))


def packed_loss(model: PreTrainedModel, rows: Rows) -> float:
    """Return the mean loss of the trained tokens, all rows packed into one.

    ``DataCollatorWithFlattening`` of transformers joins them, starts the positions of
    each row at 0, and masks the first token of each, which no row predicts.
    """
    from transformers import DataCollatorWithFlattening

    plain = [{key: list(row[key]) for key in ("input_ids", "labels")} for row in rows]
    batch = DataCollatorWithFlattening(return_tensors="pt")(plain)
    return _loss(model, {key: batch[key] for key in (*plain[0], "position_ids")})


def _loss(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> float:
    import torch

    model.eval()
    on_device = {name: values.to(model.device) for name, values in batch.items()}
    with torch.no_grad():
        return model(**on_device, use_cache=False).loss.item()


# endregion: packed


# region: untrained
def loss_of_parts(
    model: PreTrainedModel, rows: Rows, pad_token_id: int
) -> tuple[float, float]:
    """Return the mean loss of the trained tokens, and of those that are masked."""
    others = [
        {
            "input_ids": row["input_ids"],
            "labels": [
                token if label == -100 else -100
                for token, label in zip(row["input_ids"], row["labels"], strict=True)
            ],
        }
        for row in rows
    ]
    return (
        padded_loss(model, rows, pad_token_id),
        padded_loss(model, others, pad_token_id),
    )


# endregion: untrained


# region: noise
def neftune(model: PreTrainedModel, ids: Sequence[int], alpha: float) -> dict[str, Any]:
    """Measure the noise that NEFTune adds to the embeddings of one row.

    The hook is the one that transformers' Trainer installs for
    ``neftune_noise_alpha``: uniform noise up to ``alpha / sqrt(tokens x hidden)``
    (Jain et al. 2023, arXiv:2310.05914, algorithm 1), in training only.

    Returns
    -------
    dict
        ``largest`` noise while training, its ``bound`` by the formula, and the largest
        noise while evaluating (``evaluating``).
    """
    import torch

    embed = model.get_input_embeddings()
    row = torch.tensor([list(ids)], device=model.device)
    was_training = model.training
    with torch.no_grad():
        plain = embed(row)
        embed.neftune_noise_alpha = alpha
        hook = embed.register_forward_hook(_neftune_hook())
        noise = {}
        for name, training in (("largest", True), ("evaluating", False)):
            model.train(training)
            noise[name] = (embed(row) - plain).abs().max().item()
    hook.remove()
    del embed.neftune_noise_alpha
    model.train(was_training)
    return noise | {"bound": alpha / plain[0].numel() ** 0.5}


def _neftune_hook() -> Any:
    """Return transformers' hook, which moved after 5.1."""
    from transformers import integrations, trainer_utils

    name = "neftune_post_forward_hook"
    return getattr(integrations, name, None) or getattr(trainer_utils, name)


# endregion: noise
