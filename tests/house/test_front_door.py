"""The front door must open on a machine that has nothing but Python."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOXFILE = ROOT / "noxfile.py"


@pytest.fixture
def checkout(tmp_path):
    """Return a folder with the front door and nothing else: no environment yet."""
    shutil.copy(NOXFILE, tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


def front_door(checkout: Path, *arguments: str, python=sys.executable, **env: str):
    return subprocess.run(
        [str(python), str(checkout / "noxfile.py"), *arguments],
        cwd=checkout.parent,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )


def sessions() -> list[ast.FunctionDef]:
    body = ast.parse(NOXFILE.read_text(encoding="utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return [f for f in functions if any(d.id == "job" for d in f.decorator_list)]


@pytest.mark.skipif(
    importlib.util.find_spec("nox") is not None,
    reason="this environment has nox, so the front door has nothing to install",
)
def test_the_front_door_installs_nox_where_there_is_none(checkout):
    done = front_door(checkout, "-l")
    assert done.returncode == 0, done.stderr
    assert "making .nox/front" in done.stdout
    for session in sessions():
        assert re.search(rf"^[*-] {session.name} -> \S", done.stdout, re.MULTILINE)
    again = front_door(checkout, "-l")
    assert again.returncode == 0 and "making" not in again.stdout


def test_every_session_says_what_it_is_for():
    found = {session.name: ast.get_docstring(session) for session in sessions()}
    assert {"test", "book", "bench", "lint", "lock", "serve"} <= set(found)
    assert [name for name, text in found.items() if not text] == []


def test_an_old_python_is_told_in_one_sentence(checkout):
    """The version is faked: no Python older than 3.11 is installed everywhere."""
    code = (
        "import sys, runpy; sys.version_info = (3, 8, 10, 'final', 0);"
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(checkout / "noxfile.py")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        "The handbook needs Python 3.11 or newer, this is 3.8"
    )
    assert "Traceback" not in done.stderr
    assert not (checkout / ".nox").exists()


def test_an_install_that_fails_is_reported_and_never_reused(checkout):
    lock = checkout / ".ci" / "locks" / "front.txt"
    lock.write_text("no-such-package-of-the-handbook==1.0\n")
    for _ in range(2):
        done = front_door(checkout, "-l", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        assert done.returncode == 1
        assert "making .nox/front" in done.stdout
        assert "no-such-package-of-the-handbook" in done.stderr
        assert "the environment is made anew" in done.stderr
    assert not (checkout / ".nox" / "front" / "made-from").exists()


def test_environments_are_made_anew_when_a_lock_changes(front, monkeypatch):
    monkeypatch.setattr(front, "make_venv", fake_venv)
    installed = []
    monkeypatch.setattr(front, "pip_install", lambda _, words: installed.append(words))
    first = front.environment("notebooks")
    assert front.environment("notebooks") == first
    assert installed == list(front.ENVIRONMENTS["notebooks"])

    lock = front.LOCKS / "notebooks.txt"
    lock.write_text(lock.read_text() + "# changed\n")
    front.environment("notebooks")
    assert len(installed) == 2 * len(front.ENVIRONMENTS["notebooks"])


def test_an_install_that_was_killed_is_done_again(front, monkeypatch):
    monkeypatch.setattr(front, "make_venv", fake_venv)

    def killed(python, words):
        raise KeyboardInterrupt

    monkeypatch.setattr(front, "pip_install", killed)
    with pytest.raises(KeyboardInterrupt):
        front.environment("book")
    done = []
    monkeypatch.setattr(front, "pip_install", lambda _, words: done.append(words))
    front.environment("book")
    assert done == list(front.ENVIRONMENTS["book"])


def fake_venv(home: Path) -> None:
    """Stand in for the seconds that a real venv takes."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").touch()


@pytest.fixture
def front(checkout, monkeypatch):
    """Import the front door of a fresh checkout, with a stand-in for nox."""
    import types

    nox = types.ModuleType("nox")
    nox.main, nox.options = lambda: None, types.SimpleNamespace()
    nox.session = lambda **_: lambda function: function
    nox.Session = object
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("front", checkout / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ci_runs_style_then_tests_then_the_book():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert text.splitlines()[-4:] == [
        "install_browser",
        "python3 noxfile.py -s lint",
        "python3 noxfile.py -s test",
        "python3 noxfile.py -s book",
    ]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_session_that_a_workflow_names_exists():
    names = {session.name for session in sessions()}
    files = [
        *ROOT.glob(".github/workflows/*.yml"),
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / ".ci/run",
    ]
    for file in files:
        text = file.read_text(encoding="utf-8")
        used = set(re.findall(r"noxfile\.py -s (\w+)", text))
        assert used <= names, f"{file.name} names {used - names}"
