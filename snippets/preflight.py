"""Whether a run fits this device, and how long it takes, before it costs anything.

Only the configuration and the tokenizer of a model are read. Sources: 6 floating point
operations a parameter and token for a training step, 2 of them forward, and the term of
attention, Kaplan et al. 2020 (arXiv:2001.08361, section 2.1); one more forward pass
under activation checkpointing, Chen et al. 2016 (arXiv:1604.06174).
"""

from __future__ import annotations

import math
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snippets import evaluate, hardware, memory
from snippets.hardware import Hardware
from snippets.memory import Breakdown, Geometry, in_units

Rows = Sequence[dict[str, Any]]

# Bytes of a device that stay free for what no formula sees: a CUDA context and memory
# that cannot be reused, or on a CPU the second process that is killed and resumed.
RESERVE = {"cuda": 3 * 2**29, "npu": 3 * 2**29, "cpu": 2**30}
SHORTEST = 20  # tokens; Training Hub drops shorter conversations
SMALL_FILES = 64 * 2**20  # tokenizers, logs, data and the MLflow file of a tutorial


class PreflightError(ValueError):
    """The run cannot start or would not fit; the message says what to change."""


# region: request
@dataclass(frozen=True)
class Run:
    """One training run as it is asked for; 0 or None lets the check choose."""

    method: str  # full, lora or qlora
    num_epochs: float = 1
    effective_batch_size: int = 16  # rows or blocks an optimizer step
    micro_batch_size: int = 0  # of them in a forward pass; 0: the most that fit
    max_seq_len: int = 0  # tokens a row, or a block; 0: the longest row
    gradient_checkpointing: bool | None = None  # None: on GPUs only
    lora_r: int = 16
    held_out: int = 0  # rows that are not trained on
    answered: int = 0  # rows that every evaluation answers


@dataclass(frozen=True)
class Extra:
    """A part of a tutorial that is left out where time, disk or memory is short."""

    name: str
    runs: float = 1  # trainings as long as the main one
    results: float = 1  # adapters or models it writes
    checkpoints: int = 0  # with the state of the optimizer
    merged: int = 0  # whole models, which are built in memory, one at a time
    evaluations: float = 1
    processes: int = 0  # that start anew and import everything again


MAIN = Extra("the main run", evaluations=3)  # before, after, and three answers to read
# endregion: request


# region: flight
@dataclass(frozen=True)
class Flight:
    """What a run needs beside what there is."""

    bill: Bill
    room: Room
    left_out: dict[str, str]  # extra -> why
    seconds: tuple[float, float]
    disk: int
    download: int  # bytes that the hub would send; 0 for a folder
    warnings: tuple[str, ...]

    @property
    def run(self) -> Run:
        """The run, with nothing in it 0 or None any more."""
        return self.bill.run

    @property
    def geometry(self) -> Geometry:
        """The shapes of the model."""
        return self.bill.geometry

    @property
    def new_tokens(self) -> int:
        """How many tokens an evaluation lets the model write."""
        return self.bill.new_tokens

    @property
    def at_once(self) -> int:
        """How many rows an evaluation answers at a time."""
        return min(64, 4 * self.run.micro_batch_size)

    def runs(self, extra: str) -> bool:
        """Tell whether an extra runs; say why where it does not."""
        if extra in self.left_out:
            print(f"left out: {extra}, {self.left_out[extra]}")
        return extra not in self.left_out

    def table(self) -> str:
        """Return what is needed beside what there is, ready to print."""
        need, bill, room = self.bill.memory(), self.bill, self.room
        low, high = map(_duration, self.seconds)
        spare = f"{in_units(need.total)} and {in_units(room.reserve)} to spare"
        rows = [
            ("model", bill.model()),
            ("data", bill.data()),
            ("run", bill.plan()),
            ("memory", f"{spare}, of {in_units(room.memory)} free ({bill.kind})"),
            ("", ", ".join(f"{part} {size}" for part, size in need.rows()[:-1])),
            ("disk", f"{in_units(self.disk)} of {in_units(room.disk)} free"),
            ("time", f"{low} to {high}, an estimate ({bill.speed.summary()})"),
        ]
        if self.download:
            rows.append(("download", f"about {in_units(self.download)} from the hub"))
        rows += [("left out", f"{n}: {why}") for n, why in self.left_out.items()]
        rows += [("mind", warning) for warning in self.warnings]
        return "\n".join(f"{name:8}  {text}" for name, text in rows)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


# endregion: flight


# region: check
def check(
    model_path: str,
    rows: Rows,
    output_dir: str | Path,
    *,
    extras: Iterable[Extra] = (),
    max_minutes: float = 0,
    warn_only: bool = False,
    free_bytes: int | None = None,
    **run: Any,
) -> Flight:
    """Hold a training run against this device before it costs anything.

    Parameters
    ----------
    model_path
        Folder or hub name. Its configuration and tokenizer are read, not its weights.
    rows
        Conversations (``messages``) or documents (``document``), held-out ones too.
    output_dir
        Where results will go; it is made, and a file is written there and removed.
    extras
        Parts that may be left out, the most important one first.
    max_minutes
        Extras that would take longer are left out; 0 sets no limit.
    warn_only
        Warn where memory, disk or time does not suffice, instead of raising.
    free_bytes
        Memory of the device to plan for; None asks what is free on this one.
    run
        Fields of ``Run``, for example ``method="qlora", num_epochs=3``.

    Raises
    ------
    PreflightError
        With one sentence: what is wrong or too small, by how much, what to change.
    """
    asked, device = Run(**run), hardware.probe()
    if len(rows) < 2:
        raise PreflightError(f"{len(rows)} rows: two are needed, one to hold out")
    require_writable(output_dir)
    config, tokenizer = _read_model(model_path)
    geometry = _geometry(config)
    warnings = _check_tokenizer(tokenizer, geometry, rows)
    lengths = _lengths(rows, tokenizer)
    free = _free_memory(device) if free_bytes is None else free_bytes
    disk = shutil.disk_usage(output_dir).free
    room = Room(free, RESERVE[device.kind], disk, 60 * max_minutes or math.inf)
    asked = _settle(asked, lengths, config, device)
    if "messages" in rows[0]:
        _require_rows(asked, lengths)
    new_tokens = _new_tokens(rows, tokenizer)
    speed = measure_speed(device)
    packed = "messages" not in rows[0]
    bill = Bill(geometry, asked, lengths, new_tokens, speed, device.kind, packed)
    bill = _with_micro_batch(bill, room)
    download = 0 if Path(model_path).is_dir() else 2 * geometry.parameters
    problems = [*_too_large(bill, room), *_too_long(bill, room)]
    problems += _no_room_for(download)
    if problems and not warn_only:
        raise PreflightError(" ".join(problems))
    chosen, left_out = _choose(extras, bill, room)
    return Flight(
        bill, room, left_out,
        seconds=_range(sum(bill.seconds(part) for part in (MAIN, *chosen))),
        disk=SMALL_FILES + sum(bill.disk(part) for part in (MAIN, *chosen)),
        download=download,
        warnings=(*warnings, *problems),
    )  # fmt: skip


# endregion: check


# region: folder
def require_writable(output_dir: str | Path) -> Path:
    """Make a folder and write a file there, or raise; the file is removed again.

    Raises
    ------
    PreflightError
        If it cannot be made or written, with the reason of the system.
    """
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            probe.write(bytes(2**16))
            probe.flush()
    except OSError as error:
        raise PreflightError(
            f"nothing can be written to output_dir {folder.absolute()} "
            f"({error.strerror}): name another folder in output_dir"
        ) from error
    return folder


# endregion: folder


# region: model
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


def _read_model(model_path: str) -> tuple[Any, Any]:
    """Return configuration and tokenizer; nothing else is read or downloaded."""
    from transformers import AutoConfig, AutoTokenizer

    _check_name(model_path)
    try:
        config = AutoConfig.from_pretrained(model_path)
        return config, AutoTokenizer.from_pretrained(model_path)
    except (OSError, ValueError, KeyError) as error:
        what = str(error).strip().splitlines()[0].rstrip(".:") if str(error) else error
        if Path(model_path).is_dir():
            raise PreflightError(
                f"{model_path}: configuration or tokenizer cannot be read ({what}); "
                "download the model again, or name another folder in model_path"
            ) from error
        raise PreflightError(
            f'"{model_path}" is no folder here, and its configuration cannot be had '
            f"from the hub ({what}); without a network, name the folder of a "
            "downloaded model in model_path"
        ) from error


def _check_name(model_path: str) -> None:
    folder = Path(model_path)
    if not folder.is_dir():
        if folder.exists() or not HUB_NAME.fullmatch(model_path):
            raise PreflightError(
                f'model_path "{model_path}" is neither a folder nor a hub name: give '
                "the folder that holds config.json, or a name such as owner/model"
            )
        return
    needed = {"config.json": ("config.json",), "weights": WEIGHTS}
    needed["tokenizer"] = TOKENIZERS
    for what, names in needed.items():
        if not any(any(folder.glob(name)) for name in names):
            raise PreflightError(
                f"model_path {folder} holds no {what} ({' or '.join(names)}): name a "
                "folder that transformers can load a model from"
            )


def _geometry(config: Any) -> Geometry:
    try:
        return Geometry.from_config(config)
    except memory.GeometryError as error:
        raise PreflightError(f"model_path: {error}") from error


# endregion: model


# region: tokenizer
def _check_tokenizer(tokenizer: Any, geometry: Geometry, rows: Rows) -> list[str]:
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


def _lengths(rows: Rows, tokenizer: Any) -> tuple[int, ...]:
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


def _new_tokens(rows: Rows, tokenizer: Any, most: int = 256) -> int:
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


# endregion: tokenizer


# region: settle
def _settle(run: Run, lengths: Sequence[int], config: Any, device: Hardware) -> Run:
    """Fill in what was left to the check, but for the micro batch."""
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    longest = max(lengths) + 1  # Training Hub drops a row that reaches the limit
    chosen = run.max_seq_len or min(longest, limit or longest)
    checkpointing = run.gradient_checkpointing
    if checkpointing is None:
        checkpointing = device.kind != "cpu"
    return replace(run, max_seq_len=chosen, gradient_checkpointing=checkpointing)


def _require_rows(run: Run, lengths: Sequence[int]) -> None:
    """Raise when Training Hub would drop every conversation without a word."""
    if any(SHORTEST <= n < run.max_seq_len for n in lengths):
        return
    raise PreflightError(
        f"all {len(lengths)} rows would be dropped: they have {min(lengths)} to "
        f"{max(lengths)} tokens, and only {SHORTEST} <= tokens < {run.max_seq_len} "
        "is kept; raise max_seq_len, or change the length of the conversations"
    )


def _with_micro_batch(bill: Bill, room: Room) -> Bill:
    """Choose the most rows in a pass that fit and divide the effective batch."""
    size, given = bill.run.effective_batch_size, bill.run.micro_batch_size
    if given and size % given:
        raise PreflightError(
            f"micro_batch_size {given} does not divide effective_batch_size {size}: "
            "choose a divisor, or 0 for the most that fit"
        )
    if given:
        return bill
    sizes = [n for n in range(size, 0, -1) if size % n == 0]
    tried = (bill.changed(micro_batch_size=n) for n in sizes)
    smallest = bill.changed(micro_batch_size=1)
    return next((one for one in tried if room.holds(one.memory().total)), smallest)


# endregion: settle


# region: room
@dataclass(frozen=True)
class Room:
    """What there is."""

    memory: int  # bytes free on the device
    reserve: int  # bytes of them that no formula sees
    disk: int  # bytes free where results go
    seconds: float

    def holds(self, size: float) -> bool:
        """Tell whether the device has room for so many bytes."""
        return size + self.reserve <= self.memory


def _free_memory(device: Hardware) -> int:
    """Count the bytes that are free now: of the GPU, or of RAM in this container."""
    if device.kind == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    if device.kind == "npu":
        import torch_npu

        return torch_npu.npu.mem_get_info()[0]
    return hardware.free_ram() or device.ram_bytes or 0


# endregion: room


# region: speed
@dataclass(frozen=True)
class Speed:
    """How fast this device is, as a probe of a second found."""

    flops: float  # a second, of a large matrix product
    call: float  # seconds that a very small operation takes
    dtype: str

    def summary(self) -> str:
        """Say what was measured."""
        return f"{self.flops / 1e9:,.0f} GFLOP/s in {self.dtype}"


def measure_speed(device: Hardware, seconds: float = 0.3) -> Speed:
    """Time a large matrix product and a very small one on this device.

    Parameters
    ----------
    device
        From ``hardware.probe``.
    seconds
        How long each of the two is repeated.
    """
    import torch

    dtype, place = hardware.compute_dtype(device), device.kind
    wait = getattr(torch, place).synchronize if place != "cpu" else lambda: None
    size = 1024 if place == "cpu" else 4096
    large = torch.ones(size, size, dtype=getattr(torch, dtype), device=place)
    small = large[:8, :8].contiguous()
    each = _time_of(lambda: large @ large, wait, seconds)
    call = _time_of(lambda: small @ small, wait, seconds, at_once=50)
    return Speed(2 * size**3 / each, call, dtype)


def _time_of(
    work: Callable[[], Any], wait: Callable[[], Any], seconds: float, at_once: int = 1
) -> float:
    work(), wait()  # the first call sets things up
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(at_once):
            work()
        wait()
        done += at_once
    return (time.perf_counter() - started) / done


# endregion: speed


# region: bill
# Shares and counts that the estimate rests on, set by timing both tutorials on a CPU.
UTILIZATION = 0.5  # of the large matrix product's speed
CALLS = 150  # small operations a layer and forward pass, three times that with backward
ADAPTED = 1.5  # adapters and NF4 make layers slower: LitGPT measured 1.56 to 1.62
IMPORTS = 10.0  # seconds until a new process has imported everything
SPREAD = 2.5  # the range is a factor of this to both sides


@dataclass(frozen=True)
class Bill:
    """What every part costs on one device."""

    geometry: Geometry
    run: Run
    lengths: tuple[int, ...]  # tokens of every row or document
    new_tokens: int
    speed: Speed
    kind: str  # of the device
    packed: bool = False  # documents, cut into blocks

    def changed(self, method: str = "", **changes: Any) -> Bill:
        """Return the bill of another run."""
        method = method or self.run.method
        return replace(self, run=replace(self.run, method=method, **changes))

    @property
    def samples(self) -> int:
        """Rows or blocks that are trained on in an epoch."""
        share = 1 - self.run.held_out / len(self.lengths)
        limit = self.run.max_seq_len
        if self.packed:
            return max(1, math.ceil(share * sum(self.lengths) / limit))
        return max(1, round(share * sum(SHORTEST <= n < limit for n in self.lengths)))

    @property
    def steps(self) -> int:
        """Optimizer steps of one training."""
        an_epoch = math.ceil(self.samples / self.run.effective_batch_size)
        return math.ceil(self.run.num_epochs * an_epoch)

    def memory(self) -> Breakdown:
        """Return the bytes at the peak of a training step."""
        run, on_cpu = self.run, self.kind == "cpu"
        return memory.estimate(
            self.geometry,
            run.method,
            r=run.lora_r,
            micro_batch=run.micro_batch_size,
            seq_len=run.max_seq_len,
            checkpointing=run.gradient_checkpointing,
            compute_dtype_bytes=4 if on_cpu else 2,
            weights_dtype_bytes=4 if on_cpu or run.method == "qlora" else None,
        )

    def merged(self) -> int:
        """Return the bytes of the whole model in the dtype that it computes in."""
        return self.geometry.parameters * (4 if self.kind == "cpu" else 2)

    def disk(self, part: Extra) -> int:
        """Return the bytes that a part of the tutorial leaves on disk."""
        geometry, run = self.geometry, self.run
        tokenizer = 128 * geometry.vocabulary  # bytes; Gemma 3 has 126 a token
        if run.method == "full":
            trained, result = geometry.parameters, 2 * geometry.parameters
        else:
            trained = memory.lora_parameters(geometry, run.lora_r)
            result = 4 * trained
        whole = part.merged * (2 * geometry.parameters + tokenizer)
        kept = part.checkpoints * (12 * trained + tokenizer)
        return int(part.results * (result + tokenizer) + kept + whole)

    def seconds(self, part: Extra) -> float:
        """Estimate how long a part of the tutorial takes."""
        training = part.runs * (self._training() + 2)  # 2 to load and to save
        answers = part.evaluations * self._evaluation()
        return training + answers + part.processes * IMPORTS

    def _training(self) -> float:
        run = self.run
        lengths = [n for n in self.lengths if n < run.max_seq_len]
        each = run.max_seq_len if self.packed else sum(lengths) / max(1, len(lengths))
        tokens = run.num_epochs * self.samples * each
        times = (3 if run.method == "full" else 2) + run.gradient_checkpointing
        passes = self.steps * run.effective_batch_size / run.micro_batch_size
        return tokens * times * self._forward() + 3 * passes * self._calls()

    def _evaluation(self) -> float:
        batches = math.ceil(self.run.answered / 64)
        asked = min(sum(self.lengths) / len(self.lengths), self.run.max_seq_len)
        tokens = self.run.answered * (asked + self.new_tokens)
        return tokens * self._forward() + batches * self.new_tokens * self._calls()

    def _forward(self) -> float:
        """Seconds a token: two operations a weight, and attention over the row."""
        geometry = self.geometry
        head = geometry.vocabulary * geometry.hidden
        attention = geometry.layers * self.run.max_seq_len * geometry.attention
        operations = 2 * (geometry.linear_parameters + head + attention)
        return operations / (UTILIZATION * self.speed.flops)

    def _calls(self) -> float:
        """Seconds that the many small operations of one forward pass take."""
        slower = 1.0 if self.run.method == "full" else ADAPTED
        return self.geometry.layers * CALLS * slower * self.speed.call

    def model(self) -> str:
        """Say how large the model is."""
        geometry = self.geometry
        return (
            f"{geometry.parameters:,} parameters in {geometry.layers} layers, "
            f"vocabulary of {geometry.vocabulary:,}"
        )

    def data(self) -> str:
        """Say what is trained on."""
        lengths, limit = self.lengths, self.run.max_seq_len
        span = f"{len(lengths)} of {min(lengths)} to {max(lengths)} tokens"
        if self.packed:
            return f"documents: {span}, in blocks of {limit}"
        long = sum(n >= limit for n in lengths)
        return f"rows: {span}" + (f", {long} too long are dropped" if long else "")

    def plan(self) -> str:
        """Say how it is trained."""
        run = self.run
        method = run.method + (
            "" if run.method == "full" else f" with r = {run.lora_r}"
        )
        checkpointing = ", checkpointing" if run.gradient_checkpointing else ""
        return (
            f"{method}, {self.steps} steps of {run.effective_batch_size}, "
            f"{run.micro_batch_size} in a pass{checkpointing}"
        )


# endregion: bill


# region: choose
def _choose(
    extras: Iterable[Extra], bill: Bill, room: Room
) -> tuple[list[Extra], dict[str, str]]:
    """Take extras in order while there is room; say why one is left out."""
    chosen: list[Extra] = []
    left_out: dict[str, str] = {}
    for extra in extras:
        parts = [MAIN, *chosen, extra]
        seconds = sum(map(bill.seconds, parts))
        disk = SMALL_FILES + sum(map(bill.disk, parts))
        if extra.merged and not room.holds(bill.merged()):
            need = in_units(bill.merged() + room.reserve)
            why = f"needs {need} of memory, {in_units(room.memory)} are free"
        elif disk > room.disk:
            need = in_units(bill.disk(extra))
            why = f"needs {need} of disk, and with it there would not be enough"
        elif seconds > room.seconds:
            need = _duration(bill.seconds(extra))
            why = f"takes about {need}, and max_minutes leaves no time for it"
        else:
            chosen.append(extra)
            continue
        left_out[extra.name] = why
    return chosen, left_out


def _range(seconds: float) -> tuple[float, float]:
    return seconds / SPREAD, seconds * SPREAD


# endregion: choose


# region: too-large
def _too_large(bill: Bill, room: Room) -> list[str]:
    """Say how much memory is missing, and what to change until it fits."""
    need = bill.memory().total
    if room.holds(need):
        return []
    said, smallest = _ladder(bill, room)
    problem = (
        f"training needs {in_units(need)} and {in_units(room.reserve)} to spare, but "
        f"{in_units(room.memory)} of memory are free on this {bill.kind}"
    )
    advice = "; ".join(said)
    if room.holds(smallest.memory().total):
        return [f"{problem}: {advice}; then it fits."]
    return [f"{problem}: {advice + '; ' if said else ''}{_more(smallest, room)}."]


def _ladder(bill: Bill, room: Room) -> tuple[list[str], Bill]:
    """Climb until it fits; every rung says what it saves."""
    said: list[str] = []
    length = "block_size" if bill.packed else "max_seq_len"
    while not room.holds(bill.memory().total):
        rung = _next_rung(bill, length)
        if rung is None:
            break
        text, changed = rung
        saved = bill.memory().total - changed.memory().total
        said.append(f"{text} saves {in_units(saved)}")
        bill = changed
    return said, bill


def _next_rung(bill: Bill, length: str) -> tuple[str, Bill] | None:
    """Return the cheapest change that is left: first those that keep the result."""
    run = bill.run
    if run.micro_batch_size > 1:
        return "micro_batch_size = 1", bill.changed(micro_batch_size=1)
    if not run.gradient_checkpointing:
        text = "gradient_checkpointing = True"
        return text, bill.changed(gradient_checkpointing=True)
    if run.max_seq_len >= 1024:
        shorter = run.max_seq_len // 2
        return f"{length} = {shorter}", bill.changed(max_seq_len=shorter)
    if run.method != "qlora":
        text = "QLoRA instead of " + ("all weights" if run.method == "full" else "LoRA")
        return text, bill.changed(method="qlora")
    if run.lora_r > 8:
        return "lora_r = 8", bill.changed(lora_r=8)
    return None


def _more(bill: Bill, room: Room) -> str:
    """Say which model would fit, and which device."""
    need = bill.memory()
    a_parameter = (need.weights + need.workspace) / bill.geometry.parameters
    rest = need.total - need.weights - need.workspace
    left = max(0, room.memory - room.reserve - rest) / a_parameter
    total = in_units(need.total + room.reserve)
    smaller = f"of at most about {left / 1e9:.1f} B parameters, " if left > 5e7 else ""
    return f"then take a smaller model, {smaller}or a device with {total} free"


# endregion: too-large


# region: too-long
def _too_long(bill: Bill, room: Room) -> list[str]:
    """Say what is missing of disk and time for the main run alone."""
    problems = []
    disk, seconds = SMALL_FILES + bill.disk(MAIN), bill.seconds(MAIN)
    if disk > room.disk:
        problems.append(
            f"the main run writes {in_units(disk)} and {in_units(room.disk)} are free: "
            "make room, or name a folder on another disk in output_dir."
        )
    if seconds > room.seconds:
        share = room.seconds / seconds
        rows = max(1, int(share * len(bill.lengths)))
        problems.append(
            f"the main run takes about {_duration(seconds)}, and max_minutes allows "
            f"{_duration(room.seconds)}: set max_rows to {rows}, or num_epochs to "
            f"{share * bill.run.num_epochs:.2g}, or allow more."
        )
    return problems


def _no_room_for(download: int) -> list[str]:
    """Say where the download of a model would not fit."""
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE)
    folder = next(place for place in (cache, *cache.parents) if place.is_dir())
    free = shutil.disk_usage(folder).free
    if download <= free:
        return []
    return [
        f"the model takes about {in_units(download)} to download and {in_units(free)} "
        f"are free in {cache}: make room, or point HF_HOME to another disk."
    ]


# endregion: too-long
