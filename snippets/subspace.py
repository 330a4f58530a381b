"""Measure what OSFT promises: the protected directions of each matrix stay put.

OSFT (Nayak et al. 2025, arXiv:2504.07097) splits a matrix by its singular values,
``W = U S V``. The large ones are frozen; what is trained is kept orthogonal to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


def protected_rank(shape: tuple[int, int], unfreeze_rank_ratio: float) -> int:
    """Return how many singular directions are frozen (mini-trainer's rounding).

    At least one direction stays free, whatever the ratio
    (``mini_trainer.osft_utils.auto_generate_target_osft_config``, 0.9.0).
    """
    full = min(shape)
    return min(int(full * (1.0 - unfreeze_rank_ratio)), full - 1)


# region: leak
def leak(
    before: torch.Tensor, after: torch.Tensor, unfreeze_rank_ratio: float
) -> float:
    """Return the share of a change that lies in the protected directions.

    ``max(|U U' D|, |D V' V|) / |D|`` with ``D = after - before`` and the frozen ``U``
    and ``V`` of ``before``, Frobenius norms: 0 means that the promise is kept, about
    ``sqrt(1 - unfreeze_rank_ratio)`` is what a change in no particular direction has.

    Parameters
    ----------
    before, after
        Shape ``(outputs, inputs)``. Pass float32: rounding to bfloat16 on the way to a
        file is a change in all directions.
    unfreeze_rank_ratio
        As in the training call.

    Raises
    ------
    ValueError
        If nothing changed, because then there is no share.
    """
    change = after.float() - before.float()
    if not change.any():
        raise ValueError("the matrix did not change: there is nothing to measure")
    left, _, right = torch.linalg.svd(before.float(), full_matrices=False)
    k = protected_rank(tuple(before.shape), unfreeze_rank_ratio)
    left, right = left[:, :k], right[:k]
    sides = (left @ (left.T @ change), (change @ right.T) @ right)
    return max((side.norm() / change.norm()).item() for side in sides)


# endregion: leak


# region: require_kept
def rounding(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the share of a change that float32 alone explains, ``16 eps |W| / |D|``.

    Taking a matrix apart and multiplying it out again is off by some ``eps |W|`` in all
    directions (8 to 10 were measured). Beside a tiny change that is a large share.
    """
    change = (after.float() - before.float()).norm()
    return (16 * torch.finfo(torch.float32).eps * before.float().norm() / change).item()


def require_kept(
    before: Mapping[str, torch.Tensor],
    after: Mapping[str, torch.Tensor],
    names: list[str],
    unfreeze_rank_ratio: float,
    limit: float = 1e-3,
) -> float:
    """Return the largest leak among the named matrices of two state dictionaries.

    Raises
    ------
    AssertionError
        For a matrix that leaks more than ``limit`` and more than rounding explains.
    """
    worst = 0.0
    for name in names:
        share = leak(before[name], after[name], unfreeze_rank_ratio)
        if share > max(limit, rounding(before[name], after[name])):
            raise AssertionError(
                f"{name}: {share:.2g} of its change lies in protected directions, more "
                f"than {limit:g} and than rounding explains. The optimizer was not "
                "wrapped, or patterns or ratio are not those of the run."
            )
        worst = max(worst, share)
    return worst


# endregion: require_kept


@dataclass(frozen=True)
class Split:
    """Numbers of parameters of a decomposed model, by what happens to them."""

    frozen: int  # the large singular directions
    trained: int  # the small singular directions
    free: int  # embeddings, norms, biases, head: outside every promise

    @property
    def total(self) -> int:
        """All that is stored, factors counted as they are."""
        return self.frozen + self.trained + self.free


def split(model: Any) -> Split:
    """Count the parameters of a model from ``mini_trainer_osft.decompose``.

    Raises
    ------
    ValueError
        If the model holds no factors.
    """
    frozen = trained = free = 0
    for name, parameter in model.named_parameters():
        if ".osft_params." in name:
            trained += parameter.numel()
        elif ".osft_U_high" in name or ".osft_S_high" in name or ".osft_V" in name:
            frozen += parameter.numel()
        else:
            free += parameter.numel()
    if not trained:
        raise ValueError("the model holds no OSFT factors: nothing was decomposed")
    return Split(frozen, trained, free)
