"""A download is run as a stranger would: what only works here goes red."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from verify import machine
from verify.standalone.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.verify.conftest import Done, Handbook

pytestmark = pytest.mark.skipif(
    machine.lacks("namespaces") is not None,
    reason=f"the network cannot be cut: {machine.lacks('namespaces')}",
)
TITLE = "# Title\n\n**You need** nothing."
PARAMETERS = ("parameters", "size = 2")
USES = "from snippets import shapes\nfrom snippets.proof import record\n"
CELLS = (TITLE, PARAMETERS, USES + "record('area', shapes.area(size))")
SHAPES = '''"""Areas."""


def area(side):
    """Return the area of a square."""
    return side * side
'''
PYPROJECT = """
[project]
version = "1.2.3"
[tool.handbook.oldest]
"""
ALONE = {"profiles": {"standalone": {"alone": True}}, "packages": ["torch"]}
SMALLER = {"alone": True, "again": {"size": 1}}
# Its second run passes only where it finds what the first one wrote.
AGAIN = """
from pathlib import Path
if size == 2:
    Path("outputs").mkdir()
    Path("outputs", "first").touch()
print(size, Path("outputs", "first").exists() or 1 / 0)
"""


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A virtual environment that borrows kernel and torch; a folder of no wheels."""
    place = tmp_path_factory.mktemp("workbench")
    home, wheels = place / "venv", place / "wheels"
    wheels.mkdir()
    venv.create(home, with_pip=False)
    [packages] = home.glob("lib/python*/site-packages")
    borrowed = "\n".join(p for p in sys.path if p.endswith("site-packages"))
    (packages / "borrowed.pth").write_text(borrowed)
    before = dict(os.environ)
    os.environ["HANDBOOK_WORKBENCH_PYTHON"] = str(home / "bin" / "python")
    os.environ["HANDBOOK_WHEELS"] = str(wheels)
    yield home
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def small(make_handbook: Callable[[], Handbook], workbench: Path) -> Handbook:
    """Notebooks that each do one thing; all of them are run by one command."""
    book = make_handbook()
    book.write("snippets/shapes.py", SHAPES)
    book.write("pyproject.toml", PYPROJECT)
    version = metadata.version("torch").split("+")[0]
    book.write(".ci/locks/torch.txt", f"torch=={version}\n")
    sick = {
        "good": "print('done')",
        "leaves": "open('notes.txt', 'w').close()",
        "calls": "import socket\nsocket.create_connection(('127.0.0.1', 9), timeout=5)",
        "borrows": "import tests.verify.conftest",
        "writes": "from pathlib import Path\nPath('outputs').mkdir(exist_ok=True)",
        "second": "from pathlib import Path\nPath('outputs').mkdir()",
    }
    for name, last in sick.items():
        book.notebook(name, *CELLS, last)
    expect = {"expect": {"area": {"equals": 4}}}
    entries = {name: {**ALONE, **expect} for name in sick}
    book.notebook("again", *CELLS, AGAIN)
    entries["again"] = {**ALONE, **expect, "profiles": {"standalone": SMALLER}}
    book.catalog(**entries)
    return book


@pytest.fixture(scope="module")
def done(small: Handbook) -> Done:
    # Two at once, so that most of them begin after another has ended.
    return small.verify("run", "--profile", "standalone", "--jobs", "2")


def receipt(small: Handbook, name: str) -> dict[str, Any]:
    return small.receipt(name, "standalone")


def test_a_good_copy_passes_twice_in_an_empty_folder(small, done):
    found = receipt(small, "good")
    assert found["status"] == "passed", found["reason"]
    assert found["alone"]["runs"] == 2 == len(found["alone"]["seconds"])
    assert found["alone"]["left"] == found["alone"]["left_in_tmp"] == []
    assert found["alone"]["network"] == "none"
    assert [o["value"] for o in found["outcomes"]] == [4]


def test_what_a_notebook_is_asked_to_write_may_stay(small, done):
    found = receipt(small, "writes")
    assert found["status"] == "passed", found["reason"]
    assert found["alone"]["left"] == ["outputs"]


def test_a_file_that_nobody_asked_for_is_red(small, done):
    found = receipt(small, "leaves")
    assert found["status"] == "failed" and found["failure"]["kind"] == "alone"
    assert found["reason"] == "it left behind what nobody asked for: notes.txt"


def test_the_second_run_may_do_less_and_the_first_is_judged(small, done):
    found = receipt(small, "again")
    assert found["status"] == "passed", found["reason"]
    assert found["alone"]["again"] == {"size": 1}
    assert [o["value"] for o in found["outcomes"]] == [4]
    copy = small.root / "_build" / "executed" / "standalone" / "again.ipynb"
    assert "2 True" in copy.read_text() and "1 True" not in copy.read_text()
    assert receipt(small, "good")["alone"]["again"] == {}


def test_what_the_second_run_does_is_part_of_the_key(small, done):
    text = (small.root / "notebooks" / "catalog.yml").read_text()
    smaller = text.replace("size: 1", "size: 0")
    assert smaller != text
    small.write("notebooks/catalog.yml", smaller)
    status = small.verify("status").text
    small.write("notebooks/catalog.yml", text)
    assert re.search(r"again +standalone +stale .*the code of the standalone", status)


def test_the_same_first_cell_installs_once_in_a_command(small, done):
    ended = {"good", "leaves", "writes", "again"}  # the others fail on their way
    by = {name: receipt(small, name)["alone"] for name in ended}
    assert all(one["network"] == "none" for one in by.values())
    origins = {one["installed_by"] for one in by.values()}
    assert None in origins and len(origins) > 1, origins
    assert origins <= {None, *ended}


def test_a_later_run_starts_from_what_an_earlier_one_installed(workbench, tmp_path):
    one, two, other = (tmp_path / f"{name}.standalone" for name in "abc")
    for job in (one, two, other):
        job.mkdir()
    with Sandbox.made(one, tmp_path, "install()") as box:
        script = box.venv / "bin" / "tool"
        script.write_text(f"#!{box.venv}/bin/python\nimport sys; print(sys.prefix)\n")
        script.chmod(0o755)
        (box.venv / "added.txt").write_text("1")
        box.keep()
    assert not (one / "sandbox").exists()
    with Sandbox.made(two, tmp_path, "install()") as box:
        assert (box.venv / "added.txt").exists() and box.installed_by == "a"
        told = subprocess.run([box.venv / "bin" / "tool"], capture_output=True)
        assert told.stdout.decode().strip() == str(box.venv)
    with Sandbox.made(other, tmp_path, "install(more)") as box:
        assert not (box.venv / "added.txt").exists() and box.installed_by is None


def test_the_network_is_cut_even_to_this_machine(small, done):
    reason = receipt(small, "calls")["reason"]
    assert re.search(r"OSError: \[Errno \d+\] Network is unreachable", reason)


def test_the_repository_is_not_on_the_path(small, done):
    assert "No module named 'tests" in receipt(small, "borrows")["reason"]


def test_a_copy_that_only_runs_once_is_red(small, done):
    assert "FileExistsError" in receipt(small, "second")["reason"]


def test_the_workbench_is_gone_afterwards(small, done):
    homes = [job / "sandbox" for job in (small.root / "_build" / "jobs").iterdir()]
    assert homes and not any(home.exists() for home in homes)
    boxes = [Sandbox(home, home, home) for home in homes]
    assert not any(box.temporary.exists() for box in boxes)
    assert not [home for home in homes if "workbenches-" in str(home)]


def test_workers_meet_at_a_socket_however_deep_the_checkout_is(workbench, tmp_path):
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    with Sandbox.made(deep, tmp_path, "install()") as box:
        code = "from multiprocessing import Manager; print(Manager().list([1]))"
        here = {**os.environ, **box.environment}
        told = subprocess.run(
            [str(box.venv / "bin" / "python"), "-c", code],
            capture_output=True,
            text=True,
            env=here,
        )
    assert told.stdout == "[1]\n", told.stderr


def test_an_unchanged_copy_is_not_run_again(small, done):
    again = small.verify("run", "good", "--profile", "standalone")
    assert again.code == 0 and "unchanged" in again.text


def test_a_changed_module_runs_it_again(small, done):
    before = receipt(small, "writes")
    small.write("snippets/shapes.py", SHAPES + "\n\nSIDES = 4\n")
    again = small.verify("run", "writes", "--profile", "standalone")
    small.write("snippets/shapes.py", SHAPES)
    assert again.code == 0 and "unchanged" not in again.text
    changed = receipt(small, "writes")["key_parts"]["snippets"]
    assert changed["snippets/shapes.py"] == sha256(SHAPES + "\n\nSIDES = 4\n")
    assert changed != before["key_parts"]["snippets"]


def test_without_a_workbench_the_reason_says_how_to_get_one(small, done, monkeypatch):
    monkeypatch.delenv("HANDBOOK_WHEELS")
    text = small.verify("run", "leaves", "--profile", "standalone", "--force").text
    assert "HANDBOOK_WHEELS names no place: run python3 noxfile.py -s stand" in text


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
