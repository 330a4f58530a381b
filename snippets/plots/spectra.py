"""The singular values of a matrix, and which of them OSFT keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snippets.figure import DASHED, Figure, add_legend, draw, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snippets.figure import Theme


def spectrum(
    values: Sequence[float], protected: int, title: str = "Singular values"
) -> Figure:
    """Show singular values from large to small, protected ones in another color.

    Parameters
    ----------
    values
        Singular values, the largest first.
    protected
        How many of them are frozen.
    title
        Shown above the figure.

    Raises
    ------
    ValueError
        If ``protected`` is not between 0 and the number of values.
    """
    if not 0 <= protected <= len(values):
        raise ValueError(f"{protected} of {len(values)} values cannot be protected")
    energy = sum(v * v for v in values[:protected]) / sum(v * v for v in values)

    def painter(axes: Axes, theme: Theme) -> None:
        kept, free = theme.hues[0], theme.hues[1]
        axes.bar(range(protected), values[:protected], width=1, color=kept)
        rest = range(protected, len(values))
        axes.bar(rest, values[protected:], width=1, color=free)
        axes.axvline(protected - 0.5, color=theme.muted, **DASHED)
        axes.set_xlabel("direction, the largest first")
        axes.set_ylabel("singular value")
        add_legend(axes, {"protected": kept, "trained": free})

    alt = (
        f"{title}: {len(values)} values from {short(values[0])} down to "
        f"{short(values[-1])}. The first {protected} are protected and hold "
        f"{energy:.1%} of the squared length of the matrix."
    )
    return draw(painter, title, alt, height=3.2)
