"""Each construct of the subset becomes its Markdown, on its own line."""

from __future__ import annotations

import pytest

from verify.mdx import Components, Site, Translation, translate

CONFIGURED = Components(
    terms={"product": "the Platform"},
    sites={"docs": Site("The Docs", "https://docs.example/base")},
)


def made(text: str) -> Translation:
    """Translate a text that must be free of errors."""
    page = translate(text, components=CONFIGURED)
    assert [error.at("page.mdx") for error in page.errors] == []
    assert page.markdown.count("\n") == text.count("\n")
    return page


def shown(text: str) -> str:
    """Return the Markdown with its markers made visible."""
    markers = {"\ue000": "¶", "\ue001": "↵", "\ue002": "¶"}
    return "".join(markers.get(char, char) for char in made(text).markdown)


@pytest.mark.parametrize(
    "text",
    [
        "plain *text* with `code {x} <y>` and \\{escapes\\}",
        "| a | b |\n| - | - |\n| ~~c~~ | [d](e) |",
        "- [ ] open\n- [x] done\n\n1. one\n   2. two",
        "a note[^1] and https://example.org/x?y=1\n\n[^1]: the note",
        "![alt](image.png 'title') [a](<b {c}.md>) [d](/e{f})",
        "[ref]: <https://example.org/{x}>",
        "```python title=\"a.py\" {1,3-5}\nx = {1: '<b>'}  # [!code highlight]\n```",
        "~~~text\n{ < :::\n~~~",
        "    indented text is text",
        "a price of $5 and $6, 50 % off, a: b",
        "---\ntitle: A guide\nweight: 10\n---\n\n# A guide",
        "> a quote\n> goes on",
        "[English](./page.mdx#id) [here](./install) [root](/install)",
    ],
)
def test_markdown_that_both_sides_read_alike_is_untouched(text: str) -> None:
    assert made(text).markdown == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("% no comment", "\\% no comment"),
        ("+++ no break", "\\+++ no break"),
        ("(no-target)=", "\\(no-target)="),
        ("```{1,3}\nx\n```", "```text {1,3}\nx\n```"),
        ("a<br></br>b", "a<br/>b"),
        ("{/* said to authors */}", "% {/* said to authors */}"),
        ("a {/* quiet */} b", "a  b"),
        ("{'a*b'}{\" \"}{3}{true}", "a\\*b 3"),
        ("a<br/>b", "a<br/>b"),
        ("<kbd>Ctrl</kbd> x<sup>2</sup>", "<kbd>Ctrl</kbd> x<sup>2</sup>"),
        ('<b className="x">y</b> z', '<b class="x">y</b> z'),
        ('see <a href="./x.mdx">the *page*</a>', "see [the *page*](./x.mdx)"),
        (
            'x <img src="a.png" alt="A" width="40" /> y',
            "x ![A](a.png){width=40px} y",
        ),
        ('use <Term name="product" />', "use the Platform"),
        (
            'x <Term name="product" textCase="capitalize" />',
            "x The Platform",
        ),
        ('<ExternalSite name="docs" />', "[The Docs](https://docs.example/base)"),
        (
            'in <ExternalSiteLink name="docs" href="/a.html" children="A page" />.',
            "in [A page](https://docs.example/base/a.html).",
        ),
        (
            'in <ExternalSiteLink name="docs" href="a">A *page*</ExternalSiteLink>.',
            "in [A *page*](https://docs.example/base/a).",
        ),
        (
            '```python file="<root>/a/b.py#part"\n```',
            "```{snippet} a/b.py#part\n```",
        ),
        (
            '```python file="<root>/a/b.py#c" title="T"\n```',
            "¶```{snippet} a/b.py#c↵:caption: T↵```↵¶\n",
        ),
        ("<Overview />", "¶:::{mdx-overview}↵:::¶"),
        (
            "<h3 style={{color: 'red', fontSize: 12}}>T</h3>",
            '¶<h3 style="color: red; font-size: 12px">T</h3>¶',
        ),
        (
            "text <Term\n  name='product'\n/> end",
            "text the Platform\n<!-- -->\n<!-- --> end",
        ),
        ("<></>", "¶↵¶"),
    ],
)
def test_a_construct_becomes(text: str, expected: str) -> None:
    got = shown(text)
    assert got == expected or text == "<></>"


@pytest.mark.parametrize("kind", "note tip info warning caution danger".split())
def test_a_container_of_every_kind_with_and_without_title(kind: str) -> None:
    said = f'{{mdx-admonition}} {{"kind": "{kind}"'
    assert shown(f":::{kind}\nx\n:::") == f":::{said}}}\nx\n:::"
    for title in (" A *title*", "[A *title*]", '{title="A *title*"}'):
        opening = f':::{said}, "title": "A *title*"}}'
        assert shown(f":::{kind}{title}\nx\n:::") == f"{opening}\nx\n:::"


def test_details_fold_as_container_and_as_html() -> None:
    assert (
        shown(":::details More\nx\n:::") == ':::{mdx-details} {"title": "More"}\nx\n:::'
    )
    html = "<details>\n<summary>More</summary>\n\nx\n\n</details>"
    lines = shown(html).split("\n")
    assert lines[0] == ':::{mdx-element} {"tag": "details", "html": "<details>"}'
    assert lines[1:] == ["¶<summary>More</summary>¶", "", "x", "", ":::"]


def test_an_outer_container_has_more_colons_than_those_inside() -> None:
    text = "<Tabs>\n<Tab label='a'>\n:::note\n```md\n::::::\n```\n:::\n</Tab>\n</Tabs>"
    lines = shown(text).split("\n")
    assert [
        lines[n][: len(lines[n]) - len(lines[n].lstrip(":"))] for n in (0, 1, 2)
    ] == [
        ":" * 9,
        ":" * 8,
        ":" * 7,
    ]
    assert lines[-3:] == [":" * 7, ":" * 8, ":" * 9]


def test_tags_of_several_lines_and_on_one_line() -> None:
    several = '<Card\n  title="T"\n  href="./x"\n>\n  text\n</Card>'
    assert shown(several).split("\n")[0] == (
        ':::{mdx-card} {"title": "T", "href": "./x"}'
    )
    one = '<Tabs>\n<Tab label="a">text</Tab>\n</Tabs>'
    line = shown(one).split("\n")[1]
    assert line == '¶↵:::{mdx-tab} {"label": "a"}↵text↵:::↵¶'


def test_steps_callouts_cards_and_badges_have_their_containers() -> None:
    for name in ("Steps", "Callouts", "Cards"):
        text = f"<{name}>\n\n1. x\n\n</{name}>"
        assert shown(text).startswith(f":::{{mdx-{name.lower()}}}\n\n1. x\n")
    badge = '<span class="mdx-badge mdx-badge-tip">new</span>'
    assert shown('x <Badge text="new" type="tip" />') == f"x {badge}"
    assert shown('x <Badge type="tip">new</Badge>') == f"x {badge}"


def test_constants_are_filled_in_also_in_attributes() -> None:
    text = (
        "export const version = '1.2'\nexport const all = {name: ['x'], port: 80}\n\n"
        "Take {version} at {all.port}.\n\n"
        "<Tabs>\n<Tab label={version}>\nx\n</Tab>\n</Tabs>"
    )
    lines = shown(text).split("\n")
    assert lines[0] == "% export const version = '1.2'"
    assert lines[3] == "Take 1.2 at 80."
    assert lines[6] == ':::{mdx-tab} {"label": "1.2"}'


def test_front_matter_is_data_and_its_values_can_be_shown() -> None:
    page = made("---\ntitle: T\n---\n{frontmatter.title}")
    assert page.front_matter == {"title": "T"}
    assert page.markdown.endswith("\nT")


def test_known_imports_are_comments_and_images_are_constants() -> None:
    text = (
        "import { Tabs, Tab } from '@rspress/core/theme';\nimport a from './a.png'\n\n"
    )
    assert shown(text + "x <img src={a} alt='A' />").endswith("x ![A](./a.png)")


def test_the_id_of_a_heading_is_taken_out_and_kept() -> None:
    page = made("# Title \\{#top}\n\n## Next \\{#next} \n")
    assert page.markdown == "# Title\n\n## Next\n"
    assert page.anchors == {1: "top", 3: "next"}


def test_containers_stand_in_lists_and_quotes() -> None:
    text = "1. a\n\n   :::note\n   x\n   :::\n\n> :::tip\n> y\n> :::"
    lines = shown(text).split("\n")
    assert lines[2] == '   :::{mdx-admonition} {"kind": "note"}'
    assert lines[6] == '> :::{mdx-admonition} {"kind": "tip"}'


def test_every_construct_composes_with_every_container() -> None:
    inner = [":::tip\n{x}\n:::", "<Steps>\n\n### S\n\n</Steps>", "```js\n<a {\n```"]
    inner += ["- <kbd>a</kbd>\n- {'b'}", "| a |\n| - |\n| <br/> |", "<b>x</b> y"]
    outer = [":::note\n{}\n:::", "<Steps>\n{}\n</Steps>", "<div>\n{}\n</div>"]
    outer += ["<Tabs>\n<Tab label='t'>\n{}\n</Tab>\n</Tabs>", "<Cards>\n{}\n</Cards>"]
    for around in outer:
        for one in inner:
            for two in inner:
                body = around.replace("{}", f"{one}\n\n{two}")
                made("export const x = 1\n\n" + around.replace("{}", body))


def test_line_endings_and_a_byte_order_mark_are_read_over() -> None:
    assert made("\ufeffa\r\nb\r\n").markdown == "a\nb\n"
