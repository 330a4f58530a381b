"""The whole book passes its checks, fast, and every command that it ships exists."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from verify.blocks import __main__ as command
from verify.blocks import pages
from verify.blocks.languages import shell

ROOT = Path(__file__).resolve().parents[2]


def test_every_block_of_the_book_passes_in_twenty_seconds(tools, capsys, tmp_path):
    started = processor_seconds()
    out = tmp_path / "blocks.json"
    code = command.main(["--json", str(out)])
    took = processor_seconds() - started
    assert code == 0, capsys.readouterr().out
    assert took < 20
    data = json.loads(out.read_text())
    assert data["blocks"] > 30 and data["pages"] > 20 and data["problems"] == []
    told = data["commands"]
    assert told["unknown"] == 0 and told["run"] > 10
    assert told["all"] == sum(told.values()) - told["all"]
    for one in data["exemptions"]:
        assert one["reason"]


def processor_seconds() -> float:
    """Return the processor time so far, that of the tools included.

    A clock on the wall would measure what else the machine does.
    """
    return sum(os.times()[:4])


def test_the_command_fails_says_where_and_counts(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("```json\n{\n```\n")
    assert command.main([str(page)]) == 1
    said = capsys.readouterr().out
    assert f"{page}:2: is no JSON" in said
    assert re.search(r"json +1 +0  parses", said)
    assert "1 blocks on 1 pages, 0 of them run, 0 exemptions, 1 problem" in said


def test_a_page_that_does_not_exist_is_no_pass(tmp_path, capsys):
    assert command.main([str(tmp_path / "none.md")]) == 1
    assert "is no page and no folder of pages" in capsys.readouterr().err
    assert command.main([str(tmp_path)]) == 1
    assert "there is no page to check" in capsys.readouterr().err


def test_a_folder_of_exported_pages_is_checked(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.mdx").write_text("<Steps>\n```yaml\n[\n```\n</Steps>\n")
    assert command.main([str(tmp_path)]) == 1
    assert "b.mdx:3: is no YAML" in capsys.readouterr().out


def shipped():
    """Return our own commands in shell blocks: module -> the options it is given."""
    found: dict[str, set[str]] = {}
    for file in pages.book(ROOT):
        for part in pages.parts(file, ROOT):
            for block in pages.blocks(part):
                if block.language in ("bash", "sh", "console"):
                    joined = shell.script(block).replace("\\\n", " ")
                    for line in joined.splitlines():
                        _note(line, found)
    return found


def _note(line, found):
    words = shlex.split(line, comments=True)
    for at, word in enumerate(words[:-1]):
        ours = words[at + 1].split(".")[0] in ("verify", "snippets")
        if word == "-m" and ours:
            given = {w for w in words[at + 2 :] if w.startswith("--")}
            found.setdefault(words[at + 1], set()).update(given)


@pytest.mark.parametrize(("module", "options"), sorted(shipped().items()))
def test_a_module_that_a_page_runs_takes_the_options_it_is_given(module, options):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [option for option in options if option not in done.stdout] == []
