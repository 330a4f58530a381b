"""The quick answer is given only where every byte is as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verify import unchanged

if TYPE_CHECKING:
    from tests.verify.conftest import Handbook

REPOSITORY = Path(__file__).resolve().parents[2]
SLOW = "verify.catalog"


@pytest.fixture(scope="module")
def settled(make_handbook: Callable[[], Handbook]) -> Handbook:
    """Return a handbook whose last run reused everything."""
    book = make_handbook()
    book.notebook("one", "# Title", "from snippets import proof")
    book.write("snippets/fixtures/data.bin", "1")
    book.write("receipts/README.md", "none yet")
    book.catalog(one={})
    assert book.verify("run").code == 0
    assert "unchanged" in book.verify("run").text
    return book


def loaded(book: Handbook, *words: str) -> tuple[str, bool]:
    """Run a command; return what it said and whether it had to judge anything."""
    command = ["-X", "importtime", "-m", "verify", "--root", str(book.root), *words]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    return done.stdout, SLOW in done.stderr


def test_the_same_command_on_the_same_bytes_is_answered_without_a_judgement(settled):
    text, judged = loaded(settled, "run")
    assert not judged
    assert "one [cpu] unchanged, passed in" in text
    assert "1 of 1 passed" in text


def test_another_command_is_judged(settled):
    assert loaded(settled, "run", "one")[1]
    assert loaded(settled, "status")[1]
    assert loaded(settled, "run", "--force")[1]
    assert loaded(settled, "run")[1]  # the forced run left a new receipt
    assert not loaded(settled, "run")[1]


@pytest.mark.parametrize(
    "path",
    [
        "notebooks/one.ipynb",
        "notebooks/catalog.yml",
        "snippets/proof.py",
        "snippets/__init__.py",
        "snippets/fixtures/data.bin",
        "snippets/fixtures/new.bin",
        ".ci/locks/notebooks.txt",
        "receipts/README.md",
        "_build/receipts/one.cpu.json",
        "_build/executed/notebooks/one.ipynb",
    ],
)
def test_one_more_byte_anywhere_below_is_judged(settled: Handbook, path: str):
    words = ["--root", str(settled.root), "run"]
    file = settled.root / path
    before = file.read_bytes() if file.exists() else None
    was = unchanged.state(str(settled.root), words)
    file.write_bytes((before or b"") + b"\n")
    now = unchanged.state(str(settled.root), words)
    if before is None:
        file.unlink()
    else:
        file.write_bytes(before)
    assert now != was
    assert unchanged.state(str(settled.root), words) == was


def test_a_file_that_is_gone_is_judged(settled, make_handbook):
    copy = make_handbook()
    shutil.copytree(settled.root, copy.root, dirs_exist_ok=True)
    assert loaded(copy, "run")[1]
    assert not loaded(copy, "run")[1]
    shutil.rmtree(copy.root / "_build" / "executed")
    text, judged = loaded(copy, "run")
    assert judged
    assert "started" in text


def test_the_sandbox_is_part_of_the_state_down_to_its_node_programs():
    below = {
        path.removeprefix(unchanged.HERE) for path in unchanged._files(unchanged.HERE)
    }
    parts = ("state.py", "node/proxy.mjs", "node/package-lock.json")
    assert below >= {f"/sandbox/{part}" for part in parts}


def test_verify_itself_and_the_python_are_part_of_the_state(settled, monkeypatch):
    words = ["--root", str(settled.root), "run"]
    was = unchanged.state(str(settled.root), words)
    monkeypatch.setattr(unchanged, "HERE", str(settled.root / "snippets"))
    assert unchanged.state(str(settled.root), words) != was
    monkeypatch.undo()
    monkeypatch.setattr(sys, "version", "3.99")
    assert unchanged.state(str(settled.root), words) != was


def test_a_failure_and_a_skip_are_never_remembered(handbook: Handbook):
    skip = {"probe": {"lacks": "npu"}, "reason": "no NPU", "owner": "us"}
    skip["expires"] = "2020-01-01"
    handbook.notebook("bad", "1 / 0")
    handbook.notebook("left-out", "x = 1")
    handbook.notebook("good", "x = 1")
    profiles = {"profiles": {"cpu": {"skip": {**skip, "probe": {"cores_below": 1}}}}}
    handbook.catalog(bad={}, left_out=profiles, good={})
    for _ in range(3):
        assert handbook.verify("run", "bad").code == 1
        assert handbook.verify("run", "good", "left-out").code == 1
    assert not (handbook.root / "_build" / "cache").exists()


def test_a_damaged_memory_is_no_answer(settled: Handbook):
    loaded(settled, "run")
    [*_, place] = (settled.root / "_build" / "cache").glob("unchanged-*.json")
    for text in ("", "{", json.dumps({"state": "0", "said": ["all fine"]})):
        for file in (settled.root / "_build" / "cache").glob("unchanged-*.json"):
            file.write_text(text, "utf-8")
        assert loaded(settled, "run")[1]
    assert place.exists()
