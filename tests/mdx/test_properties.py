"""Whatever a page holds: it ends soon, keeps its lines and loses no text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verify.mdx import translate

PIECES = st.sampled_from(
    """
    < > { } </ /> ` `` ``` ~~~ ::: :::note :::: <Tabs> </Tabs> <Tab
    <Tab label="a"> </Tab>
    <div> </div> <b> </b> <br/> <Card title='x'/> {x} {'s'} {/* */} /* */ //
    " ' \\ \\{ \\{#id}
    # ## - 1. > | --- | - | [a]( [a](b) ]( ![ = == import export const x = 1
    [!code callout]
    title="a" file="<root>/a" % +++ (x)= [^1]: <!-- --> &amp; \ue000 \ue001 \ue002 \x00
    é 中
    $ ** * _ ~~ <> </> <Foo /> frontmatter.title <Steps> </Steps> <Callouts> </Callouts>
    """.split()
    + ["< ", "{props.x || 'y'}", "{1 ?? 2}", "import X from './x.mdx'\n", "<X />"]
    + ["import r from './r?raw'\n", "{r}", "{name=a}", "\n<Prompt prompt={r} />\n"]
    + [" ", "  ", "    ", "\n", "\n\n", "\t", "\r\n", "import {a} from 'b'\n", "---\n"]
)
PAGES = st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=60).map("".join)
# An example takes milliseconds; the deadline is for one that never ends.
FAST = settings(max_examples=300, deadline=20_000, derandomize=True)
WORD = re.compile(r"[^\W_]{2,}")


@FAST
@given(PAGES)
def test_no_page_crashes_or_loses_a_line_and_errors_repeat(text: str) -> None:
    page = translate(text)
    flat = text.replace("\r\n", "\n").replace("\r", "\n")
    assert page.markdown.count("\n") == flat.count("\n")
    assert page.errors == translate(text).errors
    lines = flat.removeprefix("\ufeff").split("\n")
    for error in page.errors:
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
        assert error.what
        assert error.instead


@FAST
@given(st.lists(st.text("abc dé*_[]()!#-.|\n`~=", max_size=30), max_size=9))
def test_text_outside_constructs_is_untouched(parts: list[str]) -> None:
    text = " ".join(parts)
    page = translate(text)
    kept = [error for error in page.errors if "never closed" not in error.what]
    kept = [error for error in kept if "code block" not in error.what]
    assert kept == []
    if not page.errors:
        assert page.markdown == text


@FAST
@given(PAGES, st.integers(0, 3))
def test_words_between_constructs_are_kept(text: str, times: int) -> None:
    page = translate(f"first word\n\n{text}\n\nlast" + " word" * times)
    assert "first word" in page.markdown
    assert "last" + " word" * times in page.markdown


@FAST
@given(st.lists(st.sampled_from(["x\n", "<b>y</b> z\n", "- {1}\n", "```\nc\n```\n"])))
def test_a_good_page_is_good_inside_every_container(parts: list[str]) -> None:
    body = "\n".join(parts)
    for opening, closing in ((":::tip", ":::"), ("<Steps>", "</Steps>")):
        page = translate(f"{opening}\n\n{body}\n\n{closing}\n")
        assert page.errors == ()


HOSTILE = [
    "<",
    "{",
    "`",
    "` `` ",
    ":::",
    ":::note\n",
    "<b>",
    "<Tabs>\n",
    "<a b='",
    "](",
    "[",
]
HOSTILE += [
    "<a b={x",
    "<a b={x\n",
    "{{",
    "{'",
    "{/*",
    "{`",
    "- ",
    "> ",
    "\\{#",
    "<!--",
    "| ",
]
HOSTILE += [
    "[a](<b",
    '](a "',
    "<a b=\n",
    "</b>",
    "<b></i>",
    "{a}",
    "<Card title='a'/>",
    "1. ",
]
HOSTILE += [
    "```js [!code x]\n",
    "\n```",
    "   ",
    "import {\n",
    "{[",
    "# \\{#a",
    "%",
    "(a)=",
    "\t",
]
HOSTILE += [
    "<b>\n",
    "<b>x\n",
    "a|\n-|\n",
    "[!code ",
    ">\n",
    "* * ",
    "'",
    "<a '",
    "<a b={'",
]
HOSTILE += ["< ", "{1||", "{props.a||", "import X from './x.mdx'\n", "```sh {a=\n"]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_page_takes_time_in_proportion(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    for page in (
        text,
        f"x {text} y",
        f"```js\n{text}\n```",
        f"<b a='{text}",
        f"{{{text}",
    ):
        before = time.process_time()
        assert translate(page).markdown.count("\n") == page.count("\n")
        # In proportion it takes 1 s, beside other work 2; squared it would be minutes.
        assert time.process_time() - before < 8, f"{piece!r} takes too long"


def test_a_megabyte_of_a_guide_is_read_in_seconds() -> None:
    prose = "Words of a *guide* that say what to do, and `why`.\n" * 14
    part = (
        "## Step \\{#s}\n\nSome **text** with `code` and a [link](./page.mdx#x) for "
        "you.\n\n"
        ":::note\nUse <kbd>Ctrl</kbd> and {'x'}.\n:::\n\n"
        '```bash title="run"\nls -l {a}\n```\n\n'
        "| a | b |\n| - | - |\n| c<br/>d | `e` |\n\n<Tabs>\n<Tab label='one'>\n- item\n"
        "</Tab>\n</Tabs>\n\n"
    )
    part += f"{prose}\n"
    text = "".join(
        part.replace("#s", f"#s{n}") for n in range(1_000_000 // len(part) + 1)
    )
    assert len(text) >= 1_000_000
    seconds = []
    for _ in range(5):
        before = time.process_time()
        assert translate(text).errors == ()
        seconds.append(time.process_time() - before)
    # A second is what the bench holds it to, where nothing else runs.
    assert min(seconds) < 3
