"""Runs beside each other share nothing: not a failure, not a Ctrl-C, not a folder."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.verify.conftest import Handbook


PID = "import os\nopen('pid', 'w').write(str(os.getpid()))"
SLEEP = "import time; time.sleep(900)"  # longer than any wait below
LONG = {"time_limit": 900}
PATIENCE = 300  # seconds, on a machine that does other things too


def test_of_two_in_parallel_the_second_fails_and_the_first_stays(handbook: Handbook):
    handbook.notebook("first", "x = 1")
    handbook.notebook("second", "import time; time.sleep(0.5)\n1 / 0")
    handbook.catalog(first={}, second={})
    done = handbook.verify("run", "--jobs", "2")
    assert done.code == 1
    assert "1 of 2 passed" in done.text
    assert "second failed: cell 1 (code cell 1)" in done.text
    handbook.notebook("second", "x = 1")
    again = handbook.verify("run")
    assert again.code == 0
    assert "first [cpu] unchanged" in again.text
    assert "2 of 2 passed" in again.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_kernels_and_keeps_finished_work(
    handbook: Handbook, number: signal.Signals
):
    handbook.notebook("done", "x = 1")
    handbook.notebook("long", PID, SLEEP)
    handbook.catalog(done={}, long=LONG)  # on one core in this order
    process = handbook.start("run", "--jobs", "2")
    pid_file = handbook.root / "_build" / "work" / "long" / "pid"
    _wait_for(lambda: handbook.executed("done").exists() and pid_file.exists())
    _wait_for(lambda: "time.sleep(900)" in _events(handbook, "long"))
    kernel = int(pid_file.read_text())
    process.send_signal(number)
    text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert f"stopped by {number.name}; finished runs are kept" in text
    _wait_for(lambda: _gone(kernel))
    assert not handbook.executed("long").exists()
    assert handbook.receipt("done")["status"] == "passed"
    assert "never run" in handbook.verify("status").text


def test_a_killed_command_leaves_no_kernel_and_no_pass(handbook: Handbook):
    handbook.notebook("long", PID, SLEEP)
    handbook.catalog(long=LONG)
    process = handbook.start("run")
    pid_file = handbook.root / "_build" / "work" / "long" / "pid"
    _wait_for(lambda: "time.sleep(900)" in _events(handbook, "long"))
    kernel = int(pid_file.read_text())
    process.kill()
    process.communicate(timeout=PATIENCE)
    _wait_for(lambda: _gone(kernel))
    assert "never run" in handbook.verify("status").text


def test_the_same_notebook_is_not_run_by_two_commands_at_once(handbook: Handbook):
    handbook.notebook("long", PID, SLEEP)
    handbook.catalog(long=LONG)
    process = handbook.start("run")
    _wait_for(lambda: "time.sleep(900)" in _events(handbook, "long"))
    done = handbook.verify("run")
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert done.code == 1
    assert "long is being run by another command" in done.text


def test_a_kernel_is_this_python_with_one_thread_and_a_fresh_folder(
    handbook: Handbook, monkeypatch: pytest.MonkeyPatch
):
    handbook.notebook(
        "where",
        "import os, sys\nfrom snippets.proof import record",
        f"record('python', sys.executable == {sys.executable!r})",
        "record('files', len(os.listdir()))\nopen('left', 'w').close()",
        "record('threads', os.environ['OMP_NUM_THREADS'])",
        "record('offline', os.environ['HF_HUB_OFFLINE'])",
        "record('inline', 'inline' in os.environ['MPLBACKEND'])",
    )
    monkeypatch.setenv("MPLBACKEND", "agg")
    rules = {"files": 0, "threads": "1", "offline": "1", "inline": True, "python": True}
    expect = {name: {"equals": value} for name, value in rules.items()}
    handbook.catalog(where={"expect": expect})
    assert handbook.verify("run").code == 0
    assert handbook.verify("run", "--force").code == 0


def _events(handbook: Handbook, name: str) -> str:
    path = handbook.root / "_build" / "jobs" / f"{name}.cpu" / "events.jsonl"
    return path.read_text("utf-8") if path.exists() else ""


def _gone(pid: int) -> bool:
    """Say whether a process has ended, though nobody may have asked how."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
