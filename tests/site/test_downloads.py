"""A page offers the copy that runs alone, and everything that its first cell names."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from verify.standalone import build, wheels

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(new_book):
    book = new_book()
    for name in ("pyproject.toml", "LICENSE", wheels.BASE, ".ci/locks"):
        source, target = REPOSITORY / name, book.root / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    book.notebook(
        "tiny",
        book.code("size = 2", "parameters"),
        book.code("from snippets.greet import hello\n\nhello('you')"),
        profiles={"cpu": {}, "standalone": {"alone": True}},
        packages=["torch"],
        fixtures=[wheels.BASE.as_posix()],
    )
    book.ran("tiny")
    return book.build()


def test_the_copy_that_runs_alone_is_among_the_downloads(site):
    assert site.code == 0, site.log
    copy = site.site / "downloads" / "standalone" / "tiny.ipynb"
    cells = json.loads(copy.read_text(encoding="utf-8"))["cells"]
    ids = [cell["id"] for cell in cells]
    assert "module-snippets-greet" in ids and "standalone-packages" in ids


def test_the_wheels_and_the_lists_stand_beside_it(site):
    downloads = site.site / "downloads"
    version = build.version(REPOSITORY)
    names = {path.name for path in (downloads / "wheels").iterdir()}
    assert names == {
        f"fine_tuning_handbook_{name}-{version}-py3-none-any.whl"
        for name in ("snippets", "tiny_base")
    }
    assert {path.name for path in (downloads / "requirements").iterdir()} == {
        "torch.txt",
        "notebooks.txt",
        "notebooks-hashed.txt",
        "cuda.txt",
    }
    [model] = (downloads / "wheels").glob("*tiny_base*")
    with zipfile.ZipFile(model) as archive:
        held = archive.read("fine_tuning_handbook_tiny_base/model.safetensors")
    assert held == (REPOSITORY / wheels.BASE / "model.safetensors").read_bytes()


def test_the_page_links_the_copy_and_the_wheel(site):
    page = (site.site / "notebooks" / "tiny.html").read_text(encoding="utf-8")
    assert 'href="../downloads/standalone/tiny.ipynb"' in page
    assert "fine_tuning_handbook_tiny_base" in page


def test_a_book_without_such_a_notebook_has_no_wheels(good_site):
    assert good_site.code == 0, good_site.log
    assert not (good_site.site / "downloads" / "wheels").exists()
    assert not (good_site.site / "downloads" / "standalone").exists()
