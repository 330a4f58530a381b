"""What is seen of a run while it goes on: its GPU's memory, its place, its endings."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verify import catalog, ending, receipts, vram

if TYPE_CHECKING:
    from tests.verify.conftest import Handbook

REPOSITORY = Path(__file__).resolve().parents[2]
STAND_IN_FOR_NVIDIA_SMI = """\
#!{python}
import sys, time
arguments = " ".join(sys.argv[1:])
if "-L" in sys.argv:
    print("GPU 0: Stand-in (UUID: GPU-0)\\nGPU 1: Stand-in (UUID: GPU-1)")
elif "name,driver_version" in arguments:
    print("Stand-in, 1.0, 1024 MiB, 9.0")
elif "-lms" in sys.argv:
    for used in (100, 612, 300):
        print(used, flush=True)
        time.sleep(0.1)
    time.sleep(60)
else:
    print(100)
"""


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for nvidia-smi, with two GPUs, before everything on PATH."""
    program = tmp_path / "nvidia-smi"
    program.write_text(STAND_IN_FOR_NVIDIA_SMI.format(python=sys.executable), "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_memory_of_a_gpu_counts_above_what_was_in_use_before(two_gpus, tmp_path):
    watch = vram.watch("0", tmp_path / "vram.txt")
    end = time.monotonic() + 60
    while watch.peak() < 512 * vram.MIB and time.monotonic() < end:
        time.sleep(0.05)
    watch.end()
    assert watch.peak() == 512 * vram.MIB


def test_each_notebook_sees_one_gpu_and_its_receipt_names_it(
    two_gpus, handbook: Handbook
):
    see = "import os, time\nfrom snippets.proof import record\n"
    see += "record('gpu', os.environ['CUDA_VISIBLE_DEVICES'])\ntime.sleep(1)"
    for name in ("one", "two", "three"):
        handbook.notebook(name, see)
    profile = {"profiles": {"cuda": {"needs": ["cuda"]}}}
    handbook.catalog(one=profile, two=profile, three=profile)
    done = handbook.verify("run", "--profile", "cuda")
    assert done.code == 0
    assert "at once" in done.text and "2 GPU" in done.text
    found = [handbook.receipt(n, "cuda") for n in ("one", "two", "three")]
    assert {r["outcomes"][0]["value"] for r in found} == {"0", "1"}
    assert [r["device"]["gpus"][0]["name"] for r in found] == ["Stand-in"] * 3
    assert found[0]["peak_vram_gib"] == 0.5
    assert found[0]["device"]["gpus"][0]["driver"] == "1.0"


def test_a_kernel_that_the_system_ended_for_memory_is_called_so(handbook: Handbook):
    """The system's counter of such endings is given here: no memory is exhausted."""
    handbook.notebook("one", "x = 1", "import os; os.kill(os.getpid(), 9)")
    handbook.catalog(one={})
    assert handbook.verify("run").code == 1
    receipt = receipts.read(receipts.receipt_path(handbook.root, "one", "cpu"))
    entry = catalog.load(handbook.root).entry("one")
    folder = handbook.root / "_build" / "jobs" / "one.cpu"
    again = ending.finish(
        ending.Ended(
            entry=entry,
            receipt=receipt,
            folder=folder,
            work=handbook.root / "_build" / "work" / "one",
            seconds=1.0,
            peak=3 * 2**30,
            code=0,
            oom_kills=1,
        )
    )
    assert again.status == "crashed"
    assert again.reason == (
        "cell 2 (code cell 2) `import os; os.kill(os.getpid(), 9)`: "
        "the system ended the kernel for want of memory, at 3.00 GiB"
    )


def test_a_terminal_gets_a_live_table_and_a_log_gets_lines(handbook: Handbook):
    handbook.notebook("one", "x = 1", "import time; time.sleep(2)")
    handbook.catalog(one={})
    command = [sys.executable, "-m", "verify", "--root", str(handbook.root), "run"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment |= {"TERM": "xterm", "COLUMNS": "120"}
    master, slave = pty.openpty()
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        shown = _read_all(master)
    assert process.returncode == 0
    assert "\x1b[" in shown
    assert "cell 2 of 2" in shown
    assert "one [cpu] passed in" in shown
    assert "\x1b[" not in handbook.verify("run", "--force").text


def _read_all(master: int) -> str:
    pieces = []
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # how a pseudo-terminal says that its other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(master)
    return b"".join(pieces).decode(errors="replace")
