"""One conversation under several masks, in columns that a phone stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from snippets.figure import Figure, style_tag
from snippets.plots.masks import MASK_DARK, MASK_LEGEND, MASK_STYLE, marked

COLUMNS = """
.hb-figure:has(.hb-masks){max-width:none}
.hb-masks{display:flex;flex-wrap:wrap;gap:.6rem 1.2rem;align-items:flex-start}
.hb-masks>div{flex:1 1 12rem;min-width:0}
.hb-masks h4{font-size:.95em;font-weight:600;line-height:1.3;margin:0;color:inherit}
.hb-masks small{display:block;margin:.1rem 0 .3rem;opacity:.8}
"""


# region: side-by-side
def side_by_side(
    tokenizer: Any,
    rows: Mapping[str, tuple[Sequence[int], Sequence[int]]],
    title: str = "One conversation, several masks",
    limit: int = 200,
) -> Figure:
    """Show which tokens each of several trainers would count, beside each other.

    Parameters
    ----------
    tokenizer
        Turns the ids back into text.
    rows
        For each trainer the ids and the labels; a label of -100 is masked.
    title
        Shown above the columns.
    limit
        Tokens that are shown of each row; the rest is counted.
    """
    columns, said = [], []
    for name, (ids, labels) in rows.items():
        column, words = _column(tokenizer, name, ids, labels, limit)
        columns.append(column)
        said.append(words)
    body = (
        f"{style_tag(MASK_STYLE + COLUMNS, MASK_DARK)}{MASK_LEGEND}"
        f'<div class="hb-masks">{"".join(columns)}</div>'
    )
    return Figure(title, "\n\n".join([f"{title}.", *said]), body)


def _column(
    tokenizer: Any, name: str, ids: Sequence[int], labels: Sequence[int], limit: int
) -> tuple[str, str]:
    """Return one mask as HTML and in words."""
    trained = sum(label != -100 for label in labels)
    count = f"{trained} of {len(labels)} tokens are trained"
    shown, said = marked(tokenizer, ids, labels, limit)
    html = f"<div><h4>{escape(name)}</h4><small>{count}</small>{shown}</div>"
    return html, f"{name}: {count}. {said}"


# endregion: side-by-side
