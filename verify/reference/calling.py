"""Calls the real Training Hub function once and says what arrived or was raised."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from verify.reference import ours_spy, plain, torchrun_spy, unsloth_double, world
from verify.reference.values import Call

# Backend -> (what stands between the call and the libraries, what is stood in for).
SPIES = {
    "instructlab-training": (
        torchrun_spy.instructlab,
        "torchrun's process, data processing, the GPU's answer on flash attention",
    ),
    "mini-trainer": (
        torchrun_spy.mini_trainer,
        "torchrun's process, data processing",
    ),
    "unsloth": (
        unsloth_double.unsloth,
        "unsloth itself (it needs CUDA), TRL's SFTConfig and SFTTrainer",
    ),
    "transformers": (ours_spy.ours, "Trainer.train, the start of torchrun"),
    "peft": (ours_spy.ours, "Trainer.train, the start of torchrun"),
    "mini-trainer-inprocess": (ours_spy.ours, "Trainer.train, the start of torchrun"),
}


@dataclass(frozen=True)
class Result:
    """What arrived, by place and name; or the error that the call ended with."""

    given: plain.Given
    error: str | None = None


def call(algorithm: str, backend: str, parameters: Call, folder: Path) -> Result:
    """Call ``training_hub.ALGORITHM(backend=BACKEND, **parameters)`` in the folder.

    An error of the call is an answer here, so every one is caught and returned.
    """
    import training_hub

    shutil.rmtree(folder / "OUT", ignore_errors=True)
    values = {name: world.placed(value, folder) for name, value in parameters.items()}
    spy, _ = SPIES[backend]
    error = None
    with silence(), world.settings_undone(), spy() as places:
        try:
            getattr(training_hub, algorithm)(backend=backend, **values)
        except ours_spy.Reached:
            pass
        except (Exception, SystemExit) as raised:
            error = told(raised, folder)
        given = plain.given(places, folder)
    return Result({} if error else given, error)


def told(raised: BaseException, folder: Path) -> str:
    """Return the class and the text of an error, on one line, without its input."""
    words = " ".join(str(raised).split()).split(" [type=")[0]  # pydantic adds values
    said = plain.text(words, folder, longest=200)
    return f"{type(raised).__name__}: {said}" if said else type(raised).__name__


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Hide what the libraries print, log and warn of."""
    before = logging.root.manager.disable
    handlers = list(logging.root.handlers)
    logging.disable(logging.CRITICAL)
    try:
        with ExitStack() as quiet:
            quiet.enter_context(contextlib.redirect_stdout(io.StringIO()))
            quiet.enter_context(contextlib.redirect_stderr(io.StringIO()))
            quiet.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.handlers[:] = handlers


def backends(algorithm: str) -> list[str]:
    """Return the registered backends of an algorithm that there is a spy for."""
    from training_hub import AlgorithmRegistry

    from snippets.backends import register

    register()
    return [
        name for name in AlgorithmRegistry.list_backends(algorithm) if name in SPIES
    ]
