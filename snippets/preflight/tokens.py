"""What a tokenizer makes of the rows, and whether it can train the model."""

from __future__ import annotations

from typing import Any

from snippets import evaluate
from snippets.memory import Geometry
from snippets.preflight.request import PreflightError, Rows

__all__ = ()  # steps of preflight.check


def check(tokenizer: Any, geometry: Geometry, rows: Rows) -> list[str]:
    """Raise for a tokenizer that cannot train this model; return what to mind."""
    from snippets.backends import batches
    from snippets.data import DataError

    if len(tokenizer) > geometry.vocabulary:
        raise PreflightError(
            f"the tokenizer has {len(tokenizer):,} tokens and the model only "
            f"{geometry.vocabulary:,}: they do not belong together; save the right "
            "tokenizer beside the model"
        )
    if "messages" not in rows[0]:
        if tokenizer.eos_token_id is None:
            raise PreflightError(
                "the tokenizer has no EOS token to end documents with: set one and "
                "save the tokenizer beside the model"
            )
        return []
    try:
        batches.check_chat_tokenizer(tokenizer)
    except DataError as error:
        raise PreflightError(f"model_path: {error}") from error
    return _unstoppable(tokenizer)


def _unstoppable(tokenizer: Any) -> list[str]:
    """Warn when the template ends a turn with another token than EOS."""
    turns = [("user", "1"), ("assistant", "2")]
    talk = [{"role": role, "content": text} for role, text in turns]
    text = tokenizer.apply_chat_template(talk, tokenize=False)
    end = text[text.rindex("2") + 1 :].strip()
    if end.startswith(tokenizer.eos_token):
        return []
    return [
        f'the template ends a turn with "{end}" and EOS is "{tokenizer.eos_token}": '
        "the end of a turn is not trained (Training Hub's mask looks for EOS); make "
        "the first the EOS token of the tokenizer, or rely on what the model knows"
    ]


def lengths_of(rows: Rows, tokenizer: Any) -> tuple[int, ...]:
    """Count the tokens of every row; a row that the template refuses is named."""
    from jinja2 import TemplateError

    counted = []
    for number, row in enumerate(rows, start=1):
        if "messages" not in row:
            counted.append(len(tokenizer.encode(row["document"])) + 1)
            continue
        try:
            ids = tokenizer.apply_chat_template(row["messages"], return_dict=False)
        except TemplateError as error:
            raise PreflightError(
                f"row {number}: the chat template of this model refuses it "
                f"({error}); change the row, or the template of the tokenizer"
            ) from error
        counted.append(len(ids))
    return tuple(counted)


def new_tokens(rows: Rows, tokenizer: Any, most: int = 256) -> int:
    """Return how many tokens the longest answer may take, at most ``most``."""
    if "messages" not in rows[0]:
        return 48
    texts = []
    for number, row in enumerate(rows, start=1):
        try:
            texts.append(evaluate.last_answer(row)[1])
        except ValueError as error:
            raise PreflightError(f"row {number}: {error}") from error
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return min(most, max(48, 8 + max(map(len, ids))))
