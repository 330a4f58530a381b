"""Plans the memory of one process at the peak of a training step, and how sure it is.

Sources: those of ``snippets.memory``; sharded states, Rajbhandari et al. 2020
(arXiv:1910.02054); 8-bit optimizer states, one scale for 256 values, Dettmers et al.
2022 (arXiv:2110.02861); OSFT's factors, ``mini_trainer.osft_utils.create_svd_dict`` of
rhai-innovation-mini-trainer 0.9.0; gradient buckets, the notes of
``torch.nn.parallel.DistributedDataParallel``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from snippets import memory
from snippets.memory import Geometry, GeometryError, Linear, in_units

GIB = 1024**3
METHODS = ("full", "lora", "qlora", "osft")
# Bytes an AdamW state takes for each trained parameter; None: twice the weight's own.
OPTIMIZERS = {
    "adamw": None,
    "adamw-8bit": 2 * (1 + 4 / 256),
    "paged-adamw": None,
    "paged-adamw-8bit": 2 * (1 + 4 / 256),
}
PRECISIONS = ("fp32-master", "bf16")
SHARDINGS = ("ddp", "fsdp")
LOSS_BYTES = 12  # a logit: the log-softmax in float32, its gradient, and the logits'
SOFTCAP_BYTES = 4  # more, where tanh bounds the logits (Gemma 2)
CONTEXT_GIB = (0.5, 1.0, 1.4)  # least, middle and most that a CUDA context takes
# How far a real part lies from its formula, as notebooks/memory-rungs measures it.
EXACT = (0.99, 1.01)  # weights, adapters, gradients, optimizer
MODELLED = (0.85, 1.25)  # everything else


# region: setup
@dataclass(frozen=True)
class Setup:
    """All that decides how much memory a fine-tune takes, besides the model."""

    method: str = "qlora"  # one of METHODS
    seq_len: int = 2048  # tokens a row
    micro_batch: int = 1  # rows a forward pass and process
    gpus: int = 1  # processes, one a GPU
    sharding: str = "ddp"  # ddp copies everything to each GPU, fsdp divides it
    checkpointing: bool = True  # keep one hidden state a layer, compute the rest again
    loss_chunk: int = 0  # tokens whose logits exist at once, as in Liger; 0: all
    optimizer: str = "adamw"  # one of OPTIMIZERS; a paged one may leave the device
    precision: str = "fp32-master"  # of what is trained; bf16: weights and states too
    compute_bytes: int = 2  # of a hidden state: bfloat16 2, float32 4
    r: int = 16  # rank of the adapter
    unfreeze: float = 0.25  # share of the singular directions that OSFT trains
    double_quant: bool = True  # the scales of NF4 are quantized themselves
    wide_rest: bool = False  # QLoRA: embedding, head and norms widened to float32

    def __post_init__(self) -> None:
        """Refuse what the formulas do not describe."""
        for name, known in (
            ("method", METHODS),
            ("sharding", SHARDINGS),
            ("optimizer", tuple(OPTIMIZERS)),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in known:
                raise GeometryError(
                    f'{name} "{getattr(self, name)}" is not described here; '
                    f"use one of {', '.join(known)}"
                )
        for name in ("seq_len", "micro_batch", "gpus", "r"):
            if getattr(self, name) < 1:
                raise GeometryError(f"{name} is {getattr(self, name)}; use 1 or more")
        if not 0 < self.unfreeze <= 1:
            raise GeometryError(
                f"unfreeze is {self.unfreeze}; use a share above 0 and at most 1"
            )


# endregion: setup


# region: plan
@dataclass(frozen=True)
class Plan:
    """Bytes of one process at the peak of a training step, part by part.

    ``logits`` with ``copies``, ``layer`` and ``gradient`` are three moments, of which
    only the largest counts: the loss, one layer's backward pass, the embedding's.
    """

    weights: int
    adapters: int
    gradients: int
    optimizer: int
    communication: int  # buckets of DDP, or what FSDP gathers
    activations: int  # kept from the forward to the backward pass
    logits: int
    copies: int  # of float32 weights in 16 bits, which autocast holds until the loss
    layer: int
    gradient: int
    context: int
    host: int = 0  # optimizer states that can move to main memory; not in the total

    def parts(self) -> dict[str, int]:
        """Return the bytes of every part on the device, by name."""
        names = (field.name for field in fields(self) if field.name != "host")
        return {name: getattr(self, name) for name in names}

    @property
    def states(self) -> int:
        """What is known exactly: weights, adapters, gradients, optimizer."""
        return self.weights + self.adapters + self.gradients + self.optimizer

    @property
    def modelled(self) -> int:
        """What a formula only comes close to: all but the states and the context."""
        return self.total - self.states - self.context

    @property
    def total(self) -> int:
        """The sum of all parts on the device."""
        return sum(self.parts().values())

    @property
    def low(self) -> int:
        """The least it may take."""
        return math.floor(self._bound(0, CONTEXT_GIB[0]))

    @property
    def high(self) -> int:
        """The most it may take, with a paged optimizer's states in main memory."""
        return math.ceil(self._bound(1, CONTEXT_GIB[2]))

    def _bound(self, side: int, context: float) -> float:
        known, rest = self.states * EXACT[side], self.modelled * MODELLED[side]
        return known + rest + context * GIB

    def fits(self, gib: float) -> str:
        """Say whether a device of ``gib`` GiB holds it: yes, no, too close to call."""
        if self.high <= gib * GIB:
            return "yes"
        return "no" if self.low > gib * GIB else "too close to call"

    def rows(self) -> list[tuple[str, str]]:
        """Return the parts that are not zero, the total and its range, for a table."""
        parts = [(name, in_units(size)) for name, size in self.parts().items() if size]
        span = f"{in_units(self.low)} to {in_units(self.high)}"
        rows = [*parts, ("total", in_units(self.total)), ("range", span)]
        return [*rows, ("in main memory", in_units(self.host))] if self.host else rows


def plan(geometry: Geometry, setup: Setup | None = None, **changes: Any) -> Plan:
    """Plan the memory of one process.

    Parameters
    ----------
    geometry
        The base model, from ``shapes.read`` or ``memory.Geometry.from_config``.
    setup
        The settings; ``changes`` replace some of its fields.

    Raises
    ------
    GeometryError
        When a setting is not described by the formulas.
    """
    chosen = replace(setup or Setup(), **changes)
    counted = _counted(geometry, chosen)
    share = chosen.gpus if chosen.sharding == "fsdp" else 1
    kept, layer = _activations(geometry, chosen)
    sizes = {name: math.ceil(size / share) for name, size in counted.items()}
    paged = chosen.optimizer.startswith("paged")
    return Plan(
        **sizes | ({"optimizer": 0} if paged else {}),
        communication=_communication(geometry, chosen, counted),
        activations=kept,
        **_peak(geometry, chosen, layer),
        context=round(CONTEXT_GIB[1] * GIB),
        host=sizes["optimizer"] if paged else 0,
    )


def _peak(geometry: Geometry, setup: Setup, layer: int) -> dict[str, int]:
    """Return the parts of the largest of three moments; those of the others are 0."""
    moments = (
        {"logits": _logits(geometry, setup), "copies": _copies(geometry, setup)},
        {"layer": layer + _dequantized(geometry, setup)},
        {"gradient": _gradient(geometry, setup)},
    )
    largest = max(moments, key=lambda parts: sum(parts.values()))
    return dict.fromkeys(("logits", "copies", "layer", "gradient"), 0) | largest


# endregion: plan


# region: states
def _counted(geometry: Geometry, setup: Setup) -> dict[str, int]:
    """Count weights, adapters, gradients and optimizer, as if on one device."""
    wide = 4 if setup.precision == "fp32-master" else 2
    state = OPTIMIZERS[setup.optimizer]
    state = 2 * wide if state is None else state
    stored, trained = _parameters(geometry, setup)
    weights = _weights(geometry, setup, stored, wide)
    adapted = setup.method in ("lora", "qlora")
    return {
        "weights": weights,
        "adapters": wide * trained if adapted else 0,
        "gradients": wide * trained,
        "optimizer": math.ceil(state * trained),
    }


def _parameters(geometry: Geometry, setup: Setup) -> tuple[int, int]:
    """Return how many parameters are stored for the base, and how many are trained."""
    if setup.method in ("lora", "qlora"):
        return geometry.parameters, memory.lora_parameters(geometry, setup.r)
    if setup.method == "full":
        return geometry.parameters, geometry.parameters
    rest = geometry.embedding_parameters + geometry.small_parameters
    stored, free = osft_parameters(geometry, setup.unfreeze)
    return rest + stored, rest + free


def osft_parameters(geometry: Geometry, unfreeze: float) -> tuple[int, int]:
    """Count the parameters of OSFT's factors, and those of them that are trained.

    A matrix of ``n`` outputs and ``m`` inputs is stored as U, S and V with
    k = min(n, m) directions: k (n + m + 1) parameters instead of n m. The largest
    floor(k (1 - unfreeze)) directions are frozen; one at least is trained.
    Embeddings, head, norms and biases are trained too and are not counted here.
    """
    stored = trained = 0
    for linear in geometry.linears:
        rank = min(linear.d_in, linear.d_out)
        each = linear.d_in + linear.d_out + 1
        stored += rank * each
        trained += _unfrozen(linear, unfreeze) * each
    return geometry.layers * stored, geometry.layers * trained


def _unfrozen(linear: Linear, unfreeze: float) -> int:
    rank = min(linear.d_in, linear.d_out)
    return rank - min(math.floor(rank * (1 - unfreeze)), rank - 1)


def _weights(geometry: Geometry, setup: Setup, stored: int, wide: int) -> int:
    if setup.method in ("full", "osft"):
        return stored * wide
    if setup.method == "lora":
        return stored * setup.compute_bytes
    rest = geometry.embedding_parameters + geometry.small_parameters
    width = 4 if setup.wide_rest else setup.compute_bytes
    return memory.nf4_bytes(geometry, setup.double_quant) + rest * width


# endregion: states


# region: moments
def _activations(geometry: Geometry, setup: Setup) -> tuple[int, int]:
    """Return what is kept for the whole backward pass, and what one layer keeps."""
    tokens = setup.micro_batch * setup.seq_len
    adapted = geometry.linears if setup.method in ("lora", "qlora") else ()
    each = memory._layer_bytes(geometry, adapted, setup.r, setup.compute_bytes)
    if setup.method == "osft":  # x V and x V S of the trained directions
        trained = sum(_unfrozen(one, setup.unfreeze) for one in geometry.linears)
        each += 2 * setup.compute_bytes * trained
    if not setup.checkpointing:
        return tokens * geometry.layers * each, 0
    each += _passing(geometry, setup)
    stream = 4 if _autocast(setup) or setup.wide_rest else setup.compute_bytes
    return tokens * geometry.layers * geometry.hidden * stream, tokens * each


def _passing(geometry: Geometry, setup: Setup) -> int:
    """Count the gradients of inner states that pass through a layer, a token."""
    if setup.method in ("lora", "qlora"):  # of two inner states and an adapter's input
        return 3 * 4 * geometry.intermediate
    return 2 * setup.compute_bytes * geometry.intermediate


def _logits(geometry: Geometry, setup: Setup) -> int:
    tokens = setup.micro_batch * setup.seq_len
    at_once = min(tokens, setup.loss_chunk or tokens)
    softcap = geometry.norms > 2 and not geometry.head_norms
    each = LOSS_BYTES + (SOFTCAP_BYTES if softcap else 0)
    return at_once * geometry.vocabulary * each


def _autocast(setup: Setup) -> bool:
    """Tell whether float32 weights are cast while they compute, on a whole replica."""
    return (
        setup.method == "full"
        and setup.precision == "fp32-master"
        and setup.compute_bytes < 4
        and setup.sharding == "ddp"
    )


def _copies(geometry: Geometry, setup: Setup) -> int:
    """Count the 16-bit copies of weights that autocast holds until the loss."""
    if not _autocast(setup):
        return 0
    head = geometry.vocabulary * geometry.hidden
    return setup.compute_bytes * (geometry.linear_parameters + head)


def _dequantized(geometry: Geometry, setup: Setup) -> int:
    """Count the one linear layer that is turned back from NF4 at a time."""
    if setup.method != "qlora":
        return 0
    return setup.compute_bytes * max(linear.weights for linear in geometry.linears)


def _gradient(geometry: Geometry, setup: Setup) -> int:
    """Count what the gradient of the embedding needs before it is added up."""
    if setup.method not in ("full", "osft") or setup.sharding == "fsdp":
        return 0
    wide = 4 if setup.precision == "fp32-master" else 2
    times = 3 if geometry.tied else 1  # tied: of the head, of the embedding, their sum
    return times * wide * geometry.vocabulary * geometry.hidden


# endregion: moments


# region: communication
def _communication(geometry: Geometry, setup: Setup, counted: dict[str, int]) -> int:
    """Count the buckets of DDP, or the layers that FSDP has gathered at once."""
    if setup.gpus == 1:
        return 0
    if setup.sharding == "ddp":
        return counted["gradients"]
    root = setup.compute_bytes * geometry.embedding_parameters
    layer = _gathered_layer(geometry, setup)
    if setup.method in ("lora", "qlora"):
        return root + 2 * layer
    # The next layer is gathered while one computes; gradients are reduced in float32.
    reduced = 4 * max(layer // setup.compute_bytes, geometry.embedding_parameters)
    return root + 2 * layer + reduced


def _gathered_layer(geometry: Geometry, setup: Setup) -> int:
    if setup.method == "qlora":
        return memory.nf4_bytes(geometry, setup.double_quant) // geometry.layers
    each = geometry.linear_parameters
    if setup.method == "osft":
        each = osft_parameters(geometry, setup.unfreeze)[0]
    return setup.compute_bytes * (each // geometry.layers)


# endregion: communication
