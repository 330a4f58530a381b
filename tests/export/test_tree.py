"""A small book is exported whole, compiled and built, and what is broken goes red."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "verify" / "export" / "site"
INDEX = """---
html_theme.x: true
title: Home
---
# Home

See [a guide](how-to/guide.mdx#last), {ref}`its end <end>` and {doc}`/docs/how-to/old`.

:::{note}
Mind the gap.
:::
"""
GUIDE = """# Guide

```python title="Greet" file="<root>/snippets/greet.py#hello"
```

:::tip Good to know
It is short.
:::

## Last

Back [home](../index.md).
"""
OLD = "# Old\n\n(end)=\n## The end\n\n![A dot](dot.svg)\n"
TOC = """format: jb-book
root: docs/index
chapters:
  - file: docs/how-to/guide
  - file: docs/how-to/old
"""


@pytest.fixture
def book(tmp_path):
    root = tmp_path / "book"
    for name, text in {
        "book.yml": "title: Small\n",
        "docs/_toc.yml": TOC,
        "docs/index.md": INDEX,
        "docs/how-to/guide.mdx": GUIDE,
        "docs/how-to/old.md": OLD,
        "docs/how-to/dot.svg": "<svg/>",
        "notebooks/catalog.yml": "notebooks: {}\n",
        "snippets/greet.py": '"""Greets."""\n\n\ndef hello():\n    return "a < {b}"\n',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def export(root):
    python = os.environ.get("HANDBOOK_BOOK_PYTHON")
    if not python:
        pytest.skip("HANDBOOK_BOOK_PYTHON is not set: no Python with Sphinx")
    out = root.parent / "mdx"
    done = subprocess.run(
        [python, "-m", "verify.export", str(out), "--root", str(root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr, out


def test_a_book_is_exported_with_its_code_its_links_and_its_files(book):
    code, said, out = export(book)
    assert (code, said) == (0, f"mdx export: 3 pages in {out}\n")
    home = (out / "index.mdx").read_text()
    assert home.startswith("---\ntitle: Home\n---\n\n# Home")
    assert "[a guide](./how-to/guide.mdx#last)" in home
    assert "[its end](./how-to/old.mdx#end)" in home
    assert "[Old](./how-to/old.mdx)" in home
    guide = (out / "how-to/guide.mdx").read_text()
    assert '```python title="Greet"\ndef hello():\n    return "a < {b}"\n```' in guide
    assert "[`snippets/greet.py`](/downloads/snippets/greet.py), lines 4–5" in guide
    assert (out / "public/downloads/snippets/greet.py").is_file()
    assert "## The end \\{#end}" in (out / "how-to/old.mdx").read_text()
    assert (out / "public/files/docs/how-to/dot.svg").read_text() == "<svg/>"
    assert '"guide",\n "old"' in (out / "how-to/_meta.json").read_text()


@pytest.mark.parametrize(
    ("page", "text", "message"),
    [
        ("index.md", "\n[x](gone.md)\n", "docs/index.md:13: the link gone.md leads to"),
        (
            "index.md",
            "\n[x](how-to/old.md#no)\n",
            "docs/index.md:13: docs/how-to/old has",
        ),
        ("index.md", "\n{ref}`x <no>`\n", "docs/index.md:13: no heading has the label"),
        ("index.md", "\n{math}`x`\n", "docs/index.md:13: the role {math} cannot be"),
        (
            "index.md",
            "\n```{toctree}\n```\n",
            "docs/index.md:13: the directive {toctree}",
        ),
        (
            "how-to/guide.mdx",
            '\n```python file="<root>/snippets/greet.py#helo"\n```\n',
            "docs/how-to/guide.mdx:14: snippet snippets/greet.py#helo: no region or",
        ),
    ],
)
def test_what_cannot_be_exported_is_named_and_nothing_is_written(
    book, page, text, message
):
    path = book / "docs" / page
    path.write_text(path.read_text() + text, encoding="utf-8")
    code, said, out = export(book)
    assert code == 1
    assert message in said
    assert not out.exists()


@pytest.fixture
def modules():
    """Return a folder with the node modules, which `nox -s mdx` installs."""
    folder = Path(os.environ.get("HANDBOOK_MDX_NODE", ROOT / ".nox/env/mdx-node"))
    if shutil.which("node") is None or not (folder / "node_modules").is_dir():
        pytest.skip("node or its modules are missing: run python3 noxfile.py -s mdx")
    return folder


def node(modules, *command, **env):
    done = subprocess.run(
        ["node", *command],
        cwd=modules,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_exported_book_compiles_and_builds_as_a_site(book, modules):
    code, said, out = export(book)
    assert code == 0, said
    code, said = node(modules, "compile.mjs", str(out))
    assert (code, said) == (0, "mdx: 3 pages compile\n")
    env = {"HANDBOOK_MDX_PAGES": str(out), "HANDBOOK_MDX_SITE": str(book / "site")}
    code, said = node(
        modules, "node_modules/@rspress/core/bin/rspress.js", "build", **env
    )
    assert code == 0, said
    guide = (book / "site/how-to/guide.html").read_text()
    assert "Good to know" in guide and ":::" not in guide


def test_a_page_of_broken_mdx_goes_red_with_its_place(tmp_path, modules):
    (tmp_path / "good.mdx").write_text("# Good\n")
    (tmp_path / "bad.mdx").write_text("# Bad\n\na {b\n")
    code, said = node(modules, "compile.mjs", str(tmp_path))
    assert code == 1
    assert "bad.mdx:3:5: Unexpected end of file in expression" in said
    assert "mdx: 1 of 2 pages do not compile" in said


def test_an_empty_folder_is_no_success(tmp_path, modules):
    code, said = node(modules, "compile.mjs", str(tmp_path))
    assert code == 1
    assert "there is no .mdx page" in said


def test_the_site_project_pins_every_package_it_names():
    import json

    wanted = json.loads((SITE / "package.json").read_text())["dependencies"]
    locked = json.loads((SITE / "package-lock.json").read_text())["packages"]
    assert {f"node_modules/{name}" for name in wanted} <= set(locked)
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
