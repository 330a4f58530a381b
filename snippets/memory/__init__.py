"""How much memory a fine-tune needs: the formula, and what a loaded model really takes.

Sources: NF4 and double quantization, Dettmers et al. 2023 (arXiv:2305.14314); 16 bytes
a parameter for AdamW with float32 master weights, Rajbhandari et al. 2020
(arXiv:1910.02054); activation checkpointing, Chen et al. 2016 (arXiv:1604.06174).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

UNITS = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "bytes": 1}
METHODS = ("full", "lora", "qlora")
ALL_LINEAR = "all-linear"
FAMILIES = ("llama", "mistral", "granite", "qwen2", "qwen3", "gemma2", "gemma3_text")
GEMMA = ("gemma2", "gemma3_text")


class GeometryError(ValueError):
    """The model or the request does not fit what the formula describes."""


# region: geometry
@dataclass(frozen=True)
class Linear:
    """One linear layer of a decoder layer."""

    name: str
    d_in: int
    d_out: int
    bias: bool = False

    @property
    def weights(self) -> int:
        """The number of weights, without the bias."""
        return self.d_in * self.d_out


@dataclass(frozen=True)
class Geometry:
    """The shapes of a decoder, read from its configuration without any weights."""

    hidden: int
    layers: int
    intermediate: int
    attention: int  # heads x head size: the width of the queries
    key_value: int  # key-value heads x head size
    head_size: int
    vocabulary: int
    tied: bool  # the head uses the weights of the embedding
    head_norms: bool  # queries and keys are normed a head (Qwen3, Gemma 3)
    linears: tuple[Linear, ...]  # of one decoder layer
    norms: int = 2  # a layer; Gemma also norms what attention and MLP give back

    @classmethod
    def from_config(cls, config: Any) -> Geometry:
        """Read a transformers configuration of one of ``FAMILIES``."""
        config = config.get_text_config()
        if config.model_type not in FAMILIES:
            raise GeometryError(
                f'model type "{config.model_type}" is not described here; '
                f"use one of {', '.join(FAMILIES)}"
            )
        heads = config.num_attention_heads
        head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            intermediate=config.intermediate_size,
            attention=heads * head_size,
            key_value=config.num_key_value_heads * head_size,
            head_size=head_size,
            vocabulary=config.vocab_size,
            tied=bool(config.tie_word_embeddings),
            head_norms=config.model_type in ("qwen3", "gemma3_text"),
            linears=_linears(config, heads * head_size, head_size),
            norms=4 if config.model_type in GEMMA else 2,
        )

    @property
    def linear_parameters(self) -> int:
        """Weights of all linear layers but the head: what NF4 quantizes."""
        return self.layers * sum(linear.weights for linear in self.linears)

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embedding, and of the head when it has its own."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def small_parameters(self) -> int:
        """Norms and biases."""
        biases = sum(linear.d_out for linear in self.linears if linear.bias)
        norms = self.norms * self.hidden + (
            2 * self.head_size if self.head_norms else 0
        )
        return self.layers * (biases + norms) + self.hidden

    @property
    def parameters(self) -> int:
        """All parameters; a tied head counts once."""
        return (
            self.linear_parameters + self.embedding_parameters + self.small_parameters
        )


def _linears(config: Any, attention: int, head_size: int) -> tuple[Linear, ...]:
    hidden, inner = config.hidden_size, config.intermediate_size
    key_value = config.num_key_value_heads * head_size
    qwen2 = config.model_type == "qwen2"
    biased = qwen2 or bool(getattr(config, "attention_bias", False))
    mlp_biased = bool(getattr(config, "mlp_bias", False))
    return (
        Linear("q_proj", hidden, attention, biased),
        Linear("k_proj", hidden, key_value, biased),
        Linear("v_proj", hidden, key_value, biased),
        Linear("o_proj", attention, hidden, biased and not qwen2),
        Linear("gate_proj", hidden, inner, mlp_biased),
        Linear("up_proj", hidden, inner, mlp_biased),
        Linear("down_proj", inner, hidden, mlp_biased),
    )


# endregion: geometry


# region: adapters
def lora_parameters(
    geometry: Geometry, r: int = 16, targets: str | Sequence[str] = ALL_LINEAR
) -> int:
    """Count the parameters of a LoRA adapter: r x (inputs + outputs) a linear layer.

    Parameters
    ----------
    geometry
        The base model.
    r
        The rank.
    targets
        ``all-linear``, or names such as ``q_proj``.

    Raises
    ------
    GeometryError
        When a name matches no linear layer.
    """
    chosen = _chosen(geometry, targets)
    return geometry.layers * r * sum(one.d_in + one.d_out for one in chosen)


def _chosen(geometry: Geometry, targets: str | Sequence[str]) -> list[Linear]:
    if targets == ALL_LINEAR:
        return list(geometry.linears)
    names = [targets] if isinstance(targets, str) else list(targets)
    known = [linear.name for linear in geometry.linears]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise GeometryError(
            f"target module {', '.join(unknown) or '(none)'} matches no linear layer; "
            f"use {ALL_LINEAR} or some of {', '.join(known)}"
        )
    return [linear for linear in geometry.linears if linear.name in names]


# endregion: adapters


# region: nf4
def nf4_bits(double_quant: bool = True, block: int = 64, block2: int = 256) -> float:
    """Count the bits that NF4 spends on one weight.

    Every weight takes 4 bits, and every ``block`` weights share one scale. The scale
    is a 32-bit number: 4 + 32/64 = 4.5 bits. Double quantization stores the scales in
    8 bits, and every ``block2`` of them share a 32-bit scale of their own:
    4 + 8/64 + 32/(64 x 256) = 4.127 bits (QLoRA, section 3).
    """
    if not double_quant:
        return 4 + 32 / block
    return 4 + 8 / block + 32 / (block * block2)


def nf4_bytes(geometry: Geometry, double_quant: bool = True) -> int:
    """Count the bytes of all NF4 linear layers as bitsandbytes lays them out.

    That is ``nf4_bits`` a weight, and beside every layer a copy of the look-up
    tables: 16 float32 values for NF4, and 256 more and an offset for the 8-bit
    scales. The copies matter in a tiny model and vanish in a large one.
    """
    sizes = [_nf4_layer(linear.weights, double_quant) for linear in geometry.linears]
    return geometry.layers * sum(sizes)


def _nf4_layer(weights: int, double_quant: bool) -> int:
    scales = math.ceil(weights / 64)
    if not double_quant:
        return weights // 2 + 4 * scales + 4 * 16
    return weights // 2 + scales + 4 * math.ceil(scales / 256) + 4 * (16 + 256 + 1)


# endregion: nf4


# region: breakdown
@dataclass(frozen=True)
class Breakdown:
    """Bytes of one process at the peak of a training step, part by part."""

    weights: int
    adapters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    workspace: int

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """Return the bytes of every part by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def rows(self) -> list[tuple[str, str]]:
        """Return the parts that are not zero and the total, ready for a table."""
        parts = {name: size for name, size in self.parts().items() if size}
        return [(n, in_units(s)) for n, s in (parts | {"total": self.total}).items()]

    def fits(self, gib: float, reserve_gib: float = 1.5) -> bool:
        """Tell whether a device of ``gib`` GiB can hold it.

        ``reserve_gib`` stays free for what no formula sees: the CUDA context
        (0.5 to 1.4 GiB) and memory that the allocator cannot reuse.
        """
        return self.total <= (gib - reserve_gib) * UNITS["GiB"]


# endregion: breakdown


# region: estimate
@dataclass(frozen=True)
class Step:
    """The settings of a training step that decide what it keeps in memory."""

    r: int = 16  # rank of the adapter
    targets: str | Sequence[str] = ALL_LINEAR  # linear layers that get one
    micro_batch: int = 1  # sequences a forward pass
    seq_len: int = 2048  # tokens a sequence
    checkpointing: bool = True  # keep one hidden state a layer, compute the rest again
    # Bytes of a weight that is not quantized: None is 4 for full, else 2. After
    # peft.prepare_model_for_kbit_training it is 4 for qlora too.
    weights_dtype_bytes: int | None = None
    compute_dtype_bytes: int = 2  # of a hidden state: bfloat16 2, float32 4
    optimizer_bytes: int = 8  # a trained parameter: AdamW 8, its 8-bit form 2
    double_quant: bool = True  # the scales of NF4 are quantized themselves
    logits_chunk: int | None = None  # tokens whose logits exist at once; None: all


def estimate(geometry: Geometry, method: str, **settings: Any) -> Breakdown:
    """Predict the memory of one process at the peak of a training step.

    Nothing is divided by the number of devices: data parallel training copies all
    of it to each of them.

    Parameters
    ----------
    geometry
        The base model.
    method
        ``full`` (float32 weights, 16 bytes a parameter), ``lora`` (frozen weights)
        or ``qlora`` (frozen NF4 linear layers; embedding, head and norms are not
        quantized). Adapters are float32: 16 bytes a parameter.
    settings
        Fields of ``Step``, for example ``r=16, micro_batch=4, seq_len=2048``.
    """
    if method not in METHODS:
        raise GeometryError(f'unknown method "{method}"; use one of {METHODS}')
    step, full = Step(**settings), method == "full"
    adapted = [] if full else _chosen(geometry, step.targets)
    adapter = 0 if full else lora_parameters(geometry, step.r, step.targets)
    trained = geometry.parameters if full else adapter
    return Breakdown(
        weights=_weight_bytes(geometry, method, step),
        adapters=4 * adapter,
        gradients=4 * trained,
        optimizer=step.optimizer_bytes * trained,
        activations=_activation_bytes(geometry, adapted, step),
        logits=_logit_bytes(geometry, step),
        workspace=_workspace_bytes(geometry, step) if method == "qlora" else 0,
    )


def _weight_bytes(geometry: Geometry, method: str, step: Step) -> int:
    width = step.weights_dtype_bytes or (4 if method == "full" else 2)
    if method != "qlora":
        return geometry.parameters * width
    rest = geometry.embedding_parameters + geometry.small_parameters
    return nf4_bytes(geometry, step.double_quant) + rest * width


def _activation_bytes(geometry: Geometry, adapted: list[Linear], step: Step) -> int:
    tokens, c = step.micro_batch * step.seq_len, step.compute_dtype_bytes
    layer = _layer_bytes(geometry, adapted, step.r, c)
    if not step.checkpointing:
        return tokens * geometry.layers * layer
    return tokens * (geometry.layers * geometry.hidden * c + layer)


def _logit_bytes(geometry: Geometry, step: Step) -> int:
    """Count the logits, their float32 log-softmax and its gradient."""
    tokens = step.micro_batch * step.seq_len
    at_once = min(tokens, step.logits_chunk or tokens)
    return at_once * geometry.vocabulary * (step.compute_dtype_bytes + 8)


def _workspace_bytes(geometry: Geometry, step: Step) -> int:
    """Count the one linear layer that is turned back from NF4 at a time."""
    largest = max(linear.weights for linear in geometry.linears)
    return largest * step.compute_dtype_bytes


def _layer_bytes(geometry: Geometry, adapted: Sequence[Linear], r: int, c: int) -> int:
    """Count what one layer keeps for the backward pass, in bytes a token.

    Counted from the tensors that transformers saves with SDPA attention: a norm
    works in float32; attention keeps query, key, value and output; a gated MLP keeps
    four inner states. A frozen linear layer does not keep its input, an adapter does,
    and converts it to float32 first when the hidden states are not.
    """
    h, q, kv, f = (
        geometry.hidden,
        geometry.attention,
        geometry.key_value,
        geometry.intermediate,
    )
    heads, n = q // geometry.head_size, geometry.norms
    statistics = 4 * (n + heads)  # of the norms and of attention
    kept = 4 * n * h + c * (2 * q + 2 * kv) + 3 * c * f + statistics
    gemma = n > 2  # its norms scale in float32, so a trained scale keeps 4 bytes
    if geometry.head_norms:
        kept += (4 + (0 if adapted else 4 if gemma else c)) * (q + kv)
        kept += 4 * (heads + kv // geometry.head_size)
    if not adapted:
        return kept + 4 * c * h + c * f + ((4 * n - 2 * c) * h if gemma else 0)
    return kept + _adapter_inputs(adapted, c) + 4 * r * len(adapted)


def _adapter_inputs(adapted: Sequence[Linear], c: int) -> int:
    """Count the inputs that adapters keep; float32 hidden states are not copied."""
    if c < 4:
        return sum(4 * linear.d_in for linear in adapted)
    shared = {"q_proj": "attention", "k_proj": "attention", "v_proj": "attention"}
    shared |= {"gate_proj": "mlp", "up_proj": "mlp"}
    inputs = {shared.get(linear.name, linear.name): linear.d_in for linear in adapted}
    inputs.pop("o_proj", None)  # attention keeps its output anyway
    return sum(4 * width for width in inputs.values())


# endregion: estimate


# region: measured
@dataclass(frozen=True)
class Footprint:
    """Bytes that the tensors of a loaded model take; shared ones count once."""

    nf4: int  # 4-bit weights with their scales
    tables: int  # copies of the look-up tables beside every 4-bit layer
    weights: int  # everything else that is not an adapter
    adapters: int
    nf4_parameters: int

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return sum(self.parts().values())

    @property
    def nf4_bits(self) -> float:
        """Bits a 4-bit weight takes with its scales; 0.0 when none is quantized."""
        return 8 * self.nf4 / self.nf4_parameters if self.nf4_parameters else 0.0

    def parts(self) -> dict[str, int]:
        """Return the bytes of every part by name."""
        names = ("nf4", "tables", "weights", "adapters")
        return {name: getattr(self, name) for name in names}


def measured_footprint(model: Any) -> Footprint:
    """Add up the bytes of a model's tensors, to be set beside the formula.

    Parameters
    ----------
    model
        A transformers or PEFT model, with or without 4-bit layers.
    """
    seen: set[int] = set()
    sizes = {"nf4": 0, "tables": 0, "weights": 0, "adapters": 0}
    quantized = 0
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        state = getattr(tensor, "quant_state", None)
        if state is None:
            part = "adapters" if "lora_" in name else "weights"
            sizes[part] += _bytes([tensor.data], seen)
            continue
        quantized += state.shape.numel()
        levels = [state] if state.state2 is None else [state, state.state2]
        scales = [level.absmax for level in levels]
        sizes["nf4"] += _bytes([tensor.data, *scales], seen)
        tables = [level.code for level in levels] + [state.offset]
        sizes["tables"] += _bytes(tables, seen)
    return Footprint(**sizes, nf4_parameters=quantized)


def _bytes(tensors: Sequence[Any], seen: set[int]) -> int:
    size = 0
    for tensor in tensors:
        if tensor is None:
            continue
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            size += storage.nbytes()
    return size


# endregion: measured


def unit_of(size: float) -> str:
    """Choose the unit in which a number of bytes is easy to read."""
    return next((unit for unit, scale in UNITS.items() if size >= scale), "bytes")


def in_units(size: float) -> str:
    """Write a number of bytes: 5.17 GiB."""
    unit = unit_of(size)
    value = size / UNITS[unit]
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"
