"""The training loop both backends share: batches, schedule, resume, stop, errors."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from snippets import hardware, schedule, tracking
from snippets.backends import run_folder
from snippets.backends.batches import Collator
from snippets.backends.parameters import ParameterError, shaping


class Preempted(SystemExit):
    """The run was stopped by SIGTERM after a checkpoint; exit code 143."""


# region: batching
def batching(p: dict[str, Any]) -> tuple[int, int]:
    """Return (samples per forward pass, forward passes per optimizer step).

    ``effective_batch_size = micro x accumulation x processes`` always holds.
    ``max_tokens_per_gpu`` lowers the first and raises the second.

    Raises
    ------
    ParameterError
        If the three numbers given cannot be made to agree.
    """
    world = int(os.environ.get("WORLD_SIZE", 1))
    effective, micro = p.get("effective_batch_size"), p.get("micro_batch_size")
    passes = p.get("gradient_accumulation_steps")
    if effective is None:
        return micro or 2, passes or 1
    each, rest = divmod(effective, world)
    if micro is None and passes is None:
        length = (
            p.get("block_size") if p.get("is_pretraining") else p.get("max_seq_len")
        )
        budget = p.get("max_tokens_per_gpu")
        micro = max(1, min(each, budget // length)) if budget and length else each
        while micro > 1 and each % micro:
            micro -= 1
    micro = micro or max(1, each // passes)
    passes = passes or max(1, each // micro)
    if rest or micro * passes != each:
        raise ParameterError(
            f"effective_batch_size {effective} is not {micro} samples x {passes} "
            f"forward passes x {world} processes = {micro * passes * world}."
        )
    return micro, passes


# endregion: batching


def arguments(p: dict[str, Any], **defaults: Any) -> TrainingArguments:
    """Translate Training Hub's parameters into transformers' TrainingArguments."""
    probe = hardware.probe()
    micro, passes = batching(p)
    cuda = probe.kind == "cuda"
    get = {**defaults, **p}.get
    checkpointing = bool(get("gradient_checkpointing", cuda))
    return TrainingArguments(
        output_dir=p["ckpt_output_dir"],
        num_train_epochs=get("num_epochs", 1),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=passes,
        learning_rate=get("learning_rate", 2e-5),
        warmup_steps=get("warmup_steps", 0),
        lr_scheduler_type=get("lr_scheduler", "cosine"),
        weight_decay=get("weight_decay", 0.0),
        adam_beta1=get("beta1", 0.9),
        adam_beta2=get("beta2", 0.95),
        adam_epsilon=get("eps", 1e-8),
        max_grad_norm=get("max_grad_norm", 1.0),
        seed=get("seed", 42),
        data_seed=get("seed", 42),
        use_cpu=probe.kind == "cpu",
        bf16=bool(get("bf16", cuda and hardware.compute_dtype() == "bfloat16")),
        gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False}
        if checkpointing
        else None,
        logging_steps=get("logging_steps", 1),
        logging_nan_inf_filter=False,
        report_to=["mlflow"] if p.get("mlflow_tracking_uri") else "none",
        run_name=p.get("mlflow_run_name"),
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        **_saving(p, micro * passes),
    )


def _saving(p: dict[str, Any], samples_per_step: int) -> dict[str, Any]:
    keep = {"save_total_limit": p.get("save_total_limit")}
    if p.get("checkpoint_at_epoch"):
        return keep | {"save_strategy": "epoch"}
    every = p.get("save_steps") or p.get("save_samples", 0) // samples_per_step
    if every:
        return keep | {"save_strategy": "steps", "save_steps": every}
    return keep | {"save_strategy": "no"}


# region: train
def train(
    algorithm: str, p: dict[str, Any], model: Any, tokenizer: Any, data: Any,
    watchers: Sequence[TrainerCallback] = (), **defaults,
) -> Trainer:  # fmt: skip
    """Train, or resume the same run from its newest complete checkpoint.

    ``watchers`` are called by the trainer, ``defaults`` replace missing parameters.

    Raises
    ------
    snippets.schedule.ScheduleError
        If no step would reach ``learning_rate``; nothing is trained then.
    RunFolderError
        If ``ckpt_output_dir`` holds another run.
    KeyboardInterrupt
        On Ctrl-C, after the step has ended and a checkpoint was written.
    """
    args = arguments(p, **defaults)
    per_step = (
        args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    )
    schedule.plan(
        len(data), per_step, args.num_train_epochs, args.learning_rate,
        args.warmup_steps, str(args.lr_scheduler_type.value),
    ).require_peak()  # fmt: skip
    run = {"algorithm": algorithm, "parameters": shaping(p)}
    run["data_sha256"] = run_folder.file_sha256(p["data_path"])
    run["model"] = model_identity(p["model_path"])
    # local=False: on several machines, too, the folder is claimed before others look.
    with args.main_process_first(False, "output folder"), explain_disk(args):
        resume = _claim(p["ckpt_output_dir"], run, args.process_index == 0)
    trainer = Trainer(
        model=model, args=args, train_dataset=data,
        data_collator=Collator(tokenizer.pad_token_id or 0), processing_class=tokenizer,
        callbacks=[
            run_folder.LossLog(args.output_dir), Progress(), *watchers, *_callbacks(p)
        ],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)  # it prints every log line as a dict
    with mlflow_environment(p), tracking.one_run(trainer, p, bool(resume)):
        with stop_at_step_end(trainer) as stop, explain_disk(args):
            trainer.train(resume_from_checkpoint=resume)
        _require_complete(trainer, stop)
    return trainer


# endregion: train


def _claim(folder: str, run: dict[str, Any], main: bool) -> str | None:
    if main:
        return run_folder.claim(folder, run)
    return run_folder.usable_checkpoint(folder)


def model_identity(model_path: str) -> str:
    """Return the name of a hub model, or digests of a local model's files."""
    folder = Path(model_path)
    if not folder.is_dir():
        return model_path
    files = sorted(folder.glob("*.safetensors")) or [folder / "config.json"]
    return " ".join(f"{f.name}:{run_folder.quick_digest(f)}" for f in files)


def _callbacks(p: dict[str, Any]) -> list[TrainerCallback]:
    """Adapt Training Hub's callbacks, as its own backends do."""
    from training_hub import JITCheckpointCallback
    from training_hub.adapters.unsloth import adapt_hub_callbacks
    from training_hub.callbacks import TrainingHubControl

    wanted = list(p.get("callbacks") or [])
    has_jit = any(isinstance(c, JITCheckpointCallback) for c in wanted)
    if p.get("enable_jit_checkpoint") and not has_jit:
        wanted.insert(0, JITCheckpointCallback())
    return adapt_hub_callbacks(wanted, hub_control=TrainingHubControl())


class Progress(TrainerCallback):
    """Print about ten lines per run: step, loss, learning rate, time left."""

    def __init__(self) -> None:
        self.started, self.first = 0.0, 0

    def on_train_begin(self, args, state, control, **kwargs):
        """Say where the run starts."""
        self.started, self.first = time.monotonic(), state.global_step
        if state.global_step and state.is_world_process_zero:
            print(f"resuming at step {state.global_step} of {state.max_steps}")

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Print every tenth of the run."""
        if not state.is_world_process_zero or "loss" not in (logs or {}):
            return
        done, total = state.global_step, state.max_steps
        tenth = max(1, total // 10)
        if done != total and (done - self.first) % tenth >= args.logging_steps:
            return
        left = (time.monotonic() - self.started) / max(1, done - self.first)
        print(
            f"step {done:4d} of {total}  loss {logs['loss']:.3f}  "
            f"about {left * (total - done):.0f} s left",
            flush=True,
        )


class _StopFlag(TrainerCallback):
    """Ask for a checkpoint and the end of training at the end of the current step."""

    def __init__(self) -> None:
        self.raised = False

    def on_step_end(self, args, state, control, **kwargs):
        if self.raised and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


# region: stop
@contextlib.contextmanager
def stop_at_step_end(trainer: Trainer) -> Iterator[_StopFlag]:
    """Turn the first Ctrl-C into: finish the step, save a checkpoint, stop.

    A second Ctrl-C interrupts at once. Between two steps the state is whole, so the
    checkpoint resumes exactly.
    """
    flag = _StopFlag()
    trainer.add_callback(flag)
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(signum, frame):
        if flag.raised:
            raise KeyboardInterrupt("interrupted twice: no checkpoint was written")
        flag.raised = True

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)


def _require_complete(trainer: Trainer, stop: _StopFlag) -> None:
    """Raise when training ended early, so that no half-trained result is published."""
    done, total = trainer.state.global_step, trainer.state.max_steps
    if done >= total:
        return
    message = (
        f"stopped at step {done} of {total}; checkpoint-{done} is in "
        f"{trainer.args.output_dir}. Run the same call again to resume."
    )
    print(message, flush=True)
    raise KeyboardInterrupt(message) if stop.raised else Preempted(143)


# endregion: stop


@contextlib.contextmanager
def explain_disk(args: TrainingArguments) -> Iterator[None]:
    """Turn the many ways in which a full disk shows into one clear sentence."""
    try:
        yield
    except _disk_errors() as error:
        folder = Path(args.output_dir)
        if not disk_is_full(error, folder):
            raise
        for path in folder.glob("checkpoint-*"):
            if run_folder._unreadable(path):
                shutil.rmtree(path, ignore_errors=True)
        last = run_folder.usable_checkpoint(folder)
        kept = (
            f"{Path(last).name} is complete" if last else "no checkpoint was complete"
        )
        raise OSError(
            errno.ENOSPC,
            f"no space left while writing to {folder}; {kept}. Free some space and "
            "run the same call again",
        ) from error


def _disk_errors() -> tuple[type[Exception], ...]:
    """Return the types as which a full disk shows, MLflow's SQLite file included."""
    errors: tuple[type[Exception], ...] = (OSError, RuntimeError, SafetensorError)
    if "mlflow" in sys.modules and "sqlalchemy" in sys.modules:
        tracking = sys.modules["mlflow"].exceptions.MlflowException
        errors += (tracking, sys.modules["sqlalchemy"].exc.SQLAlchemyError)
    return errors


def disk_is_full(error: BaseException, folder: Path) -> bool:
    """Say whether an error comes from a full disk.

    torch and safetensors raise their own errors, without an ``errno``, so the free
    space is asked too: less than 1 MiB counts as full.
    """
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    writing = any(w in str(error) for w in ("StorageFull", "PytorchStreamWriter"))
    return writing or shutil.disk_usage(folder).free < 2**20


@contextlib.contextmanager
def mlflow_environment(p: dict[str, Any]) -> Iterator[None]:
    """Point transformers' MLflow reporting at the given server, then restore it."""
    wanted = {
        "MLFLOW_TRACKING_URI": p.get("mlflow_tracking_uri"),
        "MLFLOW_EXPERIMENT_NAME": p.get("mlflow_experiment_name"),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if value})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def load_tokenizer(p: dict[str, Any]) -> Any:
    """Load the tokenizer of the model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        p["model_path"], trust_remote_code=p.get("trust_remote_code", False)
    )


def device_map() -> dict[str, Any]:
    """Return where a quantized model goes: this process's GPU, or the CPU."""
    if torch.cuda.is_available():
        return {"": int(os.environ.get("LOCAL_RANK", 0))}
    return {"": "cpu"}
