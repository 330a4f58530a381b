"""``sft(backend="transformers")``: full fine-tuning and continued pre-training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from training_hub import Backend
from transformers import AutoConfig, AutoModelForCausalLM

from snippets.backends import launch, loop, parameters, run_folder
from snippets.backends.batches import chat_rows, document_blocks


class TransformersSFTBackend(Backend):
    """Train all weights on any device that PyTorch runs on."""

    def execute_training(self, algorithm_params: dict[str, Any]) -> dict[str, Any]:
        """Train and save the model; called by ``training_hub.sft``.

        Weights are float32 masters, as with the default backend. The result is saved
        in ``ckpt_output_dir/hf_format/samples_N``, in the dtype that was read.

        Returns
        -------
        dict
            ``model``, ``tokenizer``, ``trainer`` and ``output``, the saved folder. With
            ``nproc_per_node`` above 1 only ``output`` is returned.
        """
        call = 'sft(backend="transformers")'
        p = parameters.check(call, algorithm_params, parameters.SFT)
        if launch.wanted(p):
            return launch.torchrun("sft", p)
        tokenizer = loop.load_tokenizer(p)
        data = (document_blocks if p.get("is_pretraining") else chat_rows)(p, tokenizer)
        remote = {"trust_remote_code": p.get("trust_remote_code", False)}
        published = AutoConfig.from_pretrained(p["model_path"], **remote).dtype
        model = AutoModelForCausalLM.from_pretrained(
            p["model_path"], dtype=torch.float32, **remote
        )
        trainer = loop.train("sft", p, model, tokenizer, data)
        root = Path(p["ckpt_output_dir"])
        samples = trainer.state.global_step * trainer.args.train_batch_size
        samples *= trainer.args.gradient_accumulation_steps * trainer.args.world_size
        folder = root / "hf_format" / f"samples_{samples}"
        if trainer.is_world_process_zero():
            with loop.explain_disk(trainer.args):
                run_folder.place(
                    folder,
                    lambda out: _save(
                        model, tokenizer, out, published or torch.float32
                    ),
                )
            run_folder.finish(root)
        return {
            "model": model,
            "tokenizer": tokenizer,
            "trainer": trainer,
            "output": str(folder),
        }


def _save(model: Any, tokenizer: Any, folder: Path, dtype: torch.dtype) -> None:
    """Save the weights in ``dtype`` and leave the model in memory as it is."""
    weights = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=weights)
    config = copy.deepcopy(model.config)
    config.dtype = dtype  # save_pretrained wrote the dtype of the model in memory
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
