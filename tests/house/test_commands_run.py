"""A command that a page shows is run here, or a table says who runs it or why not.

It runs in a copy of the checkout whose environments are those of this one, by links.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from verify.blocks import commands, pages
from verify.blocks.commands import ROWS, Row
from verify.blocks.found import Block, Place

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("notebooks", "tools", "book", "trainer")
DIGESTS = "import noxfile, sys; print(*map(noxfile.digest, sys.argv[1:]))"
FREE = ("HANDBOOK_", "PYTHON", "VIRTUAL_ENV")
NEEDS = ("requires attr", "requires timm", "requirement datasets>=5")


def blocks() -> list[Block]:
    """Return the shell blocks of the book, the README and the contributor's page."""
    parts = [part for file in pages.book(ROOT) for part in pages.parts(file, ROOT)]
    found = [block for part in parts for block in pages.blocks(part)]
    return [block for block in found if block.language in commands.SHELLS]


def unaccounted(found: list[Block], rows=ROWS) -> list[str]:
    """Return the commands that no row is about, with their places."""
    return [
        f"{block.line(number)}: nobody runs `{command}`; give it a row in "
        "verify/blocks/commands.py"
        for block in found
        for number, command in commands.commands(block)
        if commands.row_of(command, rows) is None
    ]


def unneeded(found: list[Block], rows=ROWS) -> list[str]:
    """Return the rows whose command no page shows any more."""
    shown = {commands.words(c) for b in found for _, c in commands.commands(b)}
    return [row.command for row in rows if commands.words(row.command) not in shown]


def unfounded(rows=ROWS) -> list[str]:
    """Return the rows that name a test or a step which is not there."""
    lost = []
    for row in rows:
        file, _, said = row.by.partition("::")
        text = f"def {said}(" if said.startswith("test_") else said
        there = (ROOT / file).is_file() and text in (ROOT / file).read_text("utf-8")
        if row.by and not (said and there):
            lost.append(f"{row.command}: {row.by}")
    return lost


def test_every_command_of_every_page_is_accounted_for():
    found = blocks()
    assert unaccounted(found) == [] and unneeded(found) == [] and unfounded() == []
    assert commands.counted(found)["all"] >= 40


def test_a_command_that_nobody_runs_is_found_at_its_line():
    block = Block(Place("a.md", 3), 4, "bash", "ls  # all\n\nrm \\\n  -r x\n")
    rows = [Row("ls")]
    (said,) = unaccounted([block], rows)
    assert said.startswith("a.md:6: nobody runs `rm")
    console = replace(block, language="console", code="$ ls\nwhat it printed\n")
    assert unaccounted([console], rows) == []


def test_a_row_that_no_page_needs_or_that_names_no_test_is_found():
    block = Block(Place("a.md", 3), 4, "bash", "ls\n")
    assert unneeded([block], [Row("ls"), Row("pwd")]) == ["pwd"]
    test = "tests/house/test_commands_run.py::"
    rows = [Row("a", "x", test + "test_gone"), Row("b", "x", "gone::x"), Row("c", "x")]
    assert unfounded(rows) == [f"a: {test}test_gone", "b: gone::x"]
    assert unfounded([Row("a", "x", ".ci/run")]) == ["a: .ci/run"]


def units() -> list[tuple[str, ...]]:
    """Return what is run here, block by block: lines of one block share a shell."""
    found = []
    for block in blocks():
        rows = [commands.row_of(c) for _, c in commands.commands(block)]
        found.append(tuple(r.command for r in rows if r and r.kind == "run"))
    return sorted({unit for unit in found if unit})


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """Return a copy of the checkout, with links to the environments of this one."""
    pythons = {n: os.environ.get(f"HANDBOOK_{n.upper()}_PYTHON") for n in NAMES}
    if not all(pythons.values()):
        pytest.skip("HANDBOOK_*_PYTHON are not set: python3 noxfile.py -s test does it")
    homes = {name: Path(python).parents[1] for name, python in pythons.items()}
    homes["front"] = homes["notebooks"].parents[1] / "front"
    if not homes["front"].is_dir():
        pytest.skip("nox is not in .nox/front: its environment cannot be linked")
    home = tmp_path_factory.mktemp("copy") / "handbook"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, home / name)
    (home / "_build/mdx").mkdir(parents=True)  # one page stands in for `-s mdx`
    (home / "_build/mdx/a.mdx").write_text("# A\n\n```json\n{}\n```\n")
    link_environments(home, homes)
    return home


def link_environments(home: Path, homes: dict[str, Path]) -> None:
    """Link all of each environment but the note of what it was made from."""
    said = [str(homes["front"] / "bin/python"), "-c", DIGESTS, *homes]
    done = subprocess.run(said, cwd=home, capture_output=True, text=True, check=True)
    for (name, real), digest in zip(homes.items(), done.stdout.split(), strict=True):
        place = home / ".nox" / ("front" if name == "front" else f"env/{name}")
        place.mkdir(parents=True)
        for child in real.iterdir():
            if child.name != "made-from":
                (place / child.name).symlink_to(child)
        (place / "made-from").write_text(digest)
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(sys._base_executable)


def shell(copy: Path, lines: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run lines as a reader pastes them, where the page says to stand.

    pip is told to install nothing and to ask no index: what a line names must be in
    the environment that was made from the locks.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith(FREE)}
    path = [copy / "bin", copy / ".nox/env/notebooks/bin", env["PATH"]]
    env |= {"PATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"}
    env |= {"PIP_NO_INDEX": "1", "PIP_DRY_RUN": "1", "PIP_NO_INPUT": "1"}
    text = "\n".join(re.sub(r"\bNAME\b", commands.QLORA, line) for line in lines)
    ask = "\ncommand -v python" if "activate" in text else ""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text + ask],
        cwd=copy,
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=900,
    )


def claim(copy: Path, first: str, said: str) -> None:
    """Hold what a page says of the output against the output."""
    if first.endswith("status"):
        for name in ("qlora", "cpt"):
            assert f"{name}-comprehensive-tutorial" in said
    elif " why " in first:
        assert commands.QLORA in said
    elif first.endswith("words"):
        assert ": 0 problems" in said
    elif " blocks " in first:
        assert re.search(r"^json +\d+ +0 ", said, re.MULTILINE)
        assert re.search(r"on 2 pages.*, 0 problems", said)
    elif "venv" in first:
        assert said.splitlines()[-1] == str(copy / ".venv/bin/python")
    elif first.startswith("pip install"):
        assert "Requirement already satisfied: torch" in said or "--no-deps" in first
        assert "Would install" not in said
    elif first == "pip check":
        lines = said.splitlines()
        assert len(lines) == 3, said
        assert all(any(need in line for line in lines) for need in NEEDS)
    elif "describe()" in first:
        assert all(re.search(rf"^{word} +\S", said, re.M) for word in ("device", "RAM"))
        assert re.search(r"^NF4 \(QLoRA\) +yes$", said, re.MULTILINE)
    elif "snippets.memory" in first:
        assert re.search(r"^weights +5\.17 GiB$", said, re.MULTILINE)
        assert said.endswith("fits 24 GiB: yes\n")
    else:
        pytest.fail(f"no claim is written for {first!r}: what should a reader see?")


@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit[0])
def test_a_command_does_what_its_page_says(copy, unit):
    done = shell(copy, unit)
    said = done.stdout + done.stderr
    assert done.returncode == (1 if unit == ("pip check",) else 0), said
    assert "handbook > making" not in said
    claim(copy, unit[0], done.stdout if unit[0].startswith("p") else said)


def test_a_claim_that_does_not_hold_is_red(copy):
    for first, said in (
        ("pip check", "a requires attr\nb requires timm\n"),
        ("print(describe())", "device cpu\nRAM 2\nNF4 (QLoRA)   no\n"),
        ("python3 noxfile.py -s words", "2 problems"),
    ):
        with pytest.raises(AssertionError):
            claim(copy, first, said)
    assert shell(copy, ("pip install no-such-package-of-the-handbook",)).returncode
