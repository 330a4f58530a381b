"""Fences are found where CommonMark, MyST and MDX see them, with their lines."""

import time

import pytest

from verify.blocks.markdown import fences
from verify.blocks.pages import Part, blocks


def found(text, dialect="myst"):
    return [
        (f.line, f.first, f.info, f.code)
        for f in fences(text, dialect)
        if not f.indented
    ]


def test_a_fence_has_its_line_language_and_code():
    assert found("a\n\n```bash\nls\n```\n") == [(3, 4, "bash", "ls\n")]


def test_front_matter_keeps_the_lines_below_it():
    assert found("---\na: b\n---\n\n```text\nx\n```\n")[0][:2] == (5, 6)


def test_tildes_and_longer_fences_hold_shorter_ones():
    text = "~~~~markdown\n```bash\nls\n```\n~~~\n~~~~\n\n`````text\n````\n`````\n"
    assert [(line, info) for line, _, info, _ in found(text)] == [
        (1, "markdown"),
        (8, "text"),
    ]


def test_a_fence_in_a_list_loses_the_indentation_of_the_list():
    text = "1. one\n\n   ```bash\n   ls\n     -l\n   ```\n"
    text += "   - two\n     ```text\n     x\n     ```\n"
    assert found(text) == [(3, 4, "bash", "ls\n  -l\n"), (8, 9, "text", "x\n")]


def test_a_fence_in_a_quote_loses_the_marks_of_the_quote():
    assert found("> ```bash\n> ls\n> ```\n") == [(1, 2, "bash", "ls\n")]


@pytest.mark.parametrize("mark", ["```", "~~~", ":::"])
def test_a_code_directive_is_a_fence_without_its_options(mark):
    text = f"x\n\n{mark}{{code-block}} python\n:caption: Say\n\nx = 1\n{mark}\n"
    assert found(text) == [(3, 6, "python", "x = 1\n")]


def test_fences_in_directives_are_found_with_their_lines():
    text = (
        "````{note} Title\n:class: tip\n\ntext\n\n```bash\nls\n```\n````\n"
        ":::::{tab-set}\n::::{tab-item} A\n```text\nx\n```\n::::\n:::::\n"
    )
    shown = [row for row in found(text) if row[2] in ("bash", "text")]
    assert shown == [(6, 7, "bash", "ls\n"), (12, 13, "text", "x\n")]


def test_mdx_finds_fences_between_components_however_deep():
    text = (
        '<Steps>\n  <Tab label="a">\n      ```bash title="x"\n      ls\n      ```\n'
        "  </Tab>\n:::note Read\n```json\n{}\n```\n:::\n</Steps>\n"
    )
    assert found(text, "mdx") == [
        (3, 4, 'bash title="x"', "ls\n"),
        (8, 9, "json", "{}\n"),
    ]


def test_mdx_finds_a_deep_fence_right_under_a_line_of_text():
    text = "* **A**\n        ```yaml\n        a: 1\n\n        ```\n\n"
    text += "b\n      ```text\nx\n```\n"
    assert found(text, "mdx") == [(2, 3, "yaml", "a: 1\n\n"), (8, 9, "text", "x\n")]


def test_a_fence_in_a_comment_is_not_there():
    text = "{/*\n```bash\nls\n```\n*/}\n\n<!--\n```text\nx\n```\n-->\n"
    assert [row[2] for row in found(text, "mdx")] == ["text"]
    assert [row[2] for row in found(text, "myst")] == ["bash"]


def test_a_snippet_directive_holds_no_code_of_its_own():
    part = Part("p", "```{snippet} a.py#b\n```\n```{receipts}\n```\n", "myst")
    assert list(blocks(part)) == []


def test_an_mdx_fence_of_a_file_holds_no_code_of_its_own():
    text = '```python file="<root>/a.py#b"\n```\n\n```python file="x"\ny = 1\n```\n'
    assert [block.code for block in blocks(Part("p", text, "mdx"))] == ["y = 1\n"]


@pytest.mark.parametrize("line", ["```\n", ":::{note}\n", "> ", "{/*\n", "- a\n", "`"])
@pytest.mark.parametrize("dialect", ["myst", "mdx"])
def test_a_page_of_one_odd_line_many_times_is_read_in_seconds(line, dialect):
    started = time.process_time()
    list(fences(line * 2000, dialect))
    assert time.process_time() - started < 10


def test_a_line_that_is_shown_as_removed_is_not_checked_and_keeps_its_place():
    text = "```yaml\nsteps: 1 # [!code --]\nsteps: 2 # [!code ++]\n```\n"
    [block] = blocks(Part("p", text, "mdx"))
    assert block.code == "\nsteps: 2 # [!code ++]\n"
