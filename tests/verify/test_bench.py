"""The bench judges without rounding in our favour, and its handbook is a real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from verify import catalog
from verify.bench import __main__ as bench
from verify.bench import cases, handbook, imports, results, tools, tree
from verify.bench.clock import BenchError, in_turns, timed
from verify.bench.tools import Shown
from verify.mdx import translate

NAMES = [f"nb-{number:02d}" for number in range(1, 11)]
ODD = NAMES[::2]
STALE = dict.fromkeys(NAMES, 1)
CANNED = Path(__file__).with_name("canned_bench.json")


@pytest.fixture
def data():
    """A made-up bench in which every requirement holds."""
    return json.loads(CANNED.read_text(encoding="utf-8"))


def judged(data):
    return {row.name: row for row in results.rows(data)}


def test_every_requirement_of_a_good_bench_holds(data):
    assert [name for name, row in judged(data).items() if not row.holds] == []


@pytest.mark.parametrize(
    ("name", "place", "value", "shown"),
    [
        ("unchanged-ratio", ("unchanged", "verify"), [0.0701] * 3, "9.9 × faster"),
        ("unchanged-seconds", ("unchanged", "verify"), [1.001] * 3, "—"),
        ("waiting-nbmake", ("waiting", "times", "verify"), [14.001] * 3, "1.01 of its"),
        ("waiting-ideal", ("waiting", "times", "verify"), [13.801] * 3, "1.16 of it"),
        ("busy-nbmake", ("busy", "times", "verify"), [17.01] * 3, "1.01 of its"),
        ("busy-ideal", ("busy", "times", "verify"), [22.1] * 3, "1.16 of it"),
        ("overhead", ("overhead", "verify"), [3.501] * 3, "0.51 s more"),
        ("large-build", ("large", "build", "seconds"), [20.0] * 3, "—"),
        ("large-blocks", ("large", "blocks", "seconds"), [20.0] * 3, "—"),
        ("large-parser", ("large", "parser", "seconds"), [1.0] * 3, "—"),
        ("sandbox-up", ("sandbox", "up"), [8.01] * 3, "—"),
        ("sandbox-down", ("sandbox", "down"), [2.01] * 3, "—"),
        ("sandbox-megabytes", ("sandbox", "megabytes"), [451] * 3, "—"),
        ("sandbox-request", ("sandbox", "request"), [1.001] * 3, "—"),
        ("changed-ran", ("answers", "tools", "verify", "ran"), NAMES, "—"),
        ("changed-ran", ("answers", "tools", "verify", "ran"), ODD[:4], "—"),
        ("changed-right", ("answers", "tools", "verify", "after"), STALE, "—"),
    ],
)
def test_a_requirement_that_is_just_missed_is_missed(data, name, place, value, shown):
    *folders, last = place
    inner = data
    for folder in folders:
        inner = inner[folder]
    inner[last] = value
    row = judged(data)[name]
    assert not row.holds
    assert row.ratio.startswith(shown)


def test_a_missed_requirement_is_red_and_names_itself(data):
    data["overhead"]["verify"] = [4.0] * 3
    lines = bench.table(results.rows(data), colored=True)
    (red,) = [line for line in lines if line.startswith(bench.RED)]
    assert "One notebook, alone" in red and "MISSED" in red
    plain = "\n".join(bench.table(results.rows(data), colored=False))
    assert plain.count("MISSED") == 1 and bench.RED not in plain


def test_the_faster_way_to_call_jupyter_cache_is_the_one_that_counts(data):
    assert judged(data)["unchanged-ratio"].beside == "jupyter-cache in Python"


def test_the_ideal_is_never_shorter_than_the_longest_notebook():
    cold = {"count": 2, "alone": {"a": [1.0], "b": [9.0]}}
    assert results.ideal(cold, 2) == 9.0
    assert results.ideal({"count": 8, "alone": {"a": [3.0]}}, 1.5) == 16.0


def test_noise_cannot_make_the_ideal_easier(data):
    data["scaling"]["two"] = [9.0] * 3
    assert results.speedup(data) == 1.0


def test_printed_numbers_are_rounded_against_us():
    assert (results.up(0.0701), results.down(9.987, 1)) == ("0.08", "9.9")
    assert (results.up(0.07), results.down(0.07)) == ("0.07", "0.07")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not readable"),
        ("[]", "is not a bench of schema 1"),
        ('{"schema": 2}', "is not a bench of schema 1"),
        ('{"schema": 1}', "lacks: started, commit"),
    ],
)
def test_a_file_that_is_no_bench_is_refused(tmp_path, text, message):
    (path := tmp_path / "bench.json").write_text(text)
    with pytest.raises(results.ResultsError, match=message):
        results.load(path)


def test_a_bench_that_is_kept_is_read_back(tmp_path, data):
    (path := tmp_path / "bench.json").write_text(json.dumps(data))
    assert results.rows(results.load(path)) == results.rows(data)


@pytest.mark.parametrize("words", [["--keep", "--quick"], ["--keep", "--runs", "2"]])
def test_a_bench_of_too_few_runs_is_not_kept(monkeypatch, capsys, words):
    for name in (bench.BOOK, bench.TOOLS):
        monkeypatch.setenv(name, "python")
    assert bench.main(words) == 1
    assert "--keep asks for 3 full runs or more" in capsys.readouterr().err


def test_a_part_of_a_bench_is_not_kept_but_is_judged(monkeypatch, capsys, data):
    for name in (bench.BOOK, bench.TOOLS):
        monkeypatch.setenv(name, "python")
    for word in ("--large", "--sandbox"):
        assert bench.main(["--keep", word]) == 1
        assert "--keep asks for a whole bench" in capsys.readouterr().err
    part = {"large": data["large"]}
    names = ["large-build", "large-blocks", "large-parser"]
    assert list(judged(part)) == names and bench.also(part) == []


def test_a_large_book_is_the_same_each_time_and_of_the_size_of_guides(tmp_path):
    (tmp_path / "again").mkdir()
    made, again = tree.generate(tmp_path / "a"), tree.generate(tmp_path / "again/a")
    texts = [
        [(root / page.file).read_text(encoding="utf-8") for page in pages]
        for root, pages in ((tmp_path / "a", made), (tmp_path / "again/a", again))
    ]
    assert texts[0] == texts[1]
    assert len(made) == 240 and {page.level for page in made} == {0, 1, 2, 3, 4, 5}
    assert round(sum(map(len, texts[0])) / 1e6, 1) == 1.5  # the page says so
    for page, text in zip(made, texts[0], strict=True):
        assert translate(text).errors == (), page.file
    assert len(tree.text(made, tmp_path / "a", 1_000_000)) >= 1_000_000


def test_the_handbook_is_one_that_verify_accepts(tmp_path):
    book = handbook.generate(tmp_path / "book", handbook.waiting())
    found = catalog.load(book.root)
    assert tuple(entry.name for entry in found) == book.names == tuple(NAMES)
    sources = [entry.path.read_text() for entry in found]
    imported = [[m for m in handbook.MODULES if f"import {m}" in s] for s in sources]
    assert imported == [["alpha"], ["beta"]] * 5
    assert len(set(sources)) == 10  # jupyter-cache takes equal code for one notebook
    status = ["git", "status", "--porcelain"]
    assert subprocess.check_output(status, cwd=book.root) == b""


def test_each_code_cell_of_the_handbook_runs(tmp_path, capsys):
    book = handbook.generate(tmp_path / "book", [*handbook.waiting([0]), "x = 1"])
    book.answers("alpha", 7)
    for name in book.names:
        cells = json.loads((book.root / f"notebooks/{name}.ipynb").read_text())["cells"]
        code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        program = "\n".join(code)
        done = timed(
            [sys.executable, "-c", program], tmp_path, PYTHONPATH=str(book.root)
        )
        print(done.text)
    shown = Shown.of(capsys.readouterr().out, book, "python")
    assert shown.answers == {"nb-01": 7, "nb-02": 1} == book.right(alpha=7, beta=1)
    assert shown.moments["nb-01"] < shown.moments["nb-02"]


def test_a_tool_that_shows_nothing_of_a_notebook_is_an_error(tmp_path):
    book = handbook.Handbook(tmp_path, ("nb-01", "nb-02"))
    with pytest.raises(BenchError, match="some tool shows no output of nb-02"):
        Shown.of("nb-01 answers 1\nnb-01 ran at 5", book, "some tool")


def test_what_ran_is_told_by_its_moment():
    before, after = Shown({}, {"a": 1, "b": 2}), Shown({}, {"a": 1, "b": 3})
    assert cases._ran(before, after) == ["b"]


def test_a_command_that_fails_has_no_time(tmp_path):
    with pytest.raises(BenchError, match="ended with 3:\nwhy"):
        timed([sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path)


@pytest.mark.parametrize("said", [tools.SILENT, "AssertionError"])
def test_only_a_run_of_nbmake_with_a_silent_kernel_is_made_again(tmp_path, said):
    (tmp_path / "pytest.py").write_text(f"""if True:  # in nbmake's place
        from pathlib import Path
        began = Path("began").exists()
        Path("began").touch()
        began or exit({said!r})
    """)
    book = handbook.Handbook(tmp_path, ("nb-01",))
    if said == tools.SILENT:
        assert 0 < tools.nbmake(book, book.names) < 60
    else:
        with pytest.raises(BenchError, match="ended with 1:\nAssertionError"):
            tools.nbmake(book, book.names)


def test_tools_take_turns():
    order = []
    jobs = {name: lambda name=name: order.append(name) or 1.0 for name in "ab"}
    assert in_turns(3, jobs, "turns") == {"a": [1.0] * 3, "b": [1.0] * 3}
    assert "".join(order) == "abbaab"


def test_the_imports_of_a_notebook_are_those_of_all_its_cells():
    cells = [
        {"cell_type": "markdown", "source": "import this"},
        {"cell_type": "code", "source": ["import os\n", "x = 1"]},
        {"cell_type": "code", "source": "from json import dumps\nimport os"},
    ]
    assert imports.statements({"cells": cells}) == "import os\nfrom json import dumps"


def test_the_share_of_imports_is_unknown_without_a_run(data):
    assert results.figures(data)["a-tutorial.share"] == "4.0 %"
    data["imports"]["a-tutorial"]["run"] = None
    assert "a-tutorial.share" not in results.figures(data)


def test_the_page_says_what_the_handbook_is():
    root = Path(__file__).resolve().parents[2]
    page = " ".join((root / "docs/reference/speed.md").read_text("utf-8").split())
    low, high = min(handbook.WAITS), max(handbook.WAITS)
    assert f"waits between {low:g} and {high:g} seconds" in page
    assert len(handbook.WAITS) == 10 and cases.COLD == 8
    assert ": Ten, made by" in page and "The first eight notebooks" in page
    assert f": {tree.PAGES} pages of MDX on five levels" in page and tree.DEEPEST == 5
