"""Training Hub backends that run on any device, registered through its own registry.

``register()`` adds ``lora_sft(backend="peft")``, ``sft(backend="transformers")`` and
``osft(backend="mini-trainer-inprocess")``.
``choose(algorithm)`` says, before the call, which backend can run on this machine.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from snippets import hardware
from snippets.backends.parameters import ParameterError

__all__ = ["Choice", "ParameterError", "choose", "register"]

# Algorithm -> (Training Hub's default backend, the module it needs, ours).
BACKENDS = {
    "lora_sft": ("unsloth", "unsloth", "peft"),
    "sft": ("instructlab-training", "instructlab.training", "transformers"),
    "osft": ("mini-trainer", "mini_trainer", "mini-trainer-inprocess"),
}


@dataclass(frozen=True)
class Choice:
    """The backend to pass to Training Hub, and why."""

    algorithm: str
    backend: str
    reason: str

    def __str__(self) -> str:
        return f'{self.algorithm}(backend="{self.backend}"): {self.reason}'


# region: choose
def choose(algorithm: str) -> Choice:
    """Choose a backend by a probe, before the call: the default one where it can run.

    Parameters
    ----------
    algorithm
        ``"lora_sft"``, ``"sft"`` or ``"osft"``.
    """
    default, module, ours = BACKENDS[algorithm]
    if hardware.probe().kind != "cuda":
        return Choice(algorithm, ours, f"{default} needs a CUDA device; none is here")
    if not _installed(module):
        return Choice(algorithm, ours, f"{default} is not installed")
    return Choice(algorithm, default, "Training Hub's default, CUDA device found")


# endregion: choose


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


# region: register
def register() -> None:
    """Register our backends with Training Hub. Calling it twice is harmless.

    Those that are not here are passed over: a notebook that runs alone carries only
    the one that it trains with.
    """
    hardware.quiet_libraries()
    trap = hardware.broken_torchvision()
    if trap:
        raise ImportError(trap)
    from training_hub import AlgorithmRegistry

    def add(algorithm: str, backend: type) -> None:
        AlgorithmRegistry.register_backend(algorithm, BACKENDS[algorithm][2], backend)

    if _installed(f"{__name__}.peft_lora"):
        from snippets.backends.peft_lora import PeftLoRABackend

        add("lora_sft", PeftLoRABackend)
    if _installed(f"{__name__}.transformers_sft"):
        from snippets.backends.transformers_sft import TransformersSFTBackend

        add("sft", TransformersSFTBackend)
    if _installed(f"{__name__}.mini_trainer_osft"):
        from snippets.backends.mini_trainer_osft import MiniTrainerOSFTBackend

        add("osft", MiniTrainerOSFTBackend)
    hardware.quiet_libraries()  # again, for what was imported since


# endregion: register
