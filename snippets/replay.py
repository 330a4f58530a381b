"""Mix replay into a corpus: old text that keeps a model from forgetting."""

from __future__ import annotations

import random
from collections.abc import Sequence


# region: mix
def mix(
    domain: Sequence[str], replay: Sequence[str], share: float, seed: int = 0
) -> list[str]:
    """Return all domain documents, with replay documents mixed in evenly.

    Parameters
    ----------
    domain
        Documents to learn, each used once.
    replay
        Documents of the kind the model should keep. They are used in order; it is an
        error if they do not suffice.
    share
        Share of replay in the result, by characters: 0.25 adds one character of replay
        for every three of the domain (Ibrahim et al. 2024, arXiv:2403.08763, report
        that 5 % suffices for weak shifts and 25 % or more helps with strong ones).
    seed
        Order of the result.

    Raises
    ------
    ValueError
        If ``share`` is not in [0, 1) or the replay documents are too few.
    """
    if not 0 <= share < 1:
        raise ValueError(f"replay share {share} is not in [0, 1)")
    wanted = sum(map(len, domain)) * share / (1 - share)
    chosen: list[str] = []
    size = 0
    for text in replay:
        if size >= wanted:
            break
        chosen.append(text)
        size += len(text)
    if size < wanted:
        raise ValueError(
            f"a replay share of {share:.0%} needs {wanted:,.0f} characters, but the "
            f"replay documents hold {size:,}: pass more documents or a lower share."
        )
    mixed = [*domain, *chosen]
    random.Random(seed).shuffle(mixed)
    return mixed


# endregion: mix


# region: interleave
def interleave(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Take documents from both in turn, so that each gives half of the characters.

    Stops when the one whose turn it is has none left.
    """
    sources = [iter(first), iter(second)]
    taken = [0, 0]
    out: list[str] = []
    while (text := next(sources[taken[0] > taken[1]], None)) is not None:
        taken[taken[0] > taken[1]] += len(text)
        out.append(text)
    return out


# endregion: interleave
