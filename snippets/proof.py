"""Small assertions that turn "training finished" into "it did what the page says".

Each function raises :class:`AssertionError` with one clear sentence, or returns the
number it judged, so that a notebook can print and :func:`record` it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

OUTCOME = "application/vnd.handbook.outcome+json"
Value = bool | int | float | str | list[float]


def record(name: str, value: Value) -> None:
    """Store an outcome in the output of this notebook cell.

    The outcome is a display output of the media type in :data:`OUTCOME`. Anyone can
    read it from the saved notebook; nothing but IPython is needed to write it, and
    outside a notebook the line is printed.

    Raises
    ------
    TypeError
        If the value is not a bool, number, string or list of numbers.
    """
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, list):
        numbers = all(isinstance(v, int | float) for v in value)
    else:
        numbers = isinstance(value, bool | int | float | str)
    if not numbers:
        raise TypeError(
            f'outcome "{name}" is a {type(value).__name__}: record a bool, a number, '
            "a string or a list of numbers."
        )
    shown = f"{value:.4g}" if isinstance(value, float) else value
    line = f"recorded {name} = {shown}"
    try:
        from IPython import get_ipython
    except ImportError:
        get_ipython = None
    if get_ipython is not None and get_ipython() is not None:
        from IPython.display import display

        bundle = {OUTCOME: {"name": name, "value": value}, "text/plain": line}
        display(bundle, raw=True)
    else:
        print(line)


@contextlib.contextmanager
def fails(error: type[BaseException], saying: str) -> Iterator[None]:
    """Run a call that must fail, and show its message.

    Raises
    ------
    AssertionError
        If the call works, or its message does not contain ``saying``. An error of
        another type passes through.
    """
    try:
        yield
    except error as caught:
        message = str(caught)
    else:
        raise AssertionError(f"the call worked, but {error.__name__} was expected")
    if saying not in message:
        raise AssertionError(f'the message does not contain "{saying}": {message}')
    print(f"{error.__name__}: {message}")


# ---------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------


def fingerprint(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Return a SHA-256 for each tensor, floats hashed in float32.

    Preparing a 4-bit model for training casts norms and embeddings from bfloat16 to
    float32. That changes bytes but no value, so it must not change the fingerprint.
    """
    import torch

    out = {}
    for name, tensor in state.items():
        values = tensor.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        raw = values.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        out[name] = hashlib.sha256(raw).hexdigest()
    return out


def base_fingerprint(model: PreTrainedModel) -> dict[str, str]:
    """Fingerprint the base weights of a model, with or without LoRA adapters on it."""
    state = {
        name.replace("base_model.model.", "").replace(".base_layer", ""): tensor
        for name, tensor in model.state_dict().items()
        if "lora_" not in name
    }
    return fingerprint(state)


def weights_changed(before: Mapping[str, str], after: Mapping[str, str]) -> int:
    """Return how many tensors changed between two fingerprints; at least one must."""
    changed = [name for name in before if before[name] != after.get(name)]
    if not changed:
        raise AssertionError(
            f"training changed none of the {len(before)} tensors: the learning rate "
            "was 0 in every step, or nothing was trainable."
        )
    return len(changed)


def base_unchanged(before: Mapping[str, str], after: Mapping[str, str]) -> int:
    """Return how many base tensors were compared; all must be bit-identical."""
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())[0]
        raise AssertionError(f'the two models do not hold the same tensors: "{odd}"')
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise AssertionError(
            f"{len(changed)} of {len(before)} base tensors changed, the first is "
            f'"{changed[0]}": the base was not frozen.'
        )
    return len(before)


def only_adapters_changed(model: PreTrainedModel) -> int:
    """Return how many parameters train; all must belong to LoRA adapters.

    Also checks that every ``lora_B`` matrix moved away from zero, where it starts
    (Hu et al. 2021, arXiv:2106.09685, section 4.1).
    """
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    foreign = [name for name in trained if "lora_" not in name]
    if foreign or not trained:
        raise AssertionError(
            f'"{foreign[0]}" trains but is no adapter' if foreign else "nothing trains"
        )
    still = [n for n, p in trained.items() if "lora_B" in n and not p.any()]
    if still:
        raise AssertionError(f"{len(still)} adapters never moved, e.g. {still[0]}")
    return sum(p.numel() for p in trained.values())


def adapter_equals_merged(
    adapter_logits: torch.Tensor, merged_logits: torch.Tensor, tolerance: float
) -> float:
    """Return the mean absolute logit distance of two models on the same input.

    Parameters
    ----------
    adapter_logits, merged_logits
        Shape ``(batch, tokens, vocabulary)``.
    tolerance
        Largest mean distance allowed, in logits.
    """
    distance = (adapter_logits.float() - merged_logits.float()).abs().mean().item()
    if distance > tolerance:
        raise AssertionError(
            f"merging moved the logits by {distance:.3g} on average, more than "
            f"{tolerance:g}: the merged model is not the model that was trained."
        )
    return distance


# ---------------------------------------------------------------------------
# The run
# ---------------------------------------------------------------------------


def lr_reached(
    log: Sequence[Mapping[str, Any]], peak: float, share: float = 0.9
) -> float:
    """Return the highest learning rate in a training log; it must near its peak.

    Parameters
    ----------
    log
        Lines of the loss log, some with ``learning_rate``.
    peak
        The learning rate that was asked for.
    share
        How much of the peak must be seen; logs that skip steps miss the very top.
    """
    rates = [line["learning_rate"] for line in log if "learning_rate" in line]
    if not rates:
        raise AssertionError("the log holds no learning rate")
    if max(rates) < share * peak:
        raise AssertionError(
            f"the learning rate peaked at {max(rates):.3g}, {max(rates) / peak:.0%} of "
            f"{peak:g}: the warm-up is longer than the run."
        )
    return max(rates)


def loss_dropped(log: Sequence[Mapping[str, Any]], by: float) -> float:
    """Return last loss divided by first loss; it must be at most ``1 - by``."""
    ratio = loss_ratio(log)
    if not ratio <= 1 - by:
        losses = [line["loss"] for line in log if "loss" in line]
        raise AssertionError(
            f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g}, "
            f"not down by {by:.0%}."
        )
    return ratio


def loss_ratio(log: Sequence[Mapping[str, Any]]) -> float:
    """Return last loss divided by first loss, whatever it is; it must be a number.

    Raises
    ------
    AssertionError
        If the log holds fewer than two losses, or the last one is not finite.
    """
    losses = [line["loss"] for line in log if "loss" in line]
    if len(losses) < 2:
        raise AssertionError(f"the log holds {len(losses)} losses: two are needed")
    if not math.isfinite(losses[-1]):
        raise AssertionError(
            f"the loss is {losses[-1]}: training fell apart; lower the learning rate."
        )
    return losses[-1] / losses[0]


# ---------------------------------------------------------------------------
# The data as the model sees it
# ---------------------------------------------------------------------------


def masked_fraction(labels: Sequence[Sequence[int]]) -> float:
    """Return the share of tokens without loss (label -100); neither none nor all."""
    total = sum(len(row) for row in labels)
    masked = sum(label == -100 for row in labels for label in row)
    if masked in (0, total):
        state = "no token is" if masked == 0 else "every token is"
        raise AssertionError(f"{state} masked: the loss does not see what you meant.")
    return masked / total


def documents_isolated(
    model: PreTrainedModel, first: Sequence[int], second: Sequence[int], reset: bool
) -> float:
    """Return how much the first document changes the logits of the second one.

    Both are packed into one row. With ``reset``, ``position_ids`` start again at 0 for
    the second document, which is how transformers isolates packed documents. An
    all-ones attention mask, or ``use_cache=True``, silently undoes that.

    Returns
    -------
    float
        Largest absolute logit difference between the packed second document and the
        same document on its own. About 1e-6 means isolated.
    """
    import torch

    packed = torch.tensor([[*first, *second]], device=model.device)
    positions = [*range(len(first)), *range(len(second))]
    reset_to = torch.tensor([positions], device=model.device)
    extra = {"position_ids": reset_to} if reset else {}
    model.eval()
    with torch.no_grad():
        alone = model(input_ids=packed[:, len(first) :], use_cache=False).logits
        both = model(input_ids=packed, use_cache=False, **extra).logits
    return (both[:, len(first) :] - alone).abs().max().item()
