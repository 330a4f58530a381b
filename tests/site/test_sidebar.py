"""The sidebar that is made once a build is the theme's own, page by page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from verify.bench import tree

REPOSITORY = Path(__file__).resolve().parents[2]
COMPARE = '''"""Asks the theme for each page's sidebar, and keeps digests of both."""

import hashlib
import json
from pathlib import Path

ASKED = {
    "startdepth": 0, "kind": "sidebar", "maxdepth": 4, "collapse": False,
    "includehidden": True, "titles_only": True, "show_nav_level": 1,
}
VARIANTS = ({}, {"maxdepth": 2}, {"show_nav_level": 2}, {"show_nav_level": 0},
            {"collapse": True})
found = {}


def compare(app, pagename, templatename, context, doctree):
    rows = []
    for variant in VARIANTS:
        asked = ASKED | variant
        theirs = str(context["generate_toctree_html"](**asked))
        ours = context["sidebar_tree"](**asked)
        rows.append([hashlib.sha256(x.encode()).hexdigest() for x in (theirs, ours)])
    found[pagename] = {"digests": rows, "marks": ours.count("current active")}
    Path(app.srcdir, "compared.json").write_text(json.dumps(found))


def setup(app):
    app.connect("html-page-context", compare, priority=990)
    return {"version": "1"}
'''


def compared(book):
    """Build a book with both sidebars; return page -> what was written down."""
    book.write("compare.py", COMPARE)
    config = yaml.safe_load((book.root / "book.yml").read_text(encoding="utf-8"))
    config["sphinx"]["local_extensions"]["compare"] = "."
    book.write("book.yml", yaml.safe_dump(config))
    built = book.build()
    assert built.code == 0, built.log
    return json.loads((book.root / "compared.json").read_text(encoding="utf-8"))


def contents(book, listed):
    """Let a book build what a list of contents names, not its flat list of pages."""
    write = book.write

    def keep(path, text):
        return write(path, json.dumps(listed) if path == "docs/_toc.yml" else text)

    book.write = keep


@pytest.fixture(scope="module")
def nested(new_book):
    """Compare the sidebars of sixty pages on five levels."""
    book = new_book()
    book.write("notebooks/catalog.yml", "notebooks: {}\n")
    (book.root / "docs/index.md").unlink()
    source = book.root.parent / f"{book.root.name}-tree"
    made = tree.generate(source, pages=60, seed=2)
    assert max(page.level for page in made) == tree.DEEPEST
    shutil.copytree(source / "docs", book.root / "docs", dirs_exist_ok=True)
    chapters = tree.chapters(made, 0)
    contents(book, {"format": "jb-book", "root": "docs/index", "chapters": chapters})
    return compared(book)


def test_every_page_of_a_nested_book_has_the_sidebar_of_the_theme(nested):
    assert len(nested) >= 62  # search and 404 have one too
    for page, found in nested.items():
        for theirs, ours in found["digests"]:
            assert ours == theirs, page


def test_the_comparison_sees_open_branches_and_pages_below_the_tree(nested):
    digests = {found["digests"][0][0] for found in nested.values()}
    assert len(digests) >= 58  # only pages deeper than the tree share theirs
    assert {0, 1, 2, 3, 4} <= {found["marks"] for found in nested.values()}


def test_every_page_of_this_handbook_has_the_sidebar_of_the_theme(new_book):
    listed = yaml.safe_load((REPOSITORY / "docs/_toc.yml").read_text(encoding="utf-8"))
    book = new_book()
    book.write("notebooks/catalog.yml", "notebooks: {}\n")
    for name in names(listed):
        book.write(f"{name}.md", f"# {title(name)}\n\nText.\n")
    contents(book, listed)
    found = compared(book)
    assert set(names(listed)) < set(found)
    for page, one in found.items():
        for theirs, ours in one["digests"]:
            assert ours == theirs, page


def names(listed):
    """Return every page that a list of contents names."""
    found = [listed[key] for key in ("root", "file") if key in listed]
    for key in ("parts", "chapters", "sections"):
        found += [name for inner in listed.get(key, []) for name in names(inner)]
    return found


def title(name):
    """Return the title of a page of this repository, with code and marks in it."""
    files = (REPOSITORY / f"{name}.{suffix}" for suffix in ("md", "mdx", "ipynb"))
    path = next(filter(Path.exists, files))
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
    return next(line[2:] for line in text.splitlines() if line.startswith("# "))
