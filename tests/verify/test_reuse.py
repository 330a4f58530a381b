"""A result is reused exactly as long as everything under it stands."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verify import receipts

if TYPE_CHECKING:
    from tests.verify.conftest import Handbook


READ = "import packaging\nfrom snippets.data import value\n"
READ += "from snippets.proof import record"
RECORD = "record('answer', value())"


@pytest.fixture(scope="module")
def passed(make_handbook: Callable[[], Handbook]) -> Handbook:
    """A handbook with one notebook that has run and passed."""
    handbook = make_handbook()
    handbook.write("snippets/data.py", "def value():\n    return 1\n")
    handbook.notebook("one", "# Title", READ, RECORD, "print('ran')")
    handbook.catalog(one={"expect": {"answer": {"max": 5}}})
    assert handbook.verify("run").code == 0
    return handbook


@pytest.fixture
def book(passed: Handbook, make_handbook: Callable[[], Handbook]) -> Handbook:
    """A copy of it for one test; a key does not depend on where a handbook lies."""
    copy = make_handbook()
    shutil.copytree(passed.root, copy.root, dirs_exist_ok=True)
    return copy


def test_an_unchanged_notebook_is_reused_in_a_fraction_of_a_second(book: Handbook):
    before = book.executed("one").stat().st_mtime_ns
    start = processor_seconds()
    done = book.verify("run")
    assert done.code == 0
    assert "one [cpu] unchanged, passed" in done.text
    assert processor_seconds() - start < 1  # a busy machine takes longer, and no more
    assert book.executed("one").stat().st_mtime_ns == before


def processor_seconds() -> float:
    """Return the processor time of all commands that this process has seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_force_runs_again(book: Handbook):
    assert "started" in book.verify("run", "--force").text


def test_a_changed_snippet_runs_again_and_its_new_value_shows(book: Handbook):
    book.write("snippets/data.py", "def value():\n    return 2\n")
    status = book.verify("status").text
    assert "stale" in status
    assert "snippets/data.py changed; run python3 noxfile.py -s book" in status
    assert "started" in book.verify("run").text
    assert book.receipt("one")["outcomes"][0]["value"] == 2


def test_a_changed_code_cell_or_lock_makes_a_result_stale(book: Handbook):
    book.notebook("one", "# Title", READ, RECORD, "print('ran twice')")
    assert "the notebook's code cells changed" in book.verify("status").text
    book.notebook("one", "# Title", READ, RECORD, "print('ran')")
    assert "passed" in book.verify("status").text
    lock = book.root / ".ci" / "locks" / "notebooks.txt"
    book.write(".ci/locks/notebooks.txt", lock.read_text("utf-8") + "new-one==1.0\n")
    assert "passed" in book.verify("status").text
    book.write(".ci/locks/notebooks.txt", "packaging==6\n")
    assert "the locked version of packaging (" in book.verify("status").text
    done = book.verify("run")
    assert done.code == 1
    assert "this environment is not the locked one: packaging" in done.text


def test_edited_prose_runs_nothing_and_is_in_the_executed_copy(book: Handbook):
    book.notebook("one", "# Title", READ, "# New words", RECORD, "print('ran')")
    done = book.verify("run")
    assert "unchanged, passed" in done.text
    text = book.executed("one").read_text("utf-8")
    assert "New words" in text
    assert '"ran\\n"' in text
    before = book.executed("one").stat().st_mtime_ns
    assert "unchanged, passed" in book.verify("run").text
    assert book.executed("one").stat().st_mtime_ns == before


def test_an_unrelated_snippet_and_a_new_notebook_run_nothing_else(book: Handbook):
    book.write("snippets/other.py", "x = 1\n")
    book.notebook("two", "x = 1")
    book.catalog(one={"expect": {"answer": {"max": 5}}}, two={})
    text = book.verify("run").text
    assert "one [cpu] unchanged" in text
    assert "two [cpu] started" in text


def test_an_executed_copy_edited_by_hand_is_not_reused(book: Handbook):
    path = book.executed("one")
    path.write_text(path.read_text("utf-8").replace('"ran\\n"', '"flew\\n"'), "utf-8")
    assert "was changed after its run" in book.verify("status").text
    assert "started" in book.verify("run").text
    assert "flew" not in path.read_text("utf-8")


def test_an_outcome_edited_in_the_receipt_is_not_reused(book: Handbook):
    path = book.root / "_build" / "receipts" / "one.cpu.json"
    receipt = json.loads(path.read_text("utf-8"))
    receipt["outcomes"][0]["value"] = 4
    path.write_text(json.dumps(receipt), "utf-8")
    assert "receipt one.cpu.json was edited after its run" in book.verify("status").text
    assert "started" in book.verify("run").text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', '{"schema": 1}'])
def test_a_damaged_receipt_is_no_pass(book: Handbook, text: str):
    (book.root / "_build" / "receipts" / "one.cpu.json").write_text(text, "utf-8")
    status = book.verify("status").text
    assert "never run" in status
    assert "receipt one.cpu.json" in status


def test_an_expectation_that_no_longer_holds_fails_without_a_run(book: Handbook):
    book.catalog(one={"expect": {"answer": {"min": 5}}})
    assert "failed" in book.verify("status").text
    done = book.verify("run")
    assert done.code == 1
    assert "one failed: outcome answer = 1, expected at least 5" in done.text
    assert "started" not in done.text
    assert not book.executed("one").exists()
    assert book.receipt("one")["status"] == "failed"
    book.catalog(one={"expect": {"answer": {"max": 5}}})
    done = book.verify("run")
    assert done.code == 0
    assert "started" not in done.text
    assert book.executed("one").exists()


def test_a_run_that_failed_on_its_outcome_is_tried_again(book: Handbook):
    book.catalog(one={"expect": {"answer": {"min": 5}}})
    assert book.verify("run").code == 1
    done = book.verify("run")
    assert done.code == 1
    assert "started" in done.text


def test_another_python_makes_a_result_stale(book: Handbook):
    path = receipts.receipt_path(book.root, "one", "cpu")
    receipt = receipts.read(path)
    receipts.write(path, replace(receipt, python="3.9.1"))
    assert "stale" in book.verify("status").text
    assert "Python (then 3.9.1) changed" in book.verify("status").text
    assert "started" in book.verify("run").text


def test_a_failed_run_takes_the_passed_result_with_it(book: Handbook):
    book.notebook("one", "# Title", READ, "1 / 0")
    assert book.verify("run").code == 1
    assert not book.executed("one").exists()
    assert book.receipt("one")["status"] == "failed"


def test_a_file_that_changes_during_the_run_is_noticed(book: Handbook):
    change = (
        f"path = {str(book.root / 'snippets' / 'data.py')!r}\n"
        "open(path, 'a').write('# a late thought\\n')"
    )
    book.notebook("one", "# Title", READ, RECORD, change)
    done = book.verify("run")
    assert done.code == 1
    assert "snippets/data.py changed during the run" in done.text


def test_a_receipt_in_the_repository_counts_until_the_code_moves_on(book: Handbook):
    built = book.root / "_build" / "receipts" / "one.cpu.json"
    kept = book.root / "receipts" / "one" / "cpu.json"
    kept.parent.mkdir(parents=True)
    built.rename(kept)
    assert "passed" in book.verify("status").text
    book.write("snippets/data.py", "def value():\n    return 3\n")
    assert (
        "the kept run is stale since an unknown commit: snippets/data.py"
        in book.verify("status").text
    )


def test_a_profile_keeps_its_own_copy_and_shows_what_it_injected(handbook: Handbook):
    handbook.notebook("one", ("parameters", "steps: int = 3"), "print(steps * 2)")
    profiles = {"cpu": {}, "short": {"parameters": {"steps": 1}}}
    handbook.catalog(one={"profiles": profiles, "packages": ["nbformat"]})
    assert handbook.verify("run").code == 0
    assert handbook.verify("run", "one", "--profile", "short").code == 0
    receipt = handbook.receipt("one", "short")
    assert receipt["parameters"] == {
        "published": {"steps": 3},
        "injected": {"steps": 1},
    }
    assert set(receipt["packages"]) == {"nbformat"}
    short = handbook.root / "_build/executed/short/one.ipynb"
    assert '"2\\n"' in short.read_text("utf-8")
    assert '"6\\n"' in handbook.executed("one").read_text("utf-8")
    assert "unchanged" in handbook.verify("run", "--profile", "short").text


def test_no_published_file_holds_a_path_of_this_machine(handbook: Handbook):
    handbook.write("snippets/data.py", "def fail():\n    raise ValueError('no')\n")
    handbook.notebook(
        "paths",
        "import os, sys, warnings\nprint(os.getcwd(), os.path.abspath('out'))",
        "from snippets import data\nprint(data.__file__)",
        "warnings.warn('from here')",
        ("raises-exception", "data.fail()"),
        ("raises-exception", "import json\njson.loads('{')"),
        "os.path.expanduser('~/models'), sys.prefix + 's'",
    )
    allowed = [{"match": "from here", "why": "a warning shows a path"}]
    handbook.catalog(paths={"allow_stderr": allowed})
    assert handbook.verify("run").code == 0
    text = handbook.executed("paths").read_text("utf-8")
    text += (handbook.root / "_build/receipts/paths.cpu.json").read_text("utf-8")
    assert '". out\\n"' in text
    assert '"snippets/data.py\\n"' in text
    assert '"cell:1: UserWarning: from here\\n"' in text
    assert "snippets/data.py:2" in text
    assert "'~/models'" in text
    for path in (handbook.root, handbook.root.parent, Path.home()):
        assert str(path) not in text
    assert "papermill" not in text
