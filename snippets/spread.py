"""How far a score could be off: by the rows that were asked, and by the seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


# region: interval
def interval(right: int, asked: int, z: float = 1.96) -> tuple[float, float]:
    """Return the interval that holds the true share of right answers, 95 % sure.

    Wilson's interval (Wilson 1927, doi:10.1080/01621459.1927.10502953). It stays
    between 0 and 1, and is no single point when all answers are right.

    Raises
    ------
    ValueError
        If nothing was asked, or more was right than was asked.
    """
    if not 0 <= right <= asked or not asked:
        raise ValueError(f"{right} right of {asked} asked is no score")
    share, square = right / asked, z * z
    middle = (share + square / (2 * asked)) / (1 + square / asked)
    around = share * (1 - share) / asked + square / (4 * asked * asked)
    half = z * math.sqrt(around) / (1 + square / asked)
    return max(0.0, middle - half), min(1.0, middle + half)


# endregion: interval


# region: paired
@dataclass(frozen=True)
class Change:
    """What changed between two models that were asked the same questions.

    ``chance`` is the probability of a change as lopsided as this one, or more, when
    neither model is better.
    """

    gained: int
    lost: int
    chance: float


def paired(before: Sequence[bool], after: Sequence[bool]) -> Change:
    """Compare two models question by question; only changed answers count.

    The exact form of McNemar's test (McNemar 1947, doi:10.1007/BF02295996): when
    neither model is better, a changed answer is a gain or a loss like a coin's toss.

    Raises
    ------
    ValueError
        If the two were not asked the same number of questions.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} and {len(after)} answers cannot be paired")
    gained = sum(now and not was for was, now in zip(before, after, strict=True))
    lost = sum(was and not now for was, now in zip(before, after, strict=True))
    changed, most = gained + lost, max(gained, lost)
    tail = sum(math.comb(changed, k) for k in range(most, changed + 1))
    return Change(gained, lost, min(1.0, 2 * tail / 2**changed))


# endregion: paired


# region: seeds
def seeds(scores: Sequence[float]) -> str:
    """Say middle, worst and spread of the same run with other seeds.

    Raises
    ------
    ValueError
        For fewer than three: two numbers show no spread worth the name.
    """
    if len(scores) < 3:
        raise ValueError(f"{len(scores)} seeds show no spread: run three or more")
    return (
        f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f} over "
        f"{len(scores)} seeds, worst {min(scores):.3f}"
    )


# endregion: seeds
