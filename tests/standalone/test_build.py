"""A download carries what it needs, and nothing else, in cells that one can read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from verify import catalog, imports
from verify.catalog import Entry
from verify.source import code_cells, read_notebook, source_of
from verify.standalone import build

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = [e for e in catalog.load(ROOT) if any(p.alone for p in e.profiles.values())]
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
CALL = re.compile(
    r"module\('(?P<name>[^']+)', '(?P<digest>\w{64})', r'''\n(?P<text>.*)'''\)"
)


def made(entry: Entry, **said: str) -> dict[str, Any]:
    return build.build(entry, build.Provenance(**said))


def cell(notebook: dict[str, Any], cell_id: str) -> str:
    [found] = [c for c in notebook["cells"] if c["id"] == cell_id]
    return source_of(found)


def carried(notebook: dict[str, Any]) -> dict[str, re.Match[str]]:
    found = [
        re.fullmatch(CALL.pattern, source_of(c), re.DOTALL)
        for c in notebook["cells"]
        if c["id"].startswith("module-")
    ]
    return {match["name"]: match for match in found if match}


def backends(names: set[str]) -> set[str]:
    trainers = {f"snippets/backends/{name}.py" for name in build.TRAINERS.values()}
    return {name for name in names if name in trainers}


@each
def test_it_carries_the_modules_that_it_reaches_and_no_other(entry):
    sources = [source for source, _ in code_cells(read_notebook(entry.path))]
    wanted = set(imports.reach(ROOT, sources).modules)
    found = carried(made(entry))
    # The registry reaches every backend; those that nothing calls stay away, with
    # what only they use.
    spare = backends(wanted) - backends(set(found))
    assert set(found) == set(imports.reach(ROOT, sources, spare).modules)
    for name, match in found.items():
        assert match["text"] == (ROOT / name).read_text(encoding="utf-8")
        assert match["digest"] == hashlib.sha256(match["text"].encode()).hexdigest()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from training_hub import sft", {"transformers_sft"}),
        (
            "from training_hub import osft, sft",
            {"transformers_sft", "mini_trainer_osft"},
        ),
        ("from snippets.backends import peft_lora", {"peft_lora"}),
        ("from snippets import recipes", {"peft_lora", "transformers_sft"}),
        ("", set()),
    ],
)
def test_only_the_backends_of_algorithms_that_are_called_are_carried(code, expected):
    source = f"from snippets import backends\n{code}"
    notebook = {"cells": [{"cell_type": "code", "source": source}]}
    found = build.modules(ROOT, notebook)
    assert "snippets/backends/__init__.py" in found
    assert backends(set(found)) == {f"snippets/backends/{n}.py" for n in expected}


@each
def test_it_is_the_source_with_cells_put_before_it(entry):
    source, copy = read_notebook(entry.path), made(entry)
    own = [
        c for c in copy["cells"] if not c["id"].startswith(("standalone", "module-"))
    ]
    assert [c["id"] for c in own] == [c["id"] for c in source["cells"]]
    assert [*map(source_of, own)] == [*map(source_of, source["cells"])]
    assert copy["metadata"]["kernelspec"] == source["metadata"]["kernelspec"]
    assert not any(c.get("outputs") for c in copy["cells"])


@each
def test_its_first_code_cell_names_the_locked_version_of_all_that_it_rests_on(entry):
    text = cell(made(entry), "standalone-packages")
    listed = text.split('PROVEN = """')[1].split('"""')[0].replace("\n", " ")
    pins = {str(Requirement(pin)) for pin in listed.split(",")}
    lock = (ROOT / ".ci/locks/notebooks.txt").read_text(encoding="utf-8")
    locked = {str(Requirement(x)) for x in lock.splitlines() if not x.startswith("#")}
    assert pins <= locked
    assert {"transformers", "peft", "mlflow", "ipykernel"} <= {
        Requirement(pin).name for pin in pins
    }
    assert not any(Requirement(pin).name == "torch" for pin in pins)
    torch = (ROOT / ".ci/locks/torch.txt").read_text(encoding="utf-8").split("==")[-1]
    assert f'TORCH = "{torch.strip()}"' in text
    assert max(map(len, text.splitlines())) <= 88
    assert "@" not in re.sub(r"\n%.*", "", text), "a place to fill in was left"


@each
def test_it_is_small_enough_to_send_around(entry):
    size = len(build.text(made(entry)).encode())
    assert size <= build.LARGEST


@each
def test_its_modules_are_folded_away_and_can_be_opened(entry):
    cells = [c for c in made(entry)["cells"] if c["id"].startswith("module-")]
    assert cells
    assert all(c["metadata"] == {"jupyter": {"source_hidden": True}} for c in cells)


@each
def test_its_header_says_where_it_comes_from(entry):
    notebook = made(entry, commit="1a2b3c4+", receipt="f" * 64, page="https://x.y/z")
    header = cell(notebook, "standalone")
    version = build.version(ROOT)
    for said in (f"{version}, commit 1a2b3c4+", f"`{'f' * 64}`", "https://x.y/z"):
        assert said in header
    none = cell(made(entry), "standalone")
    assert "commit unknown" in none and f"notebooks/{entry.name}.html" in none


@each
def test_where_it_comes_from_changes_no_code(entry):
    one = made(entry, commit="1a2b3c4", receipt="f" * 64)
    assert [s for s, _ in code_cells(one)] == build.code(entry)
    assert build.text(one) == build.text(
        made(entry, commit="1a2b3c4", receipt="f" * 64)
    )


@pytest.fixture
def small(tmp_path: Path) -> Entry:
    """A handbook of one notebook with one module, and its catalog entry."""
    files = {
        "snippets/__init__.py": "",
        "snippets/shapes.py": "from snippets import sides\n\nAREA = sides.SIDE**2\n",
        "snippets/sides.py": "SIDE = 2\n",
        "snippets/unused.py": "UNUSED = 1\n",
        "pyproject.toml": '[project]\nversion = "1"\n[tool.handbook.oldest]\n',
        ".ci/locks/torch.txt": "torch==2.13.0\n",
        ".ci/locks/notebooks.txt": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    entry = dataclasses.replace(
        ENTRIES[0], root=tmp_path, name="x", packages=("torch",)
    )
    title = {"cell_type": "markdown", "id": "title", "metadata": {}}
    uses = {"cell_type": "code", "id": "uses", "metadata": {}, "outputs": []}
    uses["source"] = "from snippets.shapes import AREA\nprint('area', AREA)"
    title["source"] = "# Shapes"
    notebook = {"cells": [title, {**uses, "execution_count": None}], "metadata": {}}
    entry.path.parent.mkdir()
    entry.path.write_text(json.dumps({**notebook, "nbformat": 4, "nbformat_minor": 5}))
    return entry


def run(notebook: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run all but the check of the packages in plain Python, in a folder of its own."""
    codes = [
        source_of(c)
        for c in notebook["cells"]
        if c["cell_type"] == "code" and c["id"] != "standalone-packages"
    ]
    head = "import importlib, sys\nfrom pathlib import Path\n"
    file = folder / "run.py"
    file.write_text(head + "\n".join(codes), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-I", str(file)], capture_output=True, text=True, cwd=folder
    )


def test_what_is_carried_can_be_imported_from_nowhere_else(small, tmp_path):
    done = run(made(small), tmp_path / "notebooks")
    assert (done.returncode, done.stdout.strip()) == (0, "area 4"), done.stderr


@pytest.mark.parametrize("module", ["shapes", "sides"])
def test_removing_one_needed_module_is_red(small, tmp_path, module):
    notebook = made(small)
    wanted = f"snippets/{module}.py"
    kept = [c for c in notebook["cells"] if wanted not in source_of(c)[:80]]
    assert len(kept) == len(notebook["cells"]) - 1
    done = run({**notebook, "cells": kept}, tmp_path / "notebooks")
    assert done.returncode == 1
    assert f"'{module}'" in done.stderr or f"snippets.{module}'" in done.stderr


def test_a_module_that_was_edited_is_named_with_both_digests(small, tmp_path):
    notebook = made(small)
    text = build.text(notebook).replace("SIDE = 2", "SIDE = 3")
    done = run(json.loads(text), tmp_path / "notebooks")
    assert done.returncode == 0
    said = r"snippets/sides.py was edited: SHA-256 (\w{12}), published (\w{12})\n"
    match = re.search(said, done.stdout)
    assert match and match[1] != match[2]
    assert "area 9" in done.stdout, "the edited module is the one that is used"


def test_a_module_edited_while_the_kernel_runs_is_imported_anew(small, tmp_path):
    notebook = made(small)
    [sides] = [c for c in notebook["cells"] if c["id"] == "module-snippets-sides"]
    edited = {**sides, "id": "edited"}
    edited["source"] = source_of(sides).replace("SIDE = 2", "SIDE = 5")
    [uses] = [c for c in notebook["cells"] if c["id"] == "uses"]
    cells = [*notebook["cells"], edited, {**uses, "id": "again"}]
    done = run({**notebook, "cells": cells}, tmp_path / "notebooks")
    assert done.stdout.splitlines()[0] == "area 4"
    assert done.stdout.splitlines()[-1] == "area 25"


def test_its_modules_go_when_the_kernel_ends(small, tmp_path):
    notebook = made(small)
    says = {**notebook["cells"][-1], "source": "print(MODULES)", "id": "where"}
    cells = [*notebook["cells"], says]
    done = run({**notebook, "cells": cells}, tmp_path / "notebooks")
    place = Path(done.stdout.splitlines()[-1])
    assert place.name.startswith("handbook-") and not place.exists()
    assert [p.name for p in (tmp_path / "notebooks").iterdir()] == ["x.ipynb", "run.py"]


def test_a_module_with_three_single_quotes_is_refused(small):
    path = small.root / "snippets/sides.py"
    path.write_text("SIDE = '''2'''\n")
    with pytest.raises(
        build.StandaloneError, match=r"snippets/sides.py: .*double quot"
    ):
        made(small)


def test_a_file_that_is_too_large_is_refused(small):
    path = small.root / "snippets/sides.py"
    path.write_text(path.read_text() + textwrap.indent("x" * 80 + "\n", "# ") * 4000)
    with pytest.raises(
        build.StandaloneError, match=r"has [\d,]+ bytes, more than 307,"
    ):
        made(small)


def test_an_address_in_book_yml_is_where_the_tiny_model_is_looked_for(small):
    (small.root / "book.yml").write_text(
        "html:\n  baseurl: https://docs.example.org/\n"
    )
    text = cell(made(small), "standalone-packages")
    assert 'SITE = "https://docs.example.org/downloads/wheels"' in text
