"""Each construct of our pages has one form in MDX, or is refused with its line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.export import markup, mdx, myst, notebook, survival, tree
from verify.export.problem import ExportError
from verify.mdx import Components


class Answers:
    """Stands in for the page: answers with what it was asked."""

    path = "docs/page.md"
    folder = "docs"
    components = Components(terms={"product": "the Platform"})

    def read(self, path, line):
        return f"text of {path}\n"

    def overview(self, line):
        return "- [Other](./other.mdx)"

    def role(self, name, text, line):
        return f"[{name} {text.partition('|')[0]}](./there.mdx)"

    def link(self, target, line, *, image=False):
        return target.replace(".md", ".mdx")

    def site_link(self, target, line):
        return "/" + target.removeprefix("../")

    def directive(self, name, said, line):
        return f"table of {name}"

    def without_scripts(self, file, line):
        return f"what {file} says"

    def snippet(self, target, caption, line):
        return f'```python title="{caption}"\ncode\n```\n\n[`{target}`](/x)'


def mdx_of(text):
    return myst.translate(text.split("\n"), 1, Answers())[0]


@pytest.mark.parametrize(
    ("source", "exported"),
    [
        ("a < b and {x}", "a \\< b and \\{x}"),
        ("`a < {b}` stays", "`a < {b}` stays"),
        ("already \\{x}", "already \\{x}"),
        ("<https://example.org>", "[https://example.org](https://example.org)"),
        ("H<sub>2</sub>O<br>", "H<sub>2</sub>O<br />"),
        (
            '<a class="x" href="../s.json">s</a>',
            '<a className="x" href="/s.json">s</a>',
        ),
        ("see [it](other.md#part)", "see [it](other.mdx#part)"),
        ("![a dot](dot.svg)", "![a dot](dot.svg)"),
        ("<!-- later -->", "{/* later */}"),
        ("{outcome}`nb:x|.2f` %", "[outcome nb:x](./there.mdx) %"),
        ("(out)=\n## Out: a way", "## Out: a way \\{#out}"),
        ("% a comment", "{/* a comment */}"),
        ("import this", "&#105;mport this"),
        ("Term\n: It is.\n  More.", "- **Term**\\\n  It is.\n  More."),
        ("```{raw} html\n:file: form.html\n```", "what form.html says"),
        (":::{note}\nBe kind.\n:::", ":::note\n\nBe kind.\n\n:::"),
        (":::{seealso}\nThis.\n:::", ":::info See also\n\nThis.\n\n:::"),
        (
            ":::{admonition} Mind `x`\n:class: warning\nText.\n:::",
            ":::warning Mind x\n\nText.\n\n:::",
        ),
        (
            ":::{dropdown} `f`\n```{snippet} a.py#f\n```\n:::",
            "<details>\n<summary>`f`</summary>\n\n```python "
            'title="None"\ncode\n```\n\n[`a.py#f`](/x)\n\n</details>',
        ),
        ("```{code-block} sh\n:caption: Do\nls\n```", '```sh title="Do"\nls\n```'),
        ("```{receipts}\n```", "table of receipts"),
        ("```python\na < {b}\n```", "```python\na < {b}\n```"),
        ("```{mermaid}\na --> b\n```", "```mermaid\na --> b\n```"),
        (
            "```{figure} dot.svg\n:alt: a dot\nThe dot.\n```",
            "![a dot](dot.svg)\n\nThe dot.",
        ),
        (
            "| a | b |\n|---|---|\n| {receipt}`nb:x\\|.1f` | 1 < 2 |",
            "| a | b |\n|---|---|\n| [receipt nb:x](./there.mdx) | 1 \\< 2 |",
        ),
        (
            "::::{grid} 2\n:::{grid-item-card} One\n:link: /a.md\n\nText.\n:::\n::::",
            "**[One](/a.mdx)**\n\nText.",
        ),
    ],
)
def test_a_construct_becomes_mdx(source, exported):
    assert mdx_of(source) == exported


def test_tabs_become_components_with_their_import():
    text = "::::{tab-set}\n:::{tab-item} CPU\n\nSlow.\n:::\n::::"
    shown, imports = myst.translate(text.split("\n"), 1, Answers())
    assert '<Tabs>\n  <Tab label="CPU">\n\nSlow.\n\n  </Tab>\n</Tabs>' in shown
    assert imports == {"import { Tab, Tabs } from '@rspress/core/theme';"}


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("a\n\n{{ version }}", 3, "a substitution cannot be exported"),
        ("x [a](b.md){.big}", 1, "attributes in braces cannot be exported"),
        ("\n<video>", 2, "<video> cannot be exported"),
        ('<b style="x">a</b>', 1, "a style cannot be exported"),
        ("\n\n    code\n", 3, "indented code cannot be exported; write a fence"),
        ("```{note}\ntext", 1, "is never closed"),
        (":::note Title\ntext\n:::", 1, "write :::{note} or another directive"),
        ("(a)=\ntext", 2, "(a)= must stand before a heading"),
        ("::::{note}\n:::{tip}\nx\n:::\n::::", 1, "a container within {note} cannot"),
        ("```{snippet} a#b\n:number: 3\n```", 1, "the option :number: cannot be"),
        ("```{raw} html\n<form>x</form>\n```", 1, "the text in {raw} cannot be"),
        ("```{thing}\nwords\n```", 1, "the text in {thing} cannot be exported"),
        (":::{note}\n\n<video>\n:::", 3, "<video> cannot be exported"),
        ("```{image} x.svg\n```", 1, "an image needs :alt:"),
        ("+++ words", 1, "the text of a block break cannot be exported"),
    ],
)
def test_what_has_no_form_in_mdx_is_refused_at_its_line(source, line, what):
    with pytest.raises(ExportError) as caught:
        mdx_of(source)
    assert str(caught.value).startswith(f"docs/page.md:{line}: ")
    assert what in str(caught.value)


PARTS = st.sampled_from(
    [
        "Plain words here.",
        "## A heading with `code`",
        "- one\n- two < three",
        "Term\n: Its meaning {here}.",
        ":::{note}\nKeep this.\n:::",
        ":::{dropdown} More\nHidden words.\n:::",
        "| a | b |\n|---|---|\n| c | d |",
        "```python\nx = {1: '<'}\n```",
        "> quoted {words}",
        "import nothing at all",
        "1. first\n\n   and more",
        "See [the page](other.md) and <https://example.org/a>.",
    ]
)


@given(st.lists(PARTS, max_size=8))
def test_constructs_compose_and_no_word_is_lost(parts):
    source = "\n\n".join(parts)
    assert survival.lost(source, mdx_of(source)) is None


@given(st.text(alphabet="ab <>{}[]()`!\\*_|#:\n-", max_size=60))
def test_no_text_makes_the_export_crash_or_leaves_a_brace_bare(text):
    try:
        shown = mdx_of(text)
    except ExportError:
        return
    lines = [re.sub(r"\\.|`+[^`]*`+", "", line) for line in shown.split("\n")]
    if "`" not in text and "~" not in text:
        assert not any("{" in line for line in lines if "{/*" not in line)


def test_a_lost_word_is_found_with_its_line():
    assert survival.lost("one two\n\nthree four", "one two three") == (3, "four")
    assert survival.lost("one two", "two one") == (1, "two")


def test_html_of_an_output_becomes_markdown():
    asked = markup.Asked(lambda link: f"/{link}", lambda source, alt: f"![{alt}](i)")
    table = "<table><tr><th>a</th></tr><tr><td>1 <b>x|y</b></td></tr></table>"
    assert markup.markdown(table, asked) == "| a |\n| --- |\n| 1 **x\\|y** |"
    shown = markup.markdown("<p>a<script>no</script> <i>b</i> &lt;c {d}</p>", asked)
    assert shown == "a *b* \\<c \\{d\\}"
    assert markup.markdown('<a href="x">y</a>', asked) == "[y](/x)"
    gone = markup.Asked(lambda link: "", asked.image)
    assert markup.markdown('<a href="#row"><code>y</code></a>', gone) == "`y`"
    assert markup.markdown("<pre>a\n```\nb</pre>", asked) == "````text\na\n```\nb\n````"
    folded = "<details><summary>S</summary><p>T</p></details>"
    assert "<summary>S</summary>\n\nT\n\n</details>" in markup.markdown(folded, asked)


def test_a_figure_drawn_for_light_and_dark_pages_is_shown_once():
    asked = markup.Asked(str, lambda source, alt: f"![{alt}]({source})")
    twice = '<figure><img src="a" alt="x"><img src="b" alt="x"></figure>'
    assert markup.markdown(twice, asked) == "![x](a)"


def test_printed_text_is_joined_and_shown_without_colors():
    kept = {}
    shown = notebook.Shown(str, lambda data, name: kept.setdefault(name, data) and name)
    printed = [
        {"output_type": "stream", "text": "\x1b[1mone\x1b[0m\n"},
        {"output_type": "stream", "text": ["10 %\r", "20 %\n"]},
    ]
    assert notebook.outputs(printed, shown) == "```text\none\n20 %\n```"
    picture = {"image/svg+xml": "<svg/>", "text/plain": "plain"}
    said = {"image/svg+xml": {"alt": "a [dot]"}}
    out = [{"output_type": "display_data", "data": picture, "metadata": said}]
    text = notebook.outputs(out, shown)
    assert re.fullmatch(r"!\[a \\\[dot\\\]\]\(\w{12}\.svg\)", text)
    assert list(kept.values()) == [b"<svg/>"]


def test_an_mdx_guide_keeps_its_text_and_gets_its_code_and_numbers():
    text = (
        "A {x} <b>c</b> [l](o.md).\n\n"
        'It is <Outcome name="nb:x" format=".2f" />.\n\n'
        '```python title="T" file="<root>/a.py#f"\n```\n\n'
        "<Steps>\n\n### One\n\n</Steps>\n\n```jsx\n<Tabs>\n```"
    )
    shown, imports = mdx.translate(text.split("\n"), 1, Answers())
    assert shown.startswith("A {x} <b>c</b> [l](o.mdx).\n\nIt is [outcome nb:x]")
    assert '```python title="T"\ncode\n```' in shown
    assert imports == {"import { Steps } from '@rspress/core/theme';"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n\n```python", "docs/page.md:3: this fence is never closed"),
        ('```py file="<root>/a#b"\nx\n```', "docs/page.md:1: a fence with file= must"),
        ("\n<Outcome />", "docs/page.md:2: write <Outcome name="),
        ('a <Tab label="', "docs/page.md:1: this tag is never closed"),
    ],
)
def test_an_mdx_guide_that_cannot_be_completed_is_refused_at_its_line(text, message):
    with pytest.raises(ExportError, match=re.escape(message)):
        mdx.translate(text.split("\n"), 1, Answers())


def test_headings_get_the_ids_that_rspress_gives():
    text = "# A `b` c!\n\n```\n# no\n```\n(x)=\n## Two\n## Two\n## Own \\{#mine}"
    found = [(one.slug, one.anchor) for one in tree.headings(text)]
    expected = [("a-b-c", "a-b-c"), ("two", "x"), ("two-1", "two-1"), ("own", "mine")]
    assert found == expected
