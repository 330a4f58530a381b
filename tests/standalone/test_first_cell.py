"""The first cell installs what is missing and nothing else, and says what it saw."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
from wheel.wheelfile import WheelFile

from verify import catalog
from verify.source import read_notebook
from verify.standalone import build

ROOT = Path(__file__).resolve().parents[2]
PROBE = "handbook-probe"
MODEL = "handbook-model"
CELL = (Path(build.__file__).with_name("first_cell.ipy")).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Bench:
    """A virtual environment with IPython, pip, and a folder of wheels."""

    place: Path

    @property
    def python(self) -> str:
        return str(self.place / "venv" / "bin" / "python")

    def wheel(self, name: str, version: str, folder: str = "wheels") -> Path:
        stem = f"{name.replace('-', '_')}-{version}"
        path = self.place / folder / f"{stem}-py3-none-any.whl"
        path.parent.mkdir(exist_ok=True)
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with WheelFile(path, "w") as wheel:
            wheel.writestr(f"{name.replace('-', '_')}.py", f"VERSION = {version!r}\n")
            wheel.writestr(f"{stem}.dist-info/METADATA", about)
            wheel.writestr(f"{stem}.dist-info/WHEEL", kind)
        return path

    def has(self, name: str) -> str | None:
        code = f"from importlib.metadata import version; print(version({name!r}))"
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True)
        return done.stdout.strip() or None

    def put(self, name: str, version: str) -> None:
        pip = [self.python, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        subprocess.run([*pip, str(self.wheel(name, version, "put"))], check=True)

    def drop(self, name: str) -> None:
        pip = [self.python, "-m", "pip", "uninstall", "-q", "-y", name]
        subprocess.run(pip, check=True, capture_output=True)

    def run(self, cell: str, wheels: str | None = None) -> str:
        """Run a cell in IPython, in an empty folder; return all that it printed."""
        work = self.place / "empty folder"
        work.mkdir(exist_ok=True)
        (self.place / "cell.ipy").write_text(cell, encoding="utf-8")
        env = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        env |= {"IPYTHONDIR": str(self.place / "ipython"), "PYTHONPATH": ""}
        env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1"}
        folder = str(self.place / "wheels") if wheels is None else wheels
        env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": folder}
        command = [self.python, "-m", "IPython", "--colors=NoColor"]
        done = subprocess.run(
            [*command, str(self.place / "cell.ipy")],
            capture_output=True,
            text=True,
            cwd=work,
            env=env,
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    place = tmp_path_factory.mktemp("first cell")
    venv.create(place / "venv", with_pip=True)
    [packages] = (place / "venv").glob("lib/python*/site-packages")
    borrowed = "\n".join(p for p in sys.path if p.endswith("site-packages"))
    (packages / "borrowed.pth").write_text(borrowed)
    found = Bench(place)
    found.drop("setuptools")  # that of venv hides the one that is borrowed
    return found


@pytest.fixture
def bench(made: Bench) -> Bench:
    """A bench whose wheels are there and whose probe is not."""
    for name in (PROBE, MODEL):
        if made.has(name):
            made.drop(name)
    for folder in ("wheels", "empty folder"):
        for path in (made.place / folder).glob("*"):
            path.unlink()
    made.wheel(PROBE, "2.0")
    return made


def cell(**changes: str) -> str:
    """Return the cell with a probe as the only package, and other settings."""
    known = {"TORCH": "2.13.0", "PROVEN": f"{PROBE}==2.0", "OLDEST": "", "SITE": ""}
    text = CELL
    for key, value in ({**known, "MODEL": f"{MODEL}==1.0"} | changes).items():
        text = text.replace(f"@{key}@", value)
        if key == "install":
            text = text.replace('install = "missing"', f"install = {value!r}")
    assert "@" not in text
    return text


def test_what_is_missing_is_installed_from_the_folder(bench):
    said = bench.run(cell())
    assert bench.has(PROBE) == "2.0"
    assert "installing 1 packages" in said
    assert "1 in the version that was proven" in said


def test_running_it_again_installs_nothing(bench):
    bench.run(cell())
    said = bench.run(cell(), wheels="/nowhere")
    assert "installing" not in said
    assert "1 in the version that was proven" in said


def test_what_cannot_be_had_stops_with_the_line_to_run(bench):
    said = bench.run(cell(PROVEN=f"{PROBE}==9.9"))
    assert "RuntimeError: missing or too old. Run this, then this cell again:" in said
    assert "%pip install --no-deps --no-index --find-links" in said
    assert f"{PROBE}==9.9" in said


def test_nothing_installs_nothing_and_says_what_would_be(bench):
    said = bench.run(cell(install="nothing"))
    assert bench.has(PROBE) is None
    assert f"{PROBE}==2.0" in said and "RuntimeError" in said


def test_a_version_that_is_known_to_fail_is_replaced(bench):
    bench.put(PROBE, "1.0")
    bench.run(cell(OLDEST=f"{PROBE}==1.5"))
    assert bench.has(PROBE) == "2.0"


def test_another_version_stays_and_is_named(bench):
    bench.put(PROBE, "1.7")
    said = bench.run(cell(OLDEST=f"{PROBE}==1.5"))
    assert bench.has(PROBE) == "1.7"
    assert f"  {PROBE} 1.7" in said
    assert "0 in the version that was proven" in said


def test_all_moves_another_version(bench):
    bench.put(PROBE, "1.7")
    bench.run(cell(install="all"))
    assert bench.has(PROBE) == "2.0"


def test_torch_is_never_moved(bench):
    said = bench.run(cell(TORCH="99.0", install="all"))
    assert "is here and stays; 99.0 was proven" in said
    assert bench.has("torch") is not None and "99.0" not in bench.has("torch")


def test_without_torch_it_says_which_line_to_run(bench):
    text = cell().replace('installed("torch")', 'installed("no-such-torch")', 1)
    said = bench.run(text)
    assert "RuntimeError: torch is not installed. Run the line that fits" in said
    assert "%pip install torch==2.13.0 --index-url" in said
    assert bench.has(PROBE) is None, "nothing is installed before torch is there"


def test_the_tiny_model_is_taken_from_the_folder_of_wheels(bench):
    bench.wheel(MODEL, "1.0")
    assert "makes it from seed" not in bench.run(cell())
    assert bench.has(MODEL) == "1.0"


def test_the_tiny_model_is_taken_from_beside_the_notebook(bench):
    bench.put(PROBE, "2.0")
    bench.wheel(MODEL, "1.0", folder="empty folder")
    said = bench.run(cell(), wheels="")
    assert bench.has(MODEL) == "1.0", said


def test_without_the_tiny_model_it_says_what_will_happen(bench):
    said = bench.run(cell())
    assert f"{MODEL}==1.0 is not here: model_path = 'tiny' makes it from seed" in said


def test_a_folder_of_wheels_alone_does_not_forbid_the_index(bench):
    """A further place to look is no air gap: PIP_NO_INDEX says which it is."""
    text = cell(PROVEN=f"{PROBE}==9.9", install="nothing")
    assert "--no-index --find-links" in bench.run(text)
    cut = text.replace('os.environ.get("PIP_NO_INDEX")', "None")
    said = bench.run(cut)
    assert f"%pip install --no-deps  {PROBE}==9.9" in said


def test_the_folder_can_be_named_in_the_cell(bench):
    folder = str(bench.place / "wheels")
    said = bench.run(cell().replace('wheels = ""', f"wheels = {folder!r}"), wheels="")
    assert bench.has(PROBE) == "2.0", said


def test_a_pin_of_another_system_does_not_count(bench):
    other = f'{PROBE}==2.0, no-such-thing==1.0 ; sys_platform == "plan9"'
    assert "1 in the version that was proven" in bench.run(cell(PROVEN=other))


@pytest.mark.parametrize("entry", [*catalog.load(ROOT)], ids=lambda one: one.name)
def test_the_real_cell_finds_everything_in_the_environment_of_the_notebooks(
    bench, entry
):
    text = build.first_cell(entry, read_notebook(entry.path))
    said = bench.run(text.replace('install = "missing"', 'install = "nothing"'))
    pins = text.split('PROVEN = """')[1].split('"""')[0].count("==")
    assert "not the proven version" not in said
    assert f"packages:\n{said.split('packages:')[1].split()[0]} in the" in said
    assert int(said.split("packages:")[1].split()[0]) > pins * 0.8
