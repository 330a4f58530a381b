"""The tiny base model: a Qwen3-shaped model of 0.92 M parameters, made from seed.

It is small enough to commit (1.8 MB) and big enough to learn: it answers support
tickets, knows facts about 32 services and writes the prose of :mod:`snippets.world`.
``python -m snippets.tiny --out FOLDER`` makes it again (five to ten minutes on one
core); ``--check`` also tests what the new base knows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snippets import world

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

BASE = Path(__file__).parent / "fixtures" / "tiny-base"
PACKAGE = "fine-tuning-handbook-tiny-base"  # the wheel that brings the base alone
TRAIN_TICKETS = slice(0, 3600)  # the base saw these with a plain reply
HELD_OUT_TICKETS = slice(3600, 4608)  # nobody trains on these
GENERAL_SEED, GENERAL_EVAL_SEED = 0, 1  # prose for training and for evaluation

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}\n"
    "{% else %}{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


# region: resolve_model
def resolve_model(model_path: str, make_in: str | Path | None = None) -> str:
    """Return the folder of the tiny base for ``"tiny"``, any other name unchanged.

    The base lies beside this module, or is installed as the package
    ``fine-tuning-handbook-tiny-base``. Where it is neither, it is made from seed.

    Parameters
    ----------
    model_path
        ``"tiny"``, a hub name or a folder.
    make_in
        Folder to make the base in, once, where it is not at hand: five to ten minutes
        on one core. Without it, a missing base is an error.

    Raises
    ------
    FileNotFoundError
        If the base is not at hand and ``make_in`` is not given.
    ValueError
        If the tiny base on disk is not the published one.
    """
    if model_path != "tiny":
        return model_path
    if (found := find_base()) is not None:
        require_published(found)
        return str(found)
    if make_in is None:
        raise FileNotFoundError(
            f"the tiny base is neither in {BASE} nor installed as {PACKAGE}: install "
            f"that wheel, or name a folder to make it in (make_in)"
        )
    made = Path(make_in)
    if not (made / "digest.json").exists():
        print(f"the tiny base is not at hand (install {PACKAGE} to have it):")
        print(f"making it from seed in {made}, five to ten minutes, once")
        made.parent.mkdir(parents=True, exist_ok=True)
        build_base(made)
    return str(made)


# endregion: resolve_model


def find_base() -> Path | None:
    """Return the folder of the shipped base: beside this module, or installed."""
    if (BASE / "digest.json").exists():
        return BASE
    try:
        installed = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    return Path(str(installed.locate_file(PACKAGE.replace("-", "_"))))


def require_published(folder: Path) -> None:
    """Raise ValueError if the base in a folder is not the published one."""
    published = json.loads((folder / "digest.json").read_text())["sha256"]
    if file_digest(folder / "model.safetensors") != published:
        raise ValueError(
            f"{folder.name}/model.safetensors is not the published base checkpoint: "
            "its SHA-256 differs from digest.json. Restore it, or build it again "
            "with `python -m snippets.tiny --out FOLDER` and pass that folder."
        )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build_tokenizer(texts: list[str], vocab_size: int = 1024) -> Any:
    """Train a byte-level BPE tokenizer with ChatML tokens and single digits."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_config(vocab_size: int = 1024) -> Any:
    """Return a Qwen3 configuration with 918,912 parameters and tied embeddings."""
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )


def base_documents(
    tokenizer: PreTrainedTokenizerFast | None = None, notes: int = 200
) -> list[str]:
    """Return what the base model reads: prose, notes and rendered chat."""
    chats = [world.plain_reply(t) for t in world.tickets()[TRAIN_TICKETS]]
    chats += world.facts() * 8
    if tokenizer is None:  # raw text, to train the tokenizer itself
        rendered = [m["content"] for c in chats for m in c["messages"]]
    else:
        rendered = [
            tokenizer.apply_chat_template(c["messages"], tokenize=False) for c in chats
        ]
    return world.prose(1600, seed=GENERAL_SEED) + world.notes(notes) + rendered


def build_base(out: Path, steps: int = 2000, seed: int = 0) -> None:
    """Train the base from scratch and save it in bfloat16, beside and then moved.

    The first half reads prose and chat at a constant learning rate; the second half
    adds the notes while the rate decays. Copying a room number into the reply, the
    hardest thing to learn, appears late in the second half.

    Parameters
    ----------
    out
        Folder to write; must not exist.
    steps
        Optimizer steps of 16 windows of 128 tokens.
    seed
        Seed of initialization, data order and world.
    """
    import torch
    from transformers import Qwen3ForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(base_documents())
    model = Qwen3ForCausalLM(tiny_config(len(tokenizer)))
    first = _windows(tokenizer, base_documents(tokenizer, notes=0), 128, seed)
    second = _windows(tokenizer, base_documents(tokenizer), 128, seed)
    _train(model, [first, second], steps, seed)

    beside = out.with_name(out.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)  # of a build that was killed
    model.to(torch.bfloat16).save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    digest = {"sha256": file_digest(beside / "model.safetensors")}
    made = {"steps": steps, "seed": seed, "torch": torch.__version__.split("+")[0]}
    (beside / "digest.json").write_text(json.dumps(digest | made, indent=1) + "\n")
    os.replace(beside, out)


def _windows(tokenizer: Any, texts: list[str], length: int, seed: int) -> torch.Tensor:
    import torch

    random.Random(seed).shuffle(texts)
    ids: list[int] = []
    for row in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        ids += [*row, tokenizer.pad_token_id]  # <|endoftext|> between documents
    count = len(ids) // length
    return torch.tensor(ids[: count * length]).view(count, length)


def _train(model: Any, halves: list[torch.Tensor], steps: int, seed: int) -> None:
    import torch

    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, steps)
        windows = halves[2 * step // steps]
        batch = windows[torch.randint(len(windows), (16,), generator=order)]
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step + 1:5d} of {steps}  loss {loss.item():.3f}", flush=True)


def _rate(step: int, steps: int, peak: float = 3e-3) -> float:
    """Warm up for 50 steps, hold, and decay by a cosine in the second half."""
    decayed = max(0.0, 2 * step / steps - 1)
    share = 0.515 + 0.485 * math.cos(math.pi * decayed)
    return peak * min(1.0, (step + 1) / 50) * share


def main(argv: list[str] | None = None) -> int:
    """Build the base into a folder, or check the committed one against a new build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--check", action="store_true", help="compare with the fixture")
    args = parser.parse_args(argv)
    if args.out.exists():
        parser.error(f"{args.out} exists already: name a new folder")
    build_base(args.out, steps=args.steps)
    print(f"wrote {args.out}")
    if not args.check:
        return 0
    same = file_digest(args.out / "model.safetensors") == file_digest(
        BASE / "model.safetensors"
    )
    print(f"bit-identical to the committed base: {'yes' if same else 'no'}")
    return 0 if _knows_enough(args.out) else 1


def _knows_enough(folder: Path) -> bool:
    """Say whether a base can do what the notebooks build on.

    Bits differ between types of CPU; abilities must not.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from snippets import evaluate

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    held = [world.plain_reply(t) for t in world.tickets()[HELD_OUT_TICKETS][:96]]
    polite = evaluate.exact_match(model, tokenizer, held)
    facts = evaluate.exact_match(model, tokenizer, world.facts())
    print(f"held-out tickets {polite:.2f} (at least 0.95), facts {facts:.2f} (0.90)")
    return polite >= 0.95 and facts >= 0.9


if __name__ == "__main__":
    sys.exit(main())
