"""``osft(backend="mini-trainer-inprocess")``: mini-trainer's OSFT on any one device.

The decomposition, the projections and the way back to plain weights are mini-trainer's
own. Only its loop, which needs NCCL and a CUDA device, is replaced by ours.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mini_trainer.osft_utils import create_osft_model_class, optim_wrapper
from training_hub import Backend
from transformers import AutoConfig, TrainerCallback
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from snippets import osft
from snippets.backends import loop, parameters, run_folder
from snippets.backends.batches import chat_rows, document_blocks
from snippets.backends.parameters import ParameterError

CALL = 'osft(backend="mini-trainer-inprocess")'
OSFT = {
    name: what
    for name, what in parameters.SFT.items()
    if name not in ("nproc_per_node", "trust_remote_code")
} | {
    "unfreeze_rank_ratio": "share of the singular directions that may change",
    "target_patterns": "parts of parameter names; default: every layer matrix",
}


class MiniTrainerOSFTBackend(Backend):
    """Train with mini-trainer's OSFT model class and optimizer wrapper, in-process."""

    def execute_training(self, algorithm_params: dict[str, Any]) -> dict[str, Any]:
        """Train and save plain weights; called by ``training_hub.osft``.

        Factors are float32, as with the default backend. The result is saved in
        ``ckpt_output_dir/hf_format/samples_N``, in the dtype that was read, as a model
        that knows nothing of OSFT.

        Returns
        -------
        dict
            ``model`` (still in factors), ``tokenizer``, ``trainer`` and ``output``, the
            saved folder.
        """
        require_one_process(algorithm_params)
        p = parameters.check(CALL, algorithm_params, OSFT)
        tokenizer = loop.load_tokenizer(p)
        data = (document_blocks if p.get("is_pretraining") else chat_rows)(p, tokenizer)
        published = AutoConfig.from_pretrained(p["model_path"]).dtype or torch.float32
        model = decompose(
            p["model_path"], p["unfreeze_rank_ratio"], p.get("target_patterns")
        )
        trainer = loop.train(
            "osft", p, model, tokenizer, data, watchers=[KeepOrthogonal()]
        )
        args, root = trainer.args, Path(p["ckpt_output_dir"])
        samples = args.train_batch_size * args.gradient_accumulation_steps
        folder = root / "hf_format" / f"samples_{trainer.state.global_step * samples}"
        with loop.explain_disk(args):
            run_folder.place(folder, lambda out: _save(model, out, published))
            tokenizer.save_pretrained(folder)
        run_folder.finish(root)
        return {
            "model": model,
            "tokenizer": tokenizer,
            "trainer": trainer,
            "output": str(folder),
        }


# region: require_one_process
def require_one_process(p: dict[str, Any]) -> None:
    """Refuse several processes or GPUs: the projection would be applied wrongly.

    ``project_gradients`` of mini-trainer 0.9.0 sums its coefficients over all processes
    because it expects each to hold a slice of the weights (FSDP2). Here each would hold
    them whole, and the sum would be taken several times.

    Raises
    ------
    ParameterError
        For ``nproc_per_node`` other than 1, under torchrun, or with two visible GPUs.
    """
    processes = p.get("nproc_per_node") or int(os.environ.get("WORLD_SIZE", 1))
    if processes != 1:
        raise ParameterError(
            f"{CALL} trains in one process, not {processes}: its projections would be "
            "summed once per process. Use the default backend for several GPUs."
        )
    if torch.cuda.device_count() > 1:
        raise ParameterError(
            f"{CALL} trains on one GPU and sees {torch.cuda.device_count()}: set "
            "CUDA_VISIBLE_DEVICES to one, or use the default backend for several."
        )


# endregion: require_one_process


# region: decompose
def decompose(
    model_path: str, unfreeze_rank_ratio: float, patterns: list[str] | None = None
) -> Any:
    """Load a model and split its matrices into a protected and a trainable part.

    Parameters
    ----------
    model_path
        Hub name or folder of a model class that transformers itself has.
    unfreeze_rank_ratio
        Share of the singular directions that may change, the smallest ones first.
    patterns
        Parts of parameter names. By default every layer matrix of this model; the name
        of its folder never decides, as it does in mini-trainer.

    Raises
    ------
    ValueError
        If a pattern matches no matrix.
    ParameterError
        If transformers has no class for the model.
    """
    config = AutoConfig.from_pretrained(model_path)
    base = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if base is None:
        raise ParameterError(
            f"{CALL}: transformers has no language model class of its own for "
            f'model_type "{config.model_type}" ({model_path}). Use sft or lora_sft.'
        )
    patterns = patterns or osft.target_patterns(model_path)
    with _silence():
        model = create_osft_model_class(base).from_pretrained(
            model_path,
            dtype=torch.float32,
            upcast_dtype=torch.float32,
            output_dtype=torch.float32,
            rank_ratio=1.0 - unfreeze_rank_ratio,
            target_patterns=patterns,
            initialize_osft=False,
        )
    chosen = osft.matched(model, patterns)
    kept = 1 - unfreeze_rank_ratio
    print(f"decomposing {len(chosen)} matrices, {kept:.0%} of each is protected")
    walk = _Told(model.named_parameters(), len(chosen), set(chosen))
    with _silence():
        model.reinitialize_osft(decompose_existing_weights=True, assigned_params=walk)
    return model


# endregion: decompose


class _Told(list):
    """Parameters that say, every ten seconds, how many were decomposed."""

    def __init__(self, items: Any, total: int, counted: set[str]) -> None:
        super().__init__(items)
        self.total, self.counted, self.out = total, counted, sys.stdout

    def __iter__(self) -> Iterator[Any]:
        started = said = time.monotonic()
        done = 0
        for name, parameter in super().__iter__():
            yield name, parameter
            done += name in self.counted
            now = time.monotonic()
            if now - said > 10:
                said, left = now, (now - started) / max(1, done) * (self.total - done)
                line = f"decomposed {done} of {self.total}, about {left:.0f} s left"
                print(line, file=self.out, flush=True)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hide the some forty lines and the progress bars that mini-trainer prints."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


class KeepOrthogonal(TrainerCallback):
    """Let mini-trainer project gradients before each step and factors after it."""

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        """Wrap the optimizer, once it exists."""
        optimizer = kwargs["optimizer"]
        counted = optimizer.step  # marked: the schedule warns of a step without it
        optim_wrapper(optimizer, model)
        functools.update_wrapper(optimizer.step.__func__, counted)


# region: dense_weights
def dense_weights(model: Any, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Multiply the factors out: the weights of a plain model, on the CPU.

    Parameters
    ----------
    model
        What ``decompose`` returned, trained or not. It stays as it is.
    dtype
        Type of the result.
    """
    state = {name: t.detach().cpu() for name, t in model.state_dict().items()}
    with _silence():
        state = model.prepare_state_dict_for_save(state)
    return {name: tensor.to(dtype) for name, tensor in state.items()}


# endregion: dense_weights


def _save(model: Any, folder: Path, dtype: torch.dtype) -> None:
    """Save plain weights, and a configuration that names the plain class."""
    model.save_pretrained(folder, state_dict=dense_weights(model, dtype))
    config = copy.deepcopy(model.config)
    config.dtype = dtype
    config.architectures = [type(model).__mro__[1].__name__]
    config.save_pretrained(folder)
