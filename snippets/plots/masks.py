"""Which tokens of a row the loss counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from snippets.figure import Figure, style_tag

MASK_STYLE = """
.hb-mask{font-family:monospace;font-size:.95em;line-height:1.75;margin:0 0 .3rem;
overflow-wrap:anywhere;color:#57606a}
.hb-mask b{font-weight:600;color:#0b3d60;background:#cfe8fb;border-radius:3px;
box-shadow:0 0 0 1px #8fc3ea;margin:0 1px}
.hb-mask i{font-style:normal;border-radius:3px;box-shadow:0 0 0 1px #d0d7de;
margin:0 1px}
"""
MASK_DARK = """
PAGE .hb-mask{color:#9ea7b3}
PAGE .hb-mask b{color:#e2f2ff;background:#0f4a75;box-shadow:0 0 0 1px #3b86bd}
PAGE .hb-mask i{box-shadow:0 0 0 1px #3d444d}
"""
MASK_LEGEND = '<p class="hb-mask"><b>trained</b> <i>masked</i></p>'


def mask(
    tokenizer: Any,
    input_ids: Sequence[int],
    labels: Sequence[int],
    title: str = "Which tokens are trained",
    limit: int = 400,
) -> Figure:
    """Show every token of a row, filled when the loss counts it.

    Parameters
    ----------
    tokenizer
        Turns the ids back into text.
    input_ids, labels
        One row of training data; a label of -100 is masked.
    title
        Shown above the tokens.
    limit
        Tokens that are shown; the rest is counted.
    """
    trained = sum(label != -100 for label in labels)
    share = f"{trained / len(labels):.0%}"
    note = f"{trained} of {len(labels)} tokens are trained ({share})."
    shown, said = marked(tokenizer, input_ids, labels, limit)
    body = f"{style_tag(MASK_STYLE, MASK_DARK)}{MASK_LEGEND}{shown}"
    return Figure(title, f"{title}: {note} {said}", body, note)


def marked(
    tokenizer: Any, input_ids: Sequence[int], labels: Sequence[int], limit: int
) -> tuple[str, str]:
    """Return the tokens of a row as HTML and in words, the trained ones marked."""
    pieces = list(_pieces(tokenizer, input_ids[:limit], labels[:limit]))
    rest = len(labels) - limit
    more = f" and {rest} more tokens" if rest > 0 else ""
    tokens = "".join(_token(text, counts) for text, counts in pieces)
    html = f'<p class="hb-mask">{tokens}{more}</p>'
    return html, f"Trained in [ ]:\n{_brackets(pieces)}{more}"


def _pieces(
    tokenizer: Any, ids: Sequence[int], labels: Sequence[int]
) -> Iterator[tuple[str, bool]]:
    """Yield (text, trained); tokens that share a character come as one piece."""
    done, counts = "", False
    for end in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False)
        counts = counts or labels[end - 1] != -100
        if text.endswith("\ufffd") and end < len(ids):
            continue
        yield text[len(done) :], counts
        done, counts = text, False


def _token(text: str, counts: bool) -> str:
    """Write a token with its white space made visible."""
    tag = "b" if counts else "i"
    shown = escape(text.replace(" ", "\u00b7").replace("\n", "\u21b5"))
    return f"<{tag}>{shown}</{tag}><wbr>" + "<br>" * text.count("\n")


def _brackets(pieces: Sequence[tuple[str, bool]]) -> str:
    words, inside = [], False
    for text, counts in [*pieces, ("", False)]:
        if counts != inside:
            words.append("[" if counts else "]")
        words.append(text)
        inside = counts
    return "".join(words)
