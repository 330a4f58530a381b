"""What a place without a network is given is whole, small and the same each time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from snippets import tiny
from verify import catalog, imports, versions
from verify.source import code_cells, read_notebook
from verify.standalone import build, bundle, wheels

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    model, modules = wheels.write(ROOT, tmp_path_factory.mktemp("wheels"))
    return {"model": model, "snippets": modules}


def about(wheel: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith("/METADATA")]
        found = message_from_bytes(archive.read(name))
    return {key: found.get_all(key) for key in found}


def installed(wheel: Path, target: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


def test_the_wheels_are_the_same_each_time(made, tmp_path):
    again = wheels.write(ROOT, tmp_path)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in made.values()]
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".whl"] == []


def test_the_model_is_found_where_its_wheel_is_installed(made, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(installed(made["model"], tmp_path / "site")))
    monkeypatch.setattr(tiny, "BASE", tmp_path / "nowhere")
    found = Path(tiny.resolve_model("tiny"))
    assert found == tmp_path / "site" / "fine_tuning_handbook_tiny_base"
    for path in (ROOT / wheels.BASE).iterdir():
        assert (found / path.name).read_bytes() == path.read_bytes()


def test_without_the_model_it_is_made_where_it_may_be(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tiny, "BASE", tmp_path / "nowhere")
    monkeypatch.setattr(tiny, "build_base", lambda out: quick_base(out))
    with pytest.raises(FileNotFoundError, match="install that wheel, or name a folder"):
        tiny.resolve_model("tiny")
    place = tmp_path / "outputs" / "tiny-base"
    assert tiny.resolve_model("tiny", place) == str(place)
    assert "making it from seed" in capsys.readouterr().out
    assert tiny.resolve_model("tiny", place) == str(place)
    assert capsys.readouterr().out == "", "it is made once"


def quick_base(out: Path) -> None:
    """Stands in for the build of the base, which takes minutes; it takes two steps."""
    build_base(out, steps=2)


build_base = tiny.build_base


def test_the_wheel_of_the_modules_imports_from_an_empty_folder(made, tmp_path):
    target = installed(made["snippets"], tmp_path / "site")
    code = "import snippets.schedule as s; print(s.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
    )
    assert Path(done.stdout.strip()).is_relative_to(target), done.stderr


def test_the_wheel_requires_nothing_that_the_notebooks_do_not_use(made):
    needs = {Requirement(r).name for r in about(made["snippets"])["Requires-Dist"]}
    used: set[str] = set()
    for entry in catalog.load(ROOT):
        sources = [source for source, _ in code_cells(read_notebook(entry.path))]
        used |= imports.reach(ROOT, sources).packages
    assert needs <= {versions.distribution(name) for name in used}
    assert {"torch", "transformers", "peft"} <= needs
    assert "Requires-Dist" not in about(made["model"])


def test_both_wheels_bring_the_licence_and_the_version(made):
    for wheel in made.values():
        said = about(wheel)
        assert said["Version"] == [build.version(ROOT)]
        assert said["License-Expression"] == ["Apache-2.0"]
        with zipfile.ZipFile(wheel) as archive:
            [name] = [n for n in archive.namelist() if n.endswith("licenses/LICENSE")]
            assert archive.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_of_the_modules_declares_the_plugins_of_the_project(made, tmp_path):
    target = installed(made["snippets"], tmp_path / "site")
    [found] = metadata.distributions(name=wheels.SNIPPETS, path=[str(target)])
    said = {(p.group, p.name): p.value for p in found.entry_points}
    declared = build.project(ROOT)["project"].get("entry-points", {})
    assert said == {
        (group, name): place
        for group, names in declared.items()
        for name, place in names.items()
    }
    points = wheels.entry_points({"b": {"y": "m:Y", "x": "m:X"}, "a": {"z": "m"}})
    assert points == "[a]\nz = m\n[b]\nx = m:X\ny = m:Y\n"
    assert wheels.entry_points({}) == ""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a small built site: what the bundle packs, it packs whole."""
    root = tmp_path_factory.mktemp("book")
    site = root / "_build" / "html"
    (site / "downloads" / "wheels").mkdir(parents=True)
    (site / "index.html").write_text("<h1>The handbook</h1>")
    (root / wheels.BASE).mkdir(parents=True)
    (root / wheels.BASE / "config.json").write_text("{}")
    (root / "LICENSE").write_text("free")
    (root / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    return root


def test_the_bundle_holds_the_site_the_model_and_how_to_use_them(book, tmp_path):
    path = bundle.pack(book, tmp_path)
    assert path.name == "handbook-1.2.3.zip"
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        readme = archive.read("handbook-1.2.3/README.md").decode()
    top = "handbook-1.2.3"
    assert names == {
        f"{top}/{name}"
        for name in (
            "README.md",
            "LICENSE",
            "site/index.html",
            "tiny-base/config.json",
        )
    }
    assert "The Fine-Tuning Handbook 1.2.3" in readme and "@" not in readme
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_the_same_site_makes_the_same_bundle(book, tmp_path):
    digests = {
        hashlib.sha256(bundle.pack(book, tmp_path / n).read_bytes()).digest()
        for n in "ab"
    }
    assert len(digests) == 1


def test_a_bundle_that_is_too_large_is_refused(book, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "LARGEST", 100)
    with pytest.raises(bundle.BundleError, match=r"1\.2\.3\.zip has [\d,]+ bytes"):
        bundle.pack(book, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_site_there_is_no_bundle(tmp_path):
    with pytest.raises(bundle.BundleError, match="run python3 noxfile.py -s book"):
        bundle.files(tmp_path)


def test_the_readme_of_the_bundle_names_what_is_in_it():
    text = bundle.README.read_text(encoding="utf-8")
    for name in ("notebooks.txt", "notebooks-hashed.txt", "torch.txt"):
        assert f"site/downloads/requirements/{name}" in text
