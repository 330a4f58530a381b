"""The key follows every import, and nothing that cannot change a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verify import catalog, digest, executed, imports

if TYPE_CHECKING:
    from tests.verify.conftest import Handbook


FILES = {
    "snippets/a.py": "from .b import x\n",
    "snippets/b.py": "def late():\n    from snippets.pack import deep\n",
    "snippets/pack/__init__.py": "from . import side\n",
    "snippets/pack/side.py": "",
    "snippets/pack/deep.py": "from ..c import y\n",
    "snippets/c.py": '"""Not an import: snippets.free, see snippets/free.py."""\n',
    "snippets/free.py": "# nobody imports this\n",
    "snippets/program.py": "",
}
INIT = "snippets/__init__.py"
CHAIN = {
    INIT,
    "snippets/a.py",
    "snippets/b.py",
    "snippets/c.py",
    "snippets/pack/__init__.py",
    "snippets/pack/side.py",
    "snippets/pack/deep.py",
}
ALL = CHAIN | {"snippets/free.py", "snippets/program.py"}
BC = {INIT, *(CHAIN - {"snippets/a.py"})}
C = {INIT, "snippets/c.py"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "snippets" / "pack").mkdir(parents=True)
    (tmp_path / INIT).write_text("", "utf-8")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import snippets.a", CHAIN),
        ("from snippets import a as first", CHAIN),
        ("from snippets.a import x", CHAIN),
        ("def f():\n    import snippets.b", BC),
        ("if True:\n    from snippets.c import y", C),
        ("x = await g()\nfrom snippets.c import y", C),
        ("!python -m snippets.c", C),
        ("%run snippets/c.py\nx = 1", C),
        ("out = !torchrun snippets/c.py --steps 3", C),
        ("%%bash\npython -m snippets.c", C),
        ("%%time\nimport snippets.c", C),
        ("run(['python', '-m', 'snippets.c'])", C),
        ("import importlib\nimportlib.import_module('snippets.c')", C),
        ("import_module(f'snippets.pack.{name}')", ALL),
        ("load('snippets.pack.' + name)", CHAIN - {"snippets/a.py", "snippets/b.py"}),
        ("__import__(name)", ALL),
        ("this is no Python", ALL),
        ("import numpy\nprint('snippets')", set()),
        ("'snippets.c is prose when it stands alone'", set()),
        ("from snippets import *", ALL),
    ],
)
def test_a_cell_depends_on_what_it_can_reach(tree: Path, source: str, expected: set):
    assert set(imports.reach(tree, [source]).modules) == expected


def test_a_circle_of_imports_ends(tree: Path):
    (tree / "snippets" / "c.py").write_text("import snippets.a\n", "utf-8")
    assert set(imports.reach(tree, ["import snippets.c"]).modules) == CHAIN


def test_a_module_that_appears_later_changes_the_key(tree: Path):
    source = ["from snippets.new import x"]
    before = imports.reach(tree, source).modules
    (tree / "snippets" / "new.py").write_text("x = 1\n", "utf-8")
    assert imports.reach(tree, source).modules != before


def test_packages_are_found_wherever_the_code_reaches(tree: Path):
    (tree / "snippets" / "c.py").write_text("def late():\n    import yaml\n", "utf-8")
    cells = [
        "import os, torch.nn\nfrom PIL import Image",
        "from snippets.c import late",
    ]
    cells += ["import_module('unsloth.models')", "%pip list"]
    assert imports.reach(tree, cells).packages == {"torch", "PIL", "yaml", "unsloth"}


def test_a_chain_tells_how_a_module_is_reached(tree: Path):
    reach = imports.reach(tree, ["import snippets.a"])
    assert reach.chain("snippets/c.py") == [
        "the notebook",
        "snippets/a.py",
        "snippets/b.py",
        "snippets/pack/deep.py",
        "snippets/c.py",
    ]


@pytest.fixture
def entry(handbook: Handbook) -> catalog.Entry:
    handbook.write("snippets/fixtures/tiny/weights.bin", "1")
    handbook.notebook("one", "# Title", "x = 1", "y = 2")
    profiles = {"cpu": {}, "big": {"parameters": {"x": 2}}, "same": {}}
    tiny = ["snippets/fixtures/tiny"]
    handbook.catalog(one={"fixtures": tiny, "profiles": profiles})
    return catalog.load(handbook.root).entry("one")


def _key(entry: catalog.Entry, profile: str = "cpu") -> digest.Key:
    return digest.key(entry.path, entry, profile)


def test_prose_outputs_metadata_and_ids_do_not_change_the_key(entry: catalog.Entry):
    before = _key(entry)
    notebook = json.loads(entry.path.read_text("utf-8"))
    notebook["cells"][0]["source"] = ["# Other words"]
    notebook["cells"][1]["id"] = "another"
    notebook["cells"][1]["metadata"]["tags"] = ["hide-input"]
    notebook["cells"][2]["source"] = "y = 2"
    notebook["cells"][2]["outputs"] = [{"output_type": "stream", "text": "2"}]
    notebook["metadata"]["kernelspec"]["name"] = "other"
    entry.path.write_text(json.dumps(notebook), "utf-8")
    assert _key(entry) == before


def test_a_tag_that_changes_the_run_changes_the_key(entry: catalog.Entry):
    before = _key(entry)
    notebook = json.loads(entry.path.read_text("utf-8"))
    notebook["cells"][1]["metadata"]["tags"] = ["parameters"]
    entry.path.write_text(json.dumps(notebook), "utf-8")
    assert digest.changed(before.parts, _key(entry).parts) == [
        "the notebook's code cells"
    ]


def test_a_fixture_and_its_name_change_the_key(
    handbook: Handbook, entry: catalog.Entry
):
    before = _key(entry)
    handbook.write("snippets/fixtures/tiny/weights.bin", "2")
    changed = _key(entry)
    assert digest.changed(before.parts, changed.parts) == ["snippets/fixtures/tiny"]
    handbook.write("snippets/fixtures/tiny/weights.bin", "1")
    handbook.write("snippets/fixtures/tiny/__pycache__/x.pyc", "noise")
    assert _key(entry) == before


def test_only_locked_versions_under_the_notebook_change_the_key(
    handbook: Handbook, entry: catalog.Entry
):
    locks = "torch==2.0\nnumpy==1.0\nsympy==1.0\nflask==3.0\n"
    requires = "# who asks for what\ntorch: sympy\n"
    handbook.notebook("one", "import torch")
    handbook.write(".ci/locks/notebooks.txt", locks)
    handbook.write(".ci/locks/requires.yml", requires)
    before = _key(entry)
    assert before.parts["versions"] == {"sympy": "1.0", "torch": "2.0"}
    handbook.write(".ci/locks/notebooks.txt", locks.replace("flask==3.0", "flask==4"))
    assert _key(entry) == before
    handbook.write(".ci/locks/notebooks.txt", locks.replace("sympy==1.0", "sympy==2"))
    assert digest.changed(before.parts, _key(entry).parts) == [
        "the locked version of sympy (1.0 to 2)"
    ]


def test_profiles_never_share_a_key(entry: catalog.Entry):
    keys = {_key(entry, profile).digest for profile in entry.profiles}
    assert len(keys) == 3


def test_a_damaged_notebook_is_named(entry: catalog.Entry):
    entry.path.write_text("{", "utf-8")
    with pytest.raises(catalog.CatalogError, match="one.ipynb is not readable"):
        _key(entry)
    entry.path.write_text("{}", "utf-8")
    with pytest.raises(catalog.CatalogError, match="one.ipynb is not a notebook"):
        _key(entry)


def test_a_refreshed_copy_keeps_outputs_and_the_injected_cell_in_place():
    def code(source, **more):
        return {"cell_type": "code", "source": source, "metadata": {}, **more}

    def prose(source):
        return {"cell_type": "markdown", "source": source, "metadata": {}}

    ran = {"execution_count": 1, "outputs": ["out"]}
    clean = {"execution_count": None, "outputs": []}
    injected = code("x = 2", **ran) | {"metadata": {"tags": [executed.INJECTED]}}
    source = {
        "cells": [
            prose("# New"),
            code("x = 1", **clean),
            code(" "),
            code("x", **clean),
        ],
        "metadata": {"title": "new"},
    }
    before = {
        "cells": [code("x = 1", **ran), injected, prose("# Old"), code("x", **ran)],
        "metadata": {"title": "old", "language_info": {}},
    }
    after = executed.refresh(source, before)
    sources = [cell["source"] for cell in after["cells"]]
    assert sources == ["# New", "x = 1", "x = 2", " ", "x"]
    assert after["cells"][4]["outputs"] == ["out"]
    assert after["metadata"] == {"title": "new", "language_info": {}}
    assert source["cells"][3]["outputs"] == []
    source["cells"].append(code("y", **clean))
    with pytest.raises(ValueError, match="has other code cells than its source"):
        executed.refresh(source, before)
