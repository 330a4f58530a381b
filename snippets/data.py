"""Training data is read, checked, split and measured here, before a model sees it."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROLES = ("system", "user", "assistant", "tool")


class DataError(ValueError):
    """The data cannot be trained on; the message names file, line and field."""


# region: read-chat
def read_chat(path: str | Path, field: str = "messages") -> list[dict]:
    """Read conversations, one JSON object a line, and check every one of them.

    Parameters
    ----------
    path
        A JSONL file. Blank lines are skipped.
    field
        The field that holds the list of messages.

    Returns
    -------
    list of dict
        The rows as they stand in the file.

    Raises
    ------
    DataError
        For the first row that cannot be trained on, naming line and field.
    """
    rows = []
    for line, row in _objects(path):
        _check_conversation(row, field, f"{path}, line {line}")
        rows.append(row)
    return rows


def _check_conversation(row: dict, field: str, where: str) -> None:
    messages = _require(row, field, where)
    if not isinstance(messages, list) or not messages:
        raise DataError(
            f'{where}, field "{field}": must be a list with at least one message'
        )
    for number, message in enumerate(messages):
        _check_message(message, f'{where}, field "{field}"[{number}]')
    if not any(m["role"] == "assistant" and m.get("content") for m in messages):
        raise DataError(
            f'{where}, field "{field}": no assistant turn with text, so nothing '
            "would be trained; add one or drop the row"
        )


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise DataError(f'{where}: must be an object with "role" and "content"')
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise DataError(f'{where}.role: unknown role "{role}"; use one of {_ROLES}')
    if content is None and message.get("tool_calls"):
        return
    if not isinstance(content, str):
        kind = "missing" if content is None else f"a {type(content).__name__}"
        raise DataError(f"{where}.content: is {kind}; it must be a string")
    if role == "assistant" and not content.strip() and not message.get("tool_calls"):
        raise DataError(
            f"{where}.content: is empty; the model would learn to say nothing"
        )


_ROLES = ", ".join(ROLES)
# endregion: read-chat


# region: read-text
def read_text(path: str | Path, field: str = "document") -> list[dict]:
    """Read raw documents for continued pretraining, one JSON object a line.

    Parameters
    ----------
    path
        A JSONL file. Blank lines are skipped.
    field
        The field that holds the text. Training Hub calls it
        ``document_column_name`` and expects ``document``.

    Returns
    -------
    list of dict
        The rows as they stand in the file.

    Raises
    ------
    DataError
        For the first row without text, naming line and field.
    """
    rows = []
    for line, row in _objects(path):
        where = f"{path}, line {line}"
        if field not in row:
            raise DataError(_missing_document(row, field, where))
        text = row[field]
        if not isinstance(text, str) or not text.strip():
            raise DataError(f'{where}, field "{field}": must be a non-empty string')
        rows.append(row)
    return rows


def _missing_document(row: dict, field: str, where: str) -> str:
    others = [name for name, value in row.items() if isinstance(value, str)]
    if len(others) != 1:
        return f'{where}: no field "{field}"; it has {_names(row)}'
    (other,) = others
    return (
        f'{where}: no field "{field}", but "{other}" holds text; '
        f'pass document_column_name="{other}" (here: field="{other}")'
    )


# endregion: read-text


def _objects(path: str | Path) -> Iterator[tuple[int, dict]]:
    """Yield (line number, row) and refuse what is not one JSON object a line."""
    path, empty = Path(path), True
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}; give the path of a JSONL file")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            empty = False
            yield number, _object(line, f"{path}, line {number}")
    if empty:
        raise DataError(f"{path}: the file is empty; it needs one JSON object a line")


def _object(line: bytes, where: str) -> dict:
    try:
        row = json.loads(line.decode("utf-8-sig").strip())
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: not UTF-8 at byte {error.start + 1}; save the file as UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: broken JSON at column {error.colno}: {error.msg}; "
            "every line must be one whole JSON object"
        ) from None
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: is a {type(row).__name__}, not an object; "
            'write one {"...": ...} a line'
        )
    return row


def _require(row: dict, field: str, where: str) -> Any:
    if field not in row:
        raise DataError(f'{where}: no field "{field}"; it has {_names(row)}')
    return row[field]


def _names(row: dict) -> str:
    return ", ".join(f'"{name}"' for name in row) or "no fields at all"


# region: write
def write_jsonl(path: str | Path, rows: Iterable[dict]) -> Path:
    """Write rows as JSONL, whole or not at all.

    The rows are written to a file beside ``path``, which is then moved into
    place. When that fails, a file that was there before is unchanged.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    OSError
        With the reason of the system, for example a full disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        os.replace(beside, path)
    except OSError as error:
        state = "the old file is unchanged" if path.exists() else "nothing was written"
        reason = f"{error.strerror}; {state}: free some space or write elsewhere"
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)
    return path


# endregion: write


# region: split
def split(rows: Sequence, held_out: int, seed: int = 0) -> tuple[list, list]:
    """Hold out ``held_out`` rows, chosen by ``seed``; both parts keep their order.

    Drop duplicates first: a row that occurs twice may land on both sides.

    Returns
    -------
    tuple of list
        ``(train, held)``.

    Raises
    ------
    DataError
        When one of the two parts would be empty.
    """
    if not 0 < held_out < len(rows):
        raise DataError(
            f"cannot hold out {held_out} of {len(rows)} rows; "
            "both parts need at least one row"
        )
    chosen = set(random.Random(seed).sample(range(len(rows)), held_out))
    return _partition(rows, [number in chosen for number in range(len(rows))])


def split_by_group(
    rows: Sequence[dict],
    group: Callable[[dict], Any] | str,
    held_out_groups: int,
    seed: int = 0,
) -> tuple[list, list]:
    """Hold out whole groups, for example files, so that neighbors do not leak.

    Parameters
    ----------
    rows
        The rows to divide.
    group
        The name of the field that holds the group, or a function of a row.
    held_out_groups
        How many groups go to the held-out part.
    seed
        Chooses the groups.

    Returns
    -------
    tuple of list
        ``(train, held)``; no group occurs in both.
    """
    key = group if callable(group) else lambda row: _require(row, group, "a row")
    keys = [key(row) for row in rows]
    groups = sorted(set(keys), key=str)
    if not 0 < held_out_groups < len(groups):
        raise DataError(
            f"cannot hold out {held_out_groups} of {len(groups)} groups; "
            "both parts need at least one group"
        )
    chosen = set(random.Random(seed).sample(groups, held_out_groups))
    return _partition(rows, [one in chosen for one in keys])


def _partition(rows: Sequence, held: Sequence[bool]) -> tuple[list, list]:
    train = [row for row, is_held in zip(rows, held, strict=True) if not is_held]
    return train, [row for row, is_held in zip(rows, held, strict=True) if is_held]


# endregion: split


# region: clean
def drop_duplicates(
    rows: Sequence[dict], text: Callable[[dict], str]
) -> tuple[list[dict], list[int]]:
    """Keep the first of rows whose text is equal but for case and white space.

    Parameters
    ----------
    rows
        The rows to look through.
    text
        Gives the text of a row that is compared.

    Returns
    -------
    tuple
        ``(kept rows, indices of the dropped rows)``.
    """
    seen, kept, dropped = set(), [], []
    for index, row in enumerate(rows):
        key = " ".join(text(row).split()).casefold()
        if key in seen:
            dropped.append(index)
            continue
        seen.add(key)
        kept.append(row)
    return kept, dropped


def questions(row: dict, field: str = "messages") -> str:
    """Return what is asked in a conversation: the user's turns, without the answers.

    Compare these in :func:`contamination`; a system prompt that all rows share, or an
    answer that is often right, would give every row away.
    """
    return " ".join(m["content"] or "" for m in row[field] if m["role"] == "user")


@dataclass(frozen=True)
class Overlap:
    """One evaluation text that the training texts give away."""

    eval_index: int
    train_index: int
    ngram: str


def contamination(
    train_texts: Iterable[str], eval_texts: Iterable[str], n: int = 8
) -> list[Overlap]:
    """Find evaluation texts that share ``n`` words in a row with a training text.

    Case and punctuation are ignored. An evaluation text shorter than ``n`` words
    counts when it equals a whole training text. GPT-3 was checked with 8 to 13
    words, 13 for most sets (Brown et al. 2020, arXiv:2005.14165, appendix C).

    Returns
    -------
    list of Overlap
        The first overlap of each evaluation text that has one.
    """
    wanted: dict[tuple[str, ...], list[int]] = {}
    for index, text in enumerate(eval_texts):
        for gram in _ngrams(_words(text), n):
            wanted.setdefault(gram, []).append(index)
    found: dict[int, Overlap] = {}
    for train_index, text in enumerate(train_texts):
        for gram in _ngrams(_words(text), n):
            for eval_index in wanted.get(gram, ()):
                overlap = Overlap(eval_index, train_index, " ".join(gram))
                found.setdefault(eval_index, overlap)
    return [found[index] for index in sorted(found)]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _ngrams(words: list[str], n: int) -> Iterator[tuple[str, ...]]:
    if 0 < len(words) < n:
        yield tuple(words)
    for start in range(len(words) - n + 1):
        yield tuple(words[start : start + n])


# endregion: clean


# region: lengths
@dataclass(frozen=True)
class LengthReport:
    """Which rows Training Hub would train on, and which it drops without a word."""

    lengths: tuple[int, ...]
    kept: tuple[int, ...]
    too_short: tuple[int, ...]
    too_long: tuple[int, ...]
    min_seq_len: int
    max_seq_len: int

    def summary(self) -> str:
        """Say in a few lines how many rows stay, and why the others go."""
        if not self.lengths:
            return "no rows at all"
        ordered = sorted(self.lengths)
        middle = ordered[len(ordered) // 2]
        return (
            f"{len(self.kept)} of {len(self.lengths)} rows are kept by Training Hub "
            f"({self.min_seq_len} <= tokens < {self.max_seq_len})\n"
            f"  too short: {len(self.too_short)}, too long: {len(self.too_long)}\n"
            f"  tokens a row: {ordered[0]} to {ordered[-1]}, median {middle}"
        )


def length_report(
    rows: Sequence[dict],
    tokenizer: Any,
    max_seq_len: int,
    min_seq_len: int = 20,
    field: str = "messages",
) -> LengthReport:
    """Count the tokens of every conversation and tell which rows will be dropped.

    Training Hub keeps ``20 <= tokens < max_seq_len``: a row of exactly
    ``max_seq_len`` tokens is dropped, and so is a very short one
    (``instructlab.training.data_process.filter_samples_by_length``).

    Parameters
    ----------
    rows
        Conversations, as ``read_chat`` returns them.
    tokenizer
        A transformers tokenizer with a chat template.
    max_seq_len, min_seq_len
        The bounds in tokens; the upper one is excluded.
    field
        The field that holds the list of messages.
    """
    lengths = [
        len(tokenizer.apply_chat_template(row[field], tokenize=True, return_dict=False))
        for row in rows
    ]
    numbered = list(enumerate(lengths))
    return LengthReport(
        lengths=tuple(lengths),
        kept=tuple(i for i, n in numbered if min_seq_len <= n < max_seq_len),
        too_short=tuple(i for i, n in numbered if n < min_seq_len),
        too_long=tuple(i for i, n in numbered if n >= max_seq_len),
        min_seq_len=min_seq_len,
        max_seq_len=max_seq_len,
    )


def require_any(report: LengthReport) -> LengthReport:
    """Return the report, or raise when not one row would be trained on.

    Raises
    ------
    DataError
        When every row is too short or too long.
    """
    if report.kept:
        return report
    if not report.lengths:
        raise DataError("there is no row to train on")
    shortest, longest = min(report.lengths), max(report.lengths)
    raise DataError(
        f"all {len(report.lengths)} rows would be dropped: they have {shortest} to "
        f"{longest} tokens, and only {report.min_seq_len} <= tokens < "
        f"{report.max_seq_len} is kept; {_advice(report, longest)}"
    )


def _advice(report: LengthReport, longest: int) -> str:
    if report.too_long:
        return f"raise max_seq_len above {longest} or shorten the conversations"
    return "put more into each conversation"


def truncated_by_packing(lengths: Iterable[int], max_seq_len: int) -> int:
    """Count the tokens that packing strategy ``bfd`` cuts off and never trains on.

    TRL's ``bfd`` truncates a row that is longer than ``max_seq_len``;
    ``bfd_split`` cuts it into pieces and keeps them all.
    """
    return sum(max(0, length - max_seq_len) for length in lengths)


# endregion: lengths


# region: fertility
@dataclass(frozen=True)
class Fertility:
    """How well a tokenizer fits a text: more bytes a token is better."""

    bytes_per_token: float
    tokens_per_word: float
    tokens: int


def fertility(texts: Iterable[str], tokenizer: Any) -> Fertility:
    """Measure how many tokens a tokenizer spends on the texts.

    Parameters
    ----------
    texts
        Raw documents.
    tokenizer
        A transformers tokenizer.

    Returns
    -------
    Fertility
        Bytes (UTF-8) a token, tokens a word (words are split at white space),
        and the tokens in total, special tokens left out.

    Raises
    ------
    DataError
        When the texts hold no words.
    """
    size = words = tokens = 0
    for text in texts:
        size += len(text.encode("utf-8"))
        words += len(text.split())
        tokens += len(tokenizer(text, add_special_tokens=False)["input_ids"])
    if not words:
        raise DataError("the texts hold no words, so there is nothing to measure")
    return Fertility(size / tokens, tokens / words, tokens)


# endregion: fertility
