"""Every way a notebook can be wrong goes red, each with its own message.

All sick notebooks run in one command, two at a time; each test looks at one of them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

if TYPE_CHECKING:
    from tests.verify.conftest import Done, Handbook


RECORD = "from snippets.proof import record"
KILL = """
import os, signal, time
print("last words", flush=True)
time.sleep(2)
os.kill(os.getpid(), signal.SIGKILL)
"""
NAP = "import time; time.sleep(60)"
WARN = "import warnings\nwarnings.warn('rounding errors')"
ALLOWED = [{"match": "rounding", "why": "merging rounds, see the text above"}]
ASLEEP = ["sleep", f"61.{os.getpid()}"]  # no other run on this machine starts it
CHILD = f"import subprocess\nsubprocess.Popen({ASLEEP})"


@dataclass(frozen=True)
class Ward:
    """The sick notebooks after their run."""

    book: Handbook
    done: Done

    def reason(self, name: str, status: str = "failed") -> str:
        """Return why a notebook failed, having checked that nothing calls it good."""
        receipt = self.book.receipt(name)
        assert receipt["status"] == status
        assert not self.book.executed(name).exists()
        assert f"{name} [cpu] {status} after" in self.done.text
        assert receipt["reason"] in self.done.text
        return receipt["reason"]

    def failure(self, name: str) -> dict[str, Any]:
        """Return the details of a failure."""
        return self.book.receipt(name)["failure"]


@pytest.fixture(scope="module")
def ward(make_handbook: Callable[[], Handbook]) -> Ward:
    book = make_handbook()
    score = "record('score', 0.4)"
    at_least = {"expect": {"score": {"min": 0.95, "why": "it must have learned"}}}
    book.notebook("overdue", "# Slow", CHILD, "import time; time.sleep(60)")
    book.notebook("hanging", "x = 1", "print('going in')\nimport time; time.sleep(60)")
    book.notebook("broken", "# Title", "def f(x):\n    return 1 / x", "y = 2\nf(0)")
    book.notebook("killed", "# Title", KILL)
    book.notebook("out-of-range", RECORD, score)
    book.notebook("unrecorded", "x = 1")
    book.notebook("twice", RECORD, score, "# Prose", score)
    book.notebook("not-a-number", RECORD, "record('score', float('nan'))")
    book.notebook("leaves-early", "import sys\nsys.exit(0)", "1 / 0")
    book.notebook("too-quiet", ("raises-exception", "x = 1"))
    book.notebook("skips", ("skip-execution", "1 / 0"))
    book.notebook("greedy", "# Title", "wall = b'x' * (300 * 2**20)\ndel wall", NAP)
    book.notebook("brief", "wall = b'x' * (300 * 2**20)\ndel wall")
    book.notebook("exhausted", "x = 1", "everything = bytearray(2**60)")
    book.notebook("lacks-module", "import no_such_module")
    book.notebook("warns", "x = 1", "# Prose", WARN)
    book.notebook("may-warn", "# Prose", WARN)
    book.notebook("may-warn-of-other-things", WARN + "\nwarnings.warn('alas')")
    book.notebook("unlisted-module", "x = 1")
    book.notebook("injects", ("parameters", "steps = 3"), "x = steps")
    book.notebook("parricide", "import os\nos.kill(os.getppid(), 9)\ninput()")
    book.notebook("healthy", "x = 1")
    book.catalog(
        overdue={"time_limit": 20},
        hanging={"cell_time_limit": 3},
        broken={},
        killed={},
        out_of_range=at_least,
        unrecorded=at_least,
        twice={},
        not_a_number={},
        leaves_early={},
        too_quiet={},
        skips={},
        greedy={"limits": {"peak_rss_gib": 0.25}},
        brief={"limits": {"peak_rss_gib": 0.25}},
        exhausted={},
        lacks_module={},
        warns={},
        may_warn={"allow_stderr": ALLOWED},
        may_warn_of_other_things={"allow_stderr": ALLOWED},
        unlisted_module={"packages": ["nbformat", "no-such-package"]},
        injects={"profiles": {"cpu": {"parameters": {"step": 1}}}},
        parricide={},
        healthy={},
    )
    return Ward(book, book.verify("run", "--jobs", "2", "--beat", "3"))


def test_one_failure_is_enough_for_exit_code_1(ward: Ward):
    assert ward.done.code == 1
    assert "2 of 22 passed" in ward.done.text


def test_a_healthy_notebook_beside_sick_ones_passes(ward: Ward):
    assert ward.book.receipt("healthy")["status"] == "passed"
    assert ward.book.executed("healthy").exists()


def test_a_broken_cell_is_named_with_its_first_line_and_its_error(ward: Ward):
    assert ward.reason("broken") == (
        "cell 3 (code cell 2) `y = 2`: ZeroDivisionError: division by zero"
    )
    assert "ZeroDivisionError: division by zero" in ward.failure("broken")["tail"]
    assert "notebooks/broken.ipynb: cell 3" in ward.done.text


def test_a_failed_run_leaves_its_notebook_for_the_maintainer(ward: Ward):
    assert "ZeroDivisionError" in ward.book.failed("broken").read_text("utf-8")
    assert "going in" in ward.book.failed("hanging").read_text("utf-8")
    assert "last words" in ward.book.failed("killed").read_text("utf-8")
    assert ward.book.failed("overdue").exists()


def test_an_outcome_out_of_range_fails_with_value_rule_and_meaning(ward: Ward):
    assert ward.reason("out-of-range") == (
        "outcome score = 0.4, expected at least 0.95 (it must have learned)"
    )


def test_an_expected_outcome_that_is_not_recorded_fails(ward: Ward):
    assert "outcome 'score' was not recorded" in ward.reason("unrecorded")
    outcome = ward.book.receipt("unrecorded")["outcomes"][0]
    assert outcome["value"] is None
    assert outcome["ok"] is False


def test_an_outcome_recorded_twice_fails(ward: Ward):
    assert ward.reason("twice") == "cell 4: outcome 'score' is recorded twice"


def test_an_outcome_that_is_not_a_number_fails(ward: Ward):
    assert "record a finite number" in ward.reason("not-a-number")


def test_a_hanging_cell_runs_into_the_cell_limit(ward: Ward):
    assert ward.reason("hanging", "timeout") == (
        "cell 2 (code cell 2) `print('going in')`: "
        "the cell ran into its time limit of 3 s"
    )
    assert ward.failure("hanging")["tail"] == ["going in"]


def test_a_slow_notebook_runs_into_the_notebook_limit(ward: Ward):
    assert ward.reason("overdue", "timeout") == (
        "cell 3 (code cell 2) `import time; time.sleep(60)`: "
        "the notebook ran into its time limit of 20 s"
    )
    assert 20 <= ward.book.receipt("overdue")["seconds"] < 60


def test_what_an_ended_notebook_had_started_is_ended_too(ward: Ward):
    assert ward.reason("overdue", "timeout")
    asleep = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]
    assert not [p for p in asleep if p.info["cmdline"] == ASLEEP]


def test_a_killed_kernel_says_how_it_died(ward: Ward):
    reason = ward.reason("killed", "crashed")
    assert "cell 2 (code cell 1) `import os, signal, time`: the kernel died" in reason
    assert "killed by SIGKILL (out of memory?); its peak memory was 0." in reason
    assert ward.failure("killed")["kind"] == "kernel-died"
    assert "last words" in ward.failure("killed")["tail"]


def test_a_killed_worker_is_no_pass_either(ward: Ward):
    assert ward.reason("parricide", "crashed") == (
        "cell 1 (code cell 1) `import os`: "
        "the process that runs the kernel ended, killed by SIGKILL (out of memory?)"
    )


def test_leaving_early_with_code_0_is_no_pass(ward: Ward):
    assert ward.reason("leaves-early").startswith("cell 1 (code cell 1) `import sys`")


def test_a_cell_that_announces_an_error_must_raise(ward: Ward):
    assert "tagged raises-exception and raised nothing" in ward.reason("too-quiet")


def test_no_tag_skips_a_cell(ward: Ward):
    assert "ZeroDivisionError" in ward.reason("skips")


def test_memory_above_the_limit_ends_the_run_and_names_the_cell(ward: Ward):
    reason = ward.reason("greedy", "crashed")
    assert re.search(r"^cell [23] \(code cell [12]\) `", reason)
    assert re.search(r"memory went to 0\.[2-5]\d GiB, above the limit of 0.25", reason)
    assert ward.failure("greedy")["kind"] == "out-of-memory"
    assert ward.book.receipt("greedy")["seconds"] < 60


def test_memory_above_the_limit_fails_even_for_a_moment(ward: Ward):
    receipt = ward.book.receipt("brief")
    assert receipt["status"] in ("failed", "crashed")  # by when it was noticed
    assert "above the limit of 0.25 GiB" in receipt["reason"]
    assert receipt["peak_rss_gib"] > 0.25


def test_exhausted_memory_is_called_so_with_the_cell(ward: Ward):
    assert ward.reason("exhausted") == (
        "cell 2 (code cell 2) `everything = bytearray(2**60)`: "
        "memory is exhausted: MemoryError"
    )


def test_a_missing_import_says_where_it_must_be_declared(ward: Ward):
    assert ward.reason("lacks-module") == (
        "cell 1 (code cell 1) `import no_such_module`: "
        "ModuleNotFoundError: No module named 'no_such_module'; is it in the notebooks "
        "group of pyproject.toml, and locked by python3 noxfile.py -s lock?"
    )


def test_a_warning_on_stderr_that_nobody_allowed_fails(ward: Ward):
    reason = ward.reason("warns")
    assert reason.startswith(
        "cell 3 wrote to stderr what nobody allowed: 'cell:2: User"
    )
    assert "rounding errors" in reason
    assert "allow it with a reason under allow_stderr in the catalog" in reason
    assert ward.failure("warns")["kind"] == "stderr"


def test_an_allowed_warning_passes_and_stands_in_the_receipt(ward: Ward):
    receipt = ward.book.receipt("may-warn")
    assert receipt["status"] == "passed"
    [said] = receipt["stderr"]
    assert said["allowed"] == "merging rounds, see the text above"
    assert said["cell"] == 2


def test_one_allowed_warning_does_not_cover_another(ward: Ward):
    reason = ward.reason("may-warn-of-other-things")
    assert "alas" in reason
    assert "rounding" not in reason


def test_the_log_shows_the_source_of_the_failing_cell(ward: Ward):
    assert "    > y = 2\n    > f(0)\n    | ---" in ward.done.text
    assert ward.failure("broken")["code"] == ["y = 2", "f(0)"]


def test_a_listed_package_that_is_missing_fails_before_the_run(ward: Ward):
    assert ward.reason("unlisted-module") == (
        "not installed, though the catalog lists it: no-such-package"
    )


def test_an_injected_parameter_that_is_not_published_fails(ward: Ward):
    assert ward.reason("injects") == "no cell tagged 'parameters' assigns: step"


def test_a_long_run_gives_signs_of_life_with_its_cell(ward: Ward):
    assert "overdue [cpu] started, limit 20 s" in ward.done.text
    sign = r"overdue \[cpu\] still running: \d+ s, cell 3 of 3"
    assert re.search(sign, ward.done.text)


MENDED: dict[str, tuple[str, ...]] = {
    "overdue": ("x = 1",),
    "hanging": ("x = 1", "print('going in')"),
    "broken": ("def f(x):\n    return 1 / x", "f(1)"),
    "killed": ("print('last words')",),
    "out-of-range": (RECORD, "record('score', 0.96)"),
    "unrecorded": (RECORD, "record('score', 1)"),
    "twice": (RECORD, "record('score', 0.4)"),
    "not-a-number": (RECORD, "record('score', 0.5)"),
    "leaves-early": ("x = 1",),
    "greedy": ("wall = b'x'",),
    "brief": ("wall = b'x'",),
    "exhausted": ("everything = bytearray(2**10)",),
    "lacks-module": ("import nbformat",),
    "warns": ("x = 1",),
    "may-warn-of-other-things": (WARN,),
    "parricide": ("x = 1",),
}


@pytest.fixture(scope="module")
def mended(ward: Ward, make_handbook: Callable[[], Handbook]) -> Done:
    """Mend every sick notebook where its fault is, and run them once more."""
    book = make_handbook()
    shutil.copytree(ward.book.root, book.root, dirs_exist_ok=True)
    for name, cells in MENDED.items():
        book.notebook(name, *cells)
    book.notebook("too-quiet", ("raises-exception", "1 / 0"))
    book.notebook("skips", ("skip-execution", "1 / 1"))
    data = yaml.safe_load((book.root / "notebooks/catalog.yml").read_text("utf-8"))
    data["notebooks"]["unlisted-module"]["packages"] = ["nbformat"]
    data["notebooks"]["injects"]["profiles"]["cpu"]["parameters"] = {"steps": 3}
    book.write("notebooks/catalog.yml", yaml.safe_dump(data))
    return book.verify("run", "--jobs", "2")


def test_every_canary_is_green_when_mended(mended: Done):
    assert mended.code == 0, mended.text
    assert "22 of 22 passed" in mended.text
