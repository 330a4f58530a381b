"""Measure what a model can do: exact match, perplexity, bits per byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Conversation = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the model said to one conversation, beside what it should have said."""

    prompt: str
    expected: str
    generated: str

    @property
    def correct(self) -> bool:
        """Whether both are the same text, surrounding white space aside."""
        return self.generated.strip() == self.expected.strip()


def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Conversation],
    max_new_tokens: int = 48,
    batch_size: int = 64,
) -> list[Answer]:
    """Let the model give the last assistant turn of each conversation, greedily.

    It stops at the tokenizer's EOS, and at what its generation config names beside it,
    such as the end of a turn. Prompts are padded on the left, as batched generation
    needs. Training mode and the padding side are restored afterwards.
    """
    import torch

    was_training, side = model.training, tokenizer.padding_side
    asked = [last_answer(conversation) for conversation in conversations]
    model.eval()
    tokenizer.padding_side = "left"
    out: list[Answer] = []
    for start in range(0, len(asked), batch_size):
        batch = asked[start : start + batch_size]
        prompts = [
            tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
            for turns, _ in batch
        ]
        encoded = tokenizer(
            prompts, return_tensors="pt", padding=True, add_special_tokens=False
        ).to(model.device)
        with torch.no_grad():
            tokens = model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=_stops(model, tokenizer),
            )
        new = tokens[:, encoded["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        out += [
            Answer(turns[-1]["content"] or "", expected, text)
            for (turns, expected), text in zip(batch, texts, strict=True)
        ]
    model.train(was_training)
    tokenizer.padding_side = side
    return out


def last_answer(conversation: Conversation) -> tuple[list[dict], str]:
    """Return the turns before the last answer of the assistant, and that answer.

    Turns after it, such as a last word of the user, are left out.

    Raises
    ------
    ValueError
        If no turn of the assistant with text follows another turn.
    """
    turns = conversation["messages"]
    for place in range(len(turns) - 1, 0, -1):
        if turns[place]["role"] == "assistant" and turns[place].get("content"):
            return turns[:place], turns[place]["content"]
    raise ValueError(
        "a conversation has no answer of the assistant after another turn, so nothing "
        "can be asked: begin it with a turn of the user"
    )


def _stops(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    known = model.generation_config.eos_token_id
    known = known if isinstance(known, list) else [known]
    return sorted({tokenizer.eos_token_id, *known} - {None})


def exact_match(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Conversation],
    max_new_tokens: int = 48,
    batch_size: int = 64,
) -> float:
    """Return the share of conversations answered word for word (0 to 1)."""
    got = answers(model, tokenizer, conversations, max_new_tokens, batch_size)
    return sum(answer.correct for answer in got) / len(got)


@dataclass(frozen=True)
class TextScore:
    """How well a model predicts a text."""

    nats: float  # total negative log-likelihood, in nats
    tokens: int  # tokens predicted
    bytes: int  # UTF-8 bytes of the text

    @property
    def perplexity(self) -> float:
        """``exp`` of the mean loss per token; compare only with the same tokenizer."""
        return math.exp(self.nats / self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte; comparable between models with different tokenizers."""
        return self.nats / math.log(2) / self.bytes


def score_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Conversation],
    longest: int = 2048,
) -> TextScore:
    """Score the last answer of each conversation, given what stands before it.

    Free text is never repeated word for word, so an exact match says little of it; how
    probable the right answer is says much. The end-of-turn token is not scored.

    Parameters
    ----------
    longest
        Tokens of question and answer; of what is longer, the end is scored.
    """
    import torch

    was_training = model.training
    model.eval()
    nats, count, size = 0.0, 0, 0
    for conversation in conversations:
        turns, answer = last_answer(conversation)
        asked = tokenizer.apply_chat_template(
            turns, tokenize=True, return_dict=False, add_generation_prompt=True
        )
        said = tokenizer(answer, add_special_tokens=False)["input_ids"]
        ids = torch.tensor([[*asked, *said][-longest:]], device=model.device)
        scored = min(len(said), ids.shape[1] - 1)
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, -scored - 1 : -1].float()
        loss = torch.nn.functional.cross_entropy(logits, ids[0, -scored:])
        nats += loss.item() * scored
        count += scored
        size += len(answer.encode())
    model.train(was_training)
    return TextScore(nats, count, size)


def score(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    window: int = 256,
    batch_size: int = 16,
) -> TextScore:
    """Score documents, each on its own, in windows of ``window`` tokens.

    Every token but the first of a window is predicted. Documents never share a window,
    so no text is judged with another one as its context.

    Parameters
    ----------
    texts
        Documents. Longer ones are cut into windows; the bytes of the first token of
        each window are not predicted and are subtracted from ``bytes``.
    """
    import torch

    was_training = model.training
    model.eval()
    windows = [
        ids[start : start + window]
        for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        for start in range(0, len(ids), window)
        if len(ids) - start > 1
    ]
    first = [len(tokenizer.decode([ids[0]]).encode()) for ids in windows]
    total_bytes = sum(len(tokenizer.decode(ids).encode()) for ids in windows)
    nats, count = 0.0, 0
    windows.sort(key=len)
    for start in range(0, len(windows), batch_size):
        batch = windows[start : start + batch_size]
        width = max(map(len, batch))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in batch])
        real = torch.tensor(
            [[1] * len(row) + [0] * (width - len(row)) for row in batch]
        )
        labels = ids.masked_fill(real == 0, -100).to(model.device)
        with torch.no_grad():
            logits = model(
                input_ids=ids.to(model.device), attention_mask=real.to(model.device)
            ).logits
        nats += torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(),
            labels[:, 1:].flatten(),
            ignore_index=-100,
            reduction="sum",
        ).item()
        count += int((labels[:, 1:] != -100).sum())
    model.train(was_training)
    return TextScore(nats, count, total_bytes - sum(first))
