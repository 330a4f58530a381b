"""Every page is in the contents, and what the pages say about tests is true."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def listed() -> list[str]:
    """Return every page that docs/_toc.yml names, without its suffix."""
    contents = yaml.safe_load((ROOT / "docs/_toc.yml").read_text(encoding="utf-8"))
    chapters = [page for part in contents["parts"] for page in part["chapters"]]
    sections = [page for chapter in chapters for page in chapter.get("sections", [])]
    return [contents["root"], *(page["file"] for page in [*chapters, *sections])]


def test_every_page_is_in_the_contents_once():
    pages = [
        p for kind in ("md", "mdx", "ipynb") for p in ROOT.glob(f"docs/**/*.{kind}")
    ]
    pages += ROOT.glob("notebooks/*.ipynb")
    there = [str(page.relative_to(ROOT).with_suffix("")) for page in pages]
    assert sorted(listed()) == sorted(there)


def test_the_parts_are_those_of_diataxis():
    contents = yaml.safe_load((ROOT / "docs/_toc.yml").read_text(encoding="utf-8"))
    folders = {
        "Tutorials": "notebooks/",
        "How-to guides": "docs/how-to/",
        "Explanation": "docs/explanation/",
        "Reference": "docs/reference/",
    }
    assert [part["caption"] for part in contents["parts"]] == list(folders)
    for part in contents["parts"]:
        here = (folders[part["caption"]], "notebooks/")  # a run may be of any kind
        assert all(page["file"].startswith(here) for page in part["chapters"])


def test_every_canary_that_the_pages_name_exists():
    page = (ROOT / "docs/explanation/how-we-verify.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    tests = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/*/test_*.py"))
    there = set(re.findall(r"^def (test_\w+)", tests, flags=re.MULTILINE))
    assert len(named) >= 6
    assert named - there == set()


def test_every_command_of_the_install_page_names_what_exists():
    page = (ROOT / "docs/how-to/install.mdx").read_text(encoding="utf-8")
    for lock in re.findall(r"-[rc] (\S+\.txt)", page):
        assert (ROOT / lock).is_file(), lock
    front_door = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    for session in re.findall(r"noxfile\.py -s (\w+)", page):
        assert f"def {session}(" in front_door, session
