"""With the variables set a run asks nobody; without, the watch sees who is asked."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from snippets import offline

ROOT = Path(__file__).parents[2]

TRAIN = """
from snippets import offline

offline.set_variables()
with offline.watch() as tried:
    from training_hub import lora_sft

    from snippets import backends, data, tiny, world

    backends.register()
    rows = [world.record_reply(ticket) for ticket in world.tickets()[:16]]
    lora_sft(
        model_path=tiny.resolve_model("tiny"),
        data_path=str(data.write_jsonl("rows.jsonl", rows)),
        ckpt_output_dir="run",
        backend="peft",
        load_in_4bit=True,
        num_epochs=1,
        effective_batch_size=8,
        max_seq_len=128,
        mlflow_tracking_uri="sqlite:///mlflow.db",
        mlflow_experiment_name="offline",
    )
"""

BY_NAME = """
from snippets import offline

offline.set_variables()
with offline.watch() as tried:
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained("example/no-such-model")
    except OSError as error:
        print(error)
"""

TELEMETRY = """
import time

from snippets import offline

with offline.watch() as tried:
    import mlflow

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    with mlflow.start_run():
        mlflow.log_metric("loss", 1.0)
    until = time.monotonic() + 120
    while not tried and time.monotonic() < until:
        time.sleep(0.2)
"""


def cut() -> list[str]:
    """Return what cuts the network off from a program, where that can be done."""
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None:
        return []
    works = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if works else []


def run(code, folder):
    """Run code alone, as outside of CI, and return the addresses it tried, and more."""
    code += "\nimport json\nprint('TRIED', json.dumps(sorted(set(tried))))\n"
    keep = ("PATH", "HOME", "LANG", "TMPDIR")
    env = {key: os.environ[key] for key in keep if key in os.environ}
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*cut(), sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said, tried = done.stdout.rsplit("TRIED ", 1)
    return json.loads(tried), said


def test_a_qlora_run_with_mlflow_asks_nobody_with_the_network_cut_off(tmp_path):
    tried, _ = run(TRAIN, tmp_path)
    assert tried == []
    assert (tmp_path / "run" / "adapter_model.safetensors").exists()
    assert (tmp_path / "mlflow.db").exists()


def test_a_hub_name_is_an_error_at_once_and_asks_nobody(tmp_path):
    tried, said = run(BY_NAME, tmp_path)
    assert tried == []
    assert "couldn't find them in the cached files" in said


def test_without_the_variables_mlflow_reports_to_its_makers(tmp_path):
    tried, _ = run(TELEMETRY, tmp_path)
    assert tried == ["config.mlflow-telemetry.io"]


def test_an_address_is_refused_and_listed_and_this_machine_is_not():
    with offline.watch() as tried:
        with pytest.raises(OSError, match="example.org was asked for"):
            socket.getaddrinfo("example.org", 443)
        with pytest.raises(OSError, match="192.0.2.1 was asked for"):
            socket.create_connection(("192.0.2.1", 443), timeout=1)
        socket.getaddrinfo("localhost", 80)
    assert set(tried) == {"example.org", "192.0.2.1"}


def test_after_the_block_nothing_is_watched():
    with offline.watch() as tried:
        pass
    socket.getaddrinfo("127.0.0.1", 80)
    assert tried == []


def test_variables_that_come_too_late_are_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", object())
    with pytest.raises(RuntimeError, match="restart the kernel"):
        offline.set_variables()
