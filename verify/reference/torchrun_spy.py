"""Spies for ``sft`` and ``osft``: all runs for real up to the start of the workers.

The doubles: a process that is not started, whose command line is kept; the library's
data processing, whose arguments are kept; instructlab's question whether the GPU has
flash attention, which a machine without a GPU cannot answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from verify.reference import plain, world

Places = dict[str, dict[str, Any]]
PROCESSING = "data processing"
COMMAND = "worker's command line"


class NoProcess:
    """Stands in for the libraries' StreamablePopen: keeps the command, no more."""

    def __init__(self, places: Places, words: list[str]) -> None:
        places[COMMAND] = plain.command(words)
        places["environment"] = world.settings()

    def listen(self) -> None:
        """Print nothing: nothing runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code of a run that went well."""
        return 0

    poll = wait


def process(places: Places) -> Callable[..., NoProcess]:
    """Return what is called in place of StreamablePopen(log, command)."""
    return lambda log, words: NoProcess(places, words)


def note_arguments(places: Places, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``run_training`` as it is, but for a note of the two objects it gets."""

    def run_training(torch_args: Any, train_args: Any) -> Any:
        places["TrainingArgs"] = plain.fields(train_args)
        places["TorchrunArgs"] = plain.fields(torch_args)
        return real(torch_args=torch_args, train_args=train_args)

    return run_training


def note_call(places: Places, place: str) -> Callable[..., None]:
    """Return a function that keeps its named arguments and does nothing."""

    def called(*values: Any, **named: Any) -> None:
        places[place] = dict(named)

    return called


@contextmanager
def instructlab() -> Iterator[Places]:
    """Yield what ``instructlab-training`` is given, filled by the call."""
    from instructlab.training import data_process, main_ds, utils
    from training_hub.algorithms import sft

    places: Places = {}
    logger = note_call(places, "metric logger")
    with ExitStack() as spies:
        for target, name, double in (
            (sft, "run_training", note_arguments(places, sft.run_training)),
            (main_ds, "StreamablePopen", process(places)),
            (main_ds, "setup_metric_logger", logger),
            (main_ds, "setup_root_logger", note_call({}, "")),
            (utils.Model, "check_flash_attn_enabled", lambda disabled: False),
            (data_process, "process_data", note_call(places, PROCESSING)),
            (data_process, "process_documents_for_pretraining",
             note_call(places, PROCESSING)),
        ):  # fmt: skip
            spies.enter_context(patch.object(target, name, double))
        yield places


@contextmanager
def mini_trainer() -> Iterator[Places]:
    """Yield what ``mini-trainer`` is given, filled by the call."""
    import mini_trainer as library
    from instructlab.training import data_process
    from mini_trainer import api_train

    places: Places = {}
    with ExitStack() as spies:
        for target, name, double in (
            (library, "run_training", note_arguments(places, library.run_training)),
            (api_train, "StreamablePopen", process(places)),
            (data_process, "process_messages_into_input_ids",
             note_call(places, PROCESSING)),
            (data_process, "process_documents_for_pretraining",
             note_call(places, PROCESSING)),
        ):  # fmt: skip
            spies.enter_context(patch.object(target, name, double))
        yield places
