"""What a server will refuse stands in the files, so it is found before one starts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

# region: check_adapter
# What vLLM takes for --max-lora-rank (vllm/config/lora.py, 0.27).
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def check_adapter(folder: str | Path, base: str, max_lora_rank: int = 16) -> list[str]:
    """Say why vLLM would refuse an adapter, or serve another model than you trained.

    Parameters
    ----------
    folder
        The folder with ``adapter_config.json`` and ``adapter_model.safetensors``.
    base
        The base that the server will load: hub name or folder.
    max_lora_rank
        What you pass to ``vllm serve``; its default is 16.

    Returns
    -------
    list of str
        One sentence for each problem; empty when none was found.
    """
    config = json.loads((Path(folder) / "adapter_config.json").read_text())
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    trained_on = config.get("base_model_name_or_path") or "nothing"
    found = []
    if max_lora_rank not in VLLM_RANKS:
        known = ", ".join(map(str, VLLM_RANKS))
        found.append(f"vLLM takes no rank {max_lora_rank}: pass one of {known}")
    if rank > max_lora_rank:
        needed = next((r for r in VLLM_RANKS if r >= rank), None)
        todo = f"pass --max-lora-rank {needed}" if needed else "merge it"
        found.append(f"rank {rank} is above --max-lora-rank {max_lora_rank}: {todo}")
    for key in ("modules_to_save", "trainable_token_indices", "use_dora"):
        if config.get(key):
            found.append(f"{key} is {config[key]}, which vLLM does not serve: merge it")
    if config.get("bias", "none") != "none":
        found.append(f"biases were trained ({config['bias']}): merge it")
    if "bnb-4bit" in trained_on:
        found.append(f"it names a 4-bit repository, {trained_on}: serve it on the base")
    elif Path(trained_on).name != Path(base).name:
        found.append(f"it was trained on {trained_on}, and the server has {base}")
    shapes = tensors(Path(folder) / "adapter_model.safetensors")
    if other := sorted(name for name in shapes if "lora_" not in name):
        found.append(f"{len(other)} tensors are no LoRA, such as {other[0]}: merge it")
    return found


# endregion: check_adapter


# region: check_model
def check_model(folder: str | Path) -> list[str]:
    """Say what is wrong with the folder of a merged model; empty when nothing is.

    Every weight file is opened, but no weight is read: a file that was cut off while
    being copied is found by its header.
    """
    folder = Path(folder)
    found = [
        f"{name} is missing"
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json")
        if not (folder / name).is_file()
    ]
    if (folder / "adapter_config.json").exists():
        found.append("adapter_config.json is there: this is an adapter, not a model")
    if found:
        return found
    config = _json(folder / "config.json")
    if config.get("quantization_config"):
        found.append("config.json asks for quantization: the merge stayed in 4 bits")
    told = _json(folder / "tokenizer_config.json")
    if not (folder / "chat_template.jinja").exists() and not told.get("chat_template"):
        found.append("there is no chat template: requests with messages will fail")
    return found + _stops(folder, told) + _weights(folder, config)


def _stops(folder: Path, told: dict) -> list[str]:
    """Compare the tokens that end generation with the tokenizer's EOS."""
    file = folder / "generation_config.json"
    stops = _json(file).get("eos_token_id") if file.exists() else None
    stops = stops if isinstance(stops, list) else [stops]
    eos = told.get("eos_token")
    eos = eos["content"] if isinstance(eos, dict) else eos
    added = _json(folder / "tokenizer.json").get("added_tokens", [])
    ids = [token["id"] for token in added if token["content"] == eos]
    if not ids or ids[0] in stops:
        return []
    return [
        f"generation stops at {stops}, but a turn ends in {eos} ({ids[0]}): set "
        "eos_token_id in generation_config.json"
    ]


def _weights(folder: Path, config: dict) -> list[str]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return ["there is no *.safetensors"]
    shapes: dict[str, tuple[str, list[int]]] = {}
    for file in files:
        try:
            shapes |= tensors(file)
        except SafetensorError as error:
            return [f"{file.name} cannot be read, copy it again: {error}"]
    found = []
    index = folder / "model.safetensors.index.json"
    if index.exists():
        missing = sorted(_json(index)["weight_map"].keys() - shapes.keys())
        if missing:
            found.append(f"{len(missing)} weights are missing, such as {missing[0]}")
    if wide := [name for name, (dtype, _) in shapes.items() if dtype == "F32"]:
        found.append(f"{len(wide)} weights are float32: twice the size you need")
    rows = [
        s[0] for name, (_, s) in shapes.items() if name.endswith("embed_tokens.weight")
    ]
    if rows and rows[0] != config.get("vocab_size", rows[0]):
        found.append(f"{rows[0]} embeddings, but vocab_size {config['vocab_size']}")
    return found


def tensors(file: str | Path) -> dict[str, tuple[str, list[int]]]:
    """Return dtype and shape of every tensor in a file, read from its header."""
    with safe_open(str(file), "np") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        return {n: (s.get_dtype(), s.get_shape()) for n, s in slices.items()}


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


# endregion: check_model


# region: serve
@contextmanager
def serve(folder: str | Path, port: int = 0, most: int = 64) -> Iterator[str]:
    """Answer chat requests on this machine while the block runs; yields the address.

    For a look at a model from a notebook, on any device: greedy, one request at a
    time, no streaming, no password. It listens on localhost only. ``most`` bounds the
    tokens of an answer.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from snippets.evaluate import answers

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            turns = json.loads(self.rfile.read(size))["messages"]
            turns = [*turns, {"role": "assistant", "content": "?"}]
            with one_at_a_time:
                (said,) = answers(model, tokenizer, [{"messages": turns}], most)
            message = {"role": "assistant", "content": said.generated}
            body = json.dumps({"choices": [{"message": message}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: a notebook shows answers, not requests."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    finally:
        server.shutdown()
        server.server_close()


# endregion: serve
