"""Notebooks start as room allows: longest first, one to a GPU, within the memory."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from verify import budget, catalog, machine, receipts
from verify.budget import GIB, Budget, Need

if TYPE_CHECKING:
    from pathlib import Path

    from tests.verify.conftest import Handbook


@pytest.fixture
def entries(handbook: Handbook) -> dict[str, catalog.Entry]:
    limits = {"limits": {"peak_rss_gib": 3}}
    cuda = {"profiles": {"cpu": {}, "cuda": {"needs": ["cuda"]}}}
    for name in ("short", "long", "new"):
        handbook.notebook(name, "x = 1")
    handbook.catalog(short=limits, long={}, new=cuda)
    return dict(catalog.load(handbook.root).entries)


def need(entry: catalog.Entry, memory: float = 1, gpu: bool = False) -> Need:
    return Need(entry, 1.0, int(memory * GIB), gpu)


def names(budget: Budget, waiting: list[Need]) -> list[str]:
    started = []
    while taken := budget.take(waiting):
        waiting.remove(taken[0])
        started.append(taken[0].entry.name)
    return started


def test_cores_bound_how_many_run(entries):
    waiting = [need(entry) for entry in entries.values()]
    purse = Budget(2, 100 * GIB, [])
    assert names(purse, waiting) == ["short", "long"]
    purse.give_back("short")
    assert names(purse, waiting) == ["new"]


def test_memory_bounds_what_runs_and_a_smaller_one_may_pass(entries):
    short, long, new = entries.values()
    purse = Budget(4, 5 * GIB, [])
    assert names(purse, [need(short, 4), need(long, 3), need(new, 1)]) == [
        "short",
        "new",
    ]


def test_one_that_needs_more_than_there_is_runs_alone(entries):
    short, long, _ = entries.values()
    purse, waiting = Budget(4, GIB, []), [need(short, 9), need(long, 1)]
    assert names(purse, waiting) == ["short"]
    purse.give_back("short")
    assert names(purse, waiting) == ["long"]
    assert purse.memory == 0


def test_each_gpu_serves_one_notebook(entries):
    waiting = [need(entry, gpu=True) for entry in entries.values()]
    purse = Budget(8, 100 * GIB, ["0", "3"])
    first, second = purse.take(waiting), purse.take(waiting[1:])
    assert (first[1], second[1]) == ("0", "3")
    assert purse.take(waiting[2:]) is None
    purse.give_back("short")
    assert purse.take(waiting[2:])[1] == "0"


def test_without_a_gpu_list_accelerated_notebooks_run_one_at_a_time(entries):
    waiting = [need(entry, gpu=True) for entry in entries.values()]
    assert names(Budget(8, 100 * GIB, []), waiting) == ["short"]


def test_the_unknown_is_taken_for_the_longest_and_memory_from_its_limit(entries):
    found = budget.needs(list(entries.values()), "cpu")
    assert {n.seconds for n in found} == {math.inf}
    assert {n.entry.name: n.memory for n in found} == {
        "short": 3 * GIB,
        "long": budget.UNKNOWN,
        "new": budget.UNKNOWN,
    }
    assert [n.gpu for n in budget.needs([entries["new"]], "cuda")] == [True]


def test_a_receipt_tells_how_long_and_how_large(handbook: Handbook, entries):
    assert handbook.verify("run", "short", "long").code == 0
    for name, seconds in (("short", 2.0), ("long", 9.0)):
        path = receipts.receipt_path(handbook.root, name, "cpu")
        receipts.write(path, replace(receipts.read(path), seconds=seconds))
    found = budget.needs(list(catalog.load(handbook.root)), "cpu")
    assert [n.entry.name for n in found] == ["new", "long", "short"]
    seen = handbook.receipt("short")["peak_rss_gib"] * GIB
    assert seen < found[2].memory < 1.2 * seen


def test_a_container_smaller_than_its_host_is_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    files = {
        "memory.max": "1073741824\n",
        "memory.current": "536870912\n",
        "memory.stat": "anon 1\ninactive_file 104857600\n",
        "memory.events": "oom 1\noom_kill 2\n",
        "cpu.max": "100000 100000\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.memory_limit() == GIB
    assert machine.memory_free() == GIB // 2 + 100 * 2**20
    assert machine.cores() == 1
    assert machine.out_of_memory_kills() == 2
    (tmp_path / "cpu.max").write_text("max 100000\n", "utf-8")
    (tmp_path / "memory.max").write_text("max\n", "utf-8")
    assert machine.cores() >= 1
    assert machine.memory_limit() > GIB
