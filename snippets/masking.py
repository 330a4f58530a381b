"""Which tokens are trained is asked of each library, one conversation at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Turns = Sequence[Mapping[str, Any]]


class Row(NamedTuple):
    """One conversation as a trainer sees it; a label of -100 carries no loss."""

    input_ids: list[int]
    labels: list[int]

    @property
    def trained(self) -> int:
        """The number of tokens that carry a loss."""
        return sum(label != -100 for label in self.labels)


# region: training_hub
def training_hub(folder: str | Path, turns: Turns) -> Row:
    """Mask as Training Hub's ``sft`` and ``osft`` do, with the code they call.

    ``instructlab.training`` wraps each answer in two tokens of its own, renders the
    conversation, and trains what stands between them, and on to the next EOS.
    """
    from instructlab.training import data_process

    tokenizer = data_process.configure_tokenizer(str(folder))
    row = data_process.unmask_sample({"messages": list(turns)}, tokenizer)
    return Row(row["input_ids"], row["labels"])


# endregion: training_hub


# region: trl
def trl(folder: str | Path, turns: Turns, assistant_only_loss: bool = True) -> Row:
    """Mask as TRL's ``SFTTrainer`` does: build one, and read its first batch.

    Without ``assistant_only_loss``, its default, all tokens of a conversation are
    trained. Nothing is trained here; the model is a small one without knowledge.
    """
    return _first_batch(folder, {"messages": list(turns)}, assistant_only_loss)


def trl_last_answer(folder: str | Path, turns: Turns) -> Row:
    """Mask as ``SFTTrainer`` does for a prompt and its completion: the last answer."""
    row = {"prompt": list(turns[:-1]), "completion": list(turns[-1:])}
    return _first_batch(folder, row, None)


def _first_batch(folder: str | Path, row: dict, assistant_only: bool | None) -> Row:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from snippets.backends.batches import quiet_datasets
    from snippets.tiny import tiny_config

    settings = {} if assistant_only is None else {"assistant_only_loss": assistant_only}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as scratch, quiet_datasets():
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_config(tiny_config(len(tokenizer))),
            args=SFTConfig(
                scratch,
                max_length=None,
                use_cpu=True,
                bf16=False,
                report_to="none",
                **settings,
            ),  # fmt: skip
            train_dataset=Dataset.from_list([row]),
            processing_class=tokenizer,
        )
        batch = trainer.data_collator([trainer.train_dataset[0]])
    return Row(batch["input_ids"][0].tolist(), batch["labels"][0].tolist())


# endregion: trl


# region: transformers
def transformers_template(folder: str | Path, turns: Turns) -> Row:
    """Mask by the template's own ``{% generation %}`` markers, without a trainer.

    A template without markers gives a row in which nothing is trained, and a warning
    in the log of transformers.
    """
    from transformers import AutoTokenizer

    done = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        list(turns), return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(done["input_ids"], done["assistant_masks"], strict=True)
    return Row(done["input_ids"], [token if said else -100 for token, said in pairs])


def transformers_collator(folder: str | Path, turns: Turns) -> Row:
    """Mask as ``DataCollatorForLanguageModeling`` does: all but the pad token."""
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(list(turns), return_dict=False)
    batch = DataCollatorForLanguageModeling(tokenizer, mlm=False)([{"input_ids": ids}])
    return Row(batch["input_ids"][0].tolist(), batch["labels"][0].tolist())


# endregion: transformers


# region: judge
@dataclass(frozen=True)
class Verdict:
    """What a mask does to the answers of a conversation.

    Attributes
    ----------
    answers : int
        Turns of the assistant.
    learned : int
        Answers of which every token is trained.
    ends : int
        Answers whose next token, the end of the turn, is trained.
    others : int
        Trained tokens that are neither: prompts, roles and what stands between.
    """

    answers: int
    learned: int
    ends: int
    others: int

    @property
    def good(self) -> bool:
        """Whether all answers and their ends are trained, and nothing else."""
        return self.learned == self.ends == self.answers and not self.others

    def __str__(self) -> str:
        """Say in a few words what is right or wrong with the mask."""
        if self.good:
            return "good"
        if not self.learned:
            return "no answer trained"
        if self.learned < self.answers:
            return f"{self.learned} of {self.answers} answers"
        if self.ends < self.answers:
            return "no end of turn" + (", and prompts" if self.others else "")
        return f"{self.others} other tokens"


def judge(tokenizer: Any, turns: Turns, row: Row) -> Verdict:
    """Say which answers, ends and other tokens of a conversation a mask trains.

    Raises
    ------
    ValueError
        If the text of an answer does not stand in the row as it was given: the
        template changed it, or it was cut.
    """
    text = tokenizer.decode(row.input_ids)
    edges = [len(tokenizer.decode(row.input_ids[:n])) for n in range(len(row.labels))]
    said: list[list[int]] = []
    place = 0
    for turn in turns:
        content = turn.get("content") or ""
        place = text.find(content, place)
        if place < 0:
            raise ValueError(f'"{content[:40]}" does not stand in the rendered text')
        if turn["role"] == "assistant" and content:
            inside = range(place, place + len(content))
            said.append([n for n, edge in enumerate(edges) if edge in inside])
        place += len(content)
    ends = [answer[-1] + 1 for answer in said if answer[-1] + 1 < len(edges)]
    counts = [label != -100 for label in row.labels]
    theirs = sum(counts[n] for answer in said for n in answer)
    stops = sum(counts[n] for n in ends)
    whole = sum(all(counts[n] for n in answer) for answer in said)
    return Verdict(len(said), whole, stops, row.trained - theirs - stops)


# endregion: judge


# region: survey
PATHS: dict[str, Callable[[str | Path, Turns], Row]] = {
    "Training Hub, sft and osft": training_hub,
    "TRL, assistant_only_loss": trl,
    "TRL, its default": lambda folder, turns: trl(folder, turns, False),
    "TRL, prompt and completion": trl_last_answer,
    "transformers, markers": transformers_template,
    "transformers, LM collator": transformers_collator,
}


def survey(folder: str | Path, turns: Turns) -> dict[str, Row | str]:
    """Ask every library for the mask of one conversation.

    Parameters
    ----------
    folder
        A model folder: ``config.json`` and the tokenizer. No weights are read.
    turns
        One conversation; the last turn is the assistant's.

    Returns
    -------
    dict
        The row of each of ``PATHS``, or the message with which it was refused.
    """
    found: dict[str, Row | str] = {}
    for name, path in PATHS.items():
        try:
            found[name] = path(folder, turns)
        except ValueError as refused:
            found[name] = str(refused)
    return found


def table(folder: str | Path, turns: Turns) -> dict[str, Verdict | str]:
    """Print what each library trains, one line each, and return the verdicts."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    verdicts: dict[str, Verdict | str] = {}
    for name, row in survey(folder, turns).items():
        if isinstance(row, str):
            verdicts[name] = "refused"
            print(f"{name:27s} refused: {row[:60]}...")
            continue
        verdicts[name] = verdict = judge(tokenizer, turns, row)
        print(f"{name:27s} {row.trained:4d} of {len(row.labels):4d} tokens, {verdict}")
    return verdicts


# endregion: survey
