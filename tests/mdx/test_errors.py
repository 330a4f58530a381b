"""Each thing outside the subset is an error with its place and its cure."""

from __future__ import annotations

import pytest

from verify.mdx import translate

CASES = [
    ("a <!-- x -->", "1:3", "HTML comments", "{/* comment */}"),
    ("\nsee <https://a.b/c>", "2:5", "autolinks", "[text](https://a.b/c)"),
    ("mail <me@a.b>", "1:6", "autolinks", "[text](me@a.b)"),
    ("a <", "1:3", "begins no tag", "\\<"),
    ("x <5", "1:3", "begins no tag", "\\<"),
    ("a {b", "1:3", "does not end", "\\{"),
    ("a {b}", "1:4", "`b` is no constant", "export const b"),
    ("a {b()}", "1:4", "`b` is no constant", "\\{"),
    ("a {1 + 1}", "1:6", "is code", "a string"),
    ("a {{b: 1}}", "1:3", "shows no text", "the text itself"),
    ("## T {#id}", "1:6", "expression in MDX", "\\{#id}"),
    ("import x from './x'", "1:1", "is code", "remove the line"),
    ("import X from 'x/y.mdx'", "1:16", "begins at no folder", "./ or ../"),
    ("export default 1", "1:1", "is code", "export const"),
    ("export const f = () => 1", "1:18", "is code", "a string"),
    ("<Foo />", "1:1", "<Foo> is not a component", "Callouts"),
    ("<Tab label='a'>\nx\n</Tab>", "1:1", "outside <Tabs>", "put <Tabs>"),
    ("<Steeps>\n</Steeps>", "1:1", "<Steeps> is not", "did you mean <Steps>"),
    ("a <K8sCrd name='x' /> b", "1:3", "in the middle of a text", "own"),
    ("<Card>\nx\n</Card>", "1:1", "<Card> needs `title`", 'title="…"'),
    ("<Steps size='1'>\n</Steps>", "1:8", "no attribute `size`", "it takes"),
    ("<Tabs {...x}>\n</Tabs>", "1:7", "computed in braces", 'name="value"'),
    ("<Tabs x=1>\n</Tabs>", "1:9", "not quoted", 'x="…"'),
    ("<div onClick={1}>\n</div>", "1:6", "runs code", "remove the attribute"),
    ("<a href='javascript:x'>y</a> z", "1:4", "runs code", "link to a page"),
    ("<div>\nx", "1:1", "<div> is never closed", "</div>"),
    ("x\n\n</div>", "3:1", "closes nothing", "<div>"),
    ("<div>\n:::\n</div>", "2:1", "closes no container", "close `div` first"),
    ("a <b>c", "1:3", "before the end of its paragraph", "</b>"),
    ("a </b>", "1:3", "closes nothing in this block", "<b>"),
    ("a <Tabs>b</Tabs>", "1:3", "in the middle of a text", "lines of their own"),
    ("<Tabs><Tab label='a'>\nx\n</Tab></Tabs>", "1:7", "shares its line", "own"),
    ("<script>\n</script>", "1:1", "not an HTML element", "Markdown"),
    ("a <br> b", "1:3", "is not closed", "<br />"),
    (":::hint\nx\n:::", "1:1", "`:::hint` is no container", "note, tip"),
    (":::note\nx", "1:1", ":::note is never closed", ":::"),
    ("x\n\n:::", "3:1", "closes no container", ":::note"),
    ("- a\n\n  <Steps>\n\nb\n\n</Steps>", "7:1", "list item that has ended", "indent"),
    ("```python\nx", "1:1", "never closed", "```"),
    ("1. a\n   ```sh\nls\n   ```", "3:1", "list item ends", "by 3 spaces"),
    ("```{note}\nx\n```", "1:4", "`{note}` is no setting", "title"),
    ("```js nonsense\n```", "1:7", "no setting of a code block", "title"),
    ("```js\n\na // [!code what]\n```", "3:6", "no mark of a line", "callout"),
    ('```py file="a.py"\n```', "1:1", "begins at no known place", "<root>/"),
    ('```py file="<root>/a.py"\nx\n```', "2:1", "would be lost", "empty"),
    ("---\na: [\n---\n", "2:1", "not YAML", "name: value"),
    ("---\na: 1\n", "1:1", "front matter is never closed", "---"),
    ("---\nmyst: {}\n---\n", "1:1", "`myst` settings", "remove it"),
    ('x <Term name="zz" />', "1:9", "no term of the configuration", "mdx_terms"),
    ('x <ExternalSite name="z" />', "1:17", "no site of the", "mdx_sites"),
    ("x <Term />", "1:3", "needs `name`", "name="),
    ("## A \\{#x}\n\n## B \\{#x}", "3:6", "`x` is also the id", "another id"),
    ("a \ue000", "1:3", "private-use", "remove it"),
    ("<Tabs>\ntext\n<Tab label='a'>\nx\n</Tab>\n</Tabs>", "2:1", "between", "inside"),
]


@pytest.mark.parametrize(("text", "place", "what", "cure"), CASES)
def test_what_is_outside_the_subset_is_named_at_its_line_and_column(
    text: str, place: str, what: str, cure: str
) -> None:
    errors = [error.at("docs/page.mdx") for error in translate(text).errors]
    assert errors, "there is no error"
    assert errors[0].startswith(f"docs/page.mdx:{place}: ")
    said, _, instead = errors[0].partition("; ")
    assert what in said
    assert cure in instead


@pytest.mark.parametrize(("text", "place", "what", "cure"), CASES)
def test_an_error_costs_no_line_and_hides_no_second_error(
    text: str, place: str, what: str, cure: str
) -> None:
    page = translate(f"{text}\n")
    assert page.markdown.count("\n") == text.count("\n") + 1
    assert page.errors == translate(f"{text}\n").errors
    again = translate(f"a <5\n\n{text}")
    assert str(again.errors[0].line) + ":" + str(again.errors[0].column) == "1:3"


def test_every_error_of_a_page_is_told_in_order() -> None:
    errors = translate("a <5\n\n<Foo />\n\n{x}\n\n:::what\n:::").errors
    assert [error.line for error in errors] == [1, 3, 5, 7, 8]


def test_what_could_not_be_read_stays_as_text() -> None:
    markdown = translate("a <5 {c} <Foo>d</Foo>\n\n:::what\ne\n:::").markdown
    for text in ("a", "<5", "{c}", "<Foo>", "d", "</Foo>", ":::what", "e"):
        assert text in markdown
