"""A run's conditions are written down, and a new process can have others."""

from __future__ import annotations

import json

import pytest

from snippets import data, reproduce, tiny, world


def test_conditions_name_instructions_threads_and_versions():
    found = reproduce.conditions()
    assert found["instructions"] in ("AVX512", "AVX2", "DEFAULT", "NO AVX")
    assert found["threads"] >= 1 and found["processes"] == 1
    assert found["transformers"] and found["torch"]
    assert json.loads(json.dumps(found)) == found


def test_each_difference_is_one_sentence():
    there = {"torch": "2.12.0", "threads": 1}
    here = {"torch": "2.13.0", "threads": 1, "peft": "0.21.2"}
    assert reproduce.differences(there, here) == [
        "peft was not there, is 0.21.2",
        "torch was 2.12.0, is 2.13.0",
    ]
    assert reproduce.differences(here, here) == []


def test_a_run_elsewhere_that_fails_says_why(tmp_path):
    rows = [world.record_reply(t) for t in world.tickets()[:4]]
    chat = str(data.write_jsonl(tmp_path / "chat.jsonl", rows))
    call = {"model_path": str(tiny.BASE), "data_path": chat, "learning_rat": 1}
    with pytest.raises(RuntimeError, match="did you mean learning_rate"):
        reproduce.run_elsewhere(
            "lora_sft", {}, **call, ckpt_output_dir=str(tmp_path / "run")
        )
