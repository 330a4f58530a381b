"""Each entry of the vocabulary is read on one page and refused on another."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from verify.mdx import Components, Site, translate, vocabulary

CONFIGURED = Components(
    terms={"product": "the Platform"}, sites={"docs": Site("Docs", "https://docs.x")}
)
TAB = "<Tab label='a'>\nx\n</Tab>"
# A good page, what its Markdown holds, a bad page, and its error with the place.
COMPONENTS = {
    "Tabs": (
        f"<Tabs>\n{TAB}\n</Tabs>",
        "{mdx-tabs}",
        "<Tabs>\nx\n</Tabs>",
        "2:1: this",
    ),
    "Tab": (f"<Tabs>\n{TAB}\n</Tabs>", '{"label": "a"}', TAB, "1:1: <Tab> stands out"),
    "TabItem": (
        "<Tabs>\n<TabItem value='a'>\nx\n</TabItem>\n</Tabs>",
        '{mdx-tab} {"label": "a"}',
        "<Tabs>\n<TabItem>\nx\n</TabItem>\n</Tabs>",
        "2:1: <TabItem> needs `label`",
    ),
    "PageTabs": (
        "<PageTabs id='x'>\n<PageTab label='a'>\nx\n</PageTab>\n</PageTabs>",
        "{mdx-tabs}",
        f"<PageTabs>\n{TAB}\n</PageTabs>",
        "2:1: <Tab> stands outside <Tabs>",
    ),
    "PageTab": (
        "<PageTabs>\n<PageTab label='a'>\nx\n</PageTab>\n</PageTabs>",
        '{mdx-tab} {"label": "a"}',
        "<Tabs>\n<PageTab label='a'>\nx\n</PageTab>\n</Tabs>",
        "2:1: <PageTab> stands outside <PageTabs>",
    ),
    "Steps": (
        "<Steps>\nx\n</Steps>",
        "{mdx-steps}",
        "<Steps n='1' />",
        "1:8: <Step",
    ),
    "Callouts": (
        "<Callouts>\nx\n</Callouts>",
        "{mdx-callouts}",
        "<Callouts>",
        "1:1: <C",
    ),
    "Cards": (
        "<Cards>\nx\n</Cards>",
        "{mdx-cards}",
        "<Cards x='1' />",
        "1:8: <Card",
    ),
    "Card": ("<Card title='t' />", '{"title": "t"}', "<Card />", "1:1: <Card> needs"),
    "LinkCard": (
        "<LinkCard title='t' href='u' />",
        '{mdx-card} {"title": "t", "href": "u"}',
        "<LinkCard title='t'>\nx\n</LinkCard>",
        "1:1: <LinkCard> takes no content",
    ),
    "Directive": (
        "<Directive type='tip'>\nx\n</Directive>",
        '{"kind": "tip"}',
        "<Directive type='hint' />",
        "1:12: `hint` is no kind of <Directive>",
    ),
    "Callout": (
        "<Callout type='error' title='t'>\nx\n</Callout>",
        '{"kind": "danger", "title": "t"}',
        "<Callout kind='tip' />",
        "1:10: <Callout> has no attribute `kind`",
    ),
    "Overview": (
        "<Overview />",
        "{mdx-overview}",
        "<Overview>",
        "1:1: <Overview> ",
    ),
    "PackageManagerTabs": (
        "<PackageManagerTabs command='add x' />",
        '"npm": "npm add x"',
        "<PackageManagerTabs />",
        "1:1: <PackageManagerTabs> needs `command`",
    ),
    "NoSSR": (
        "<NoSSR>\nx\n</NoSSR>",
        "{mdx-fragment}",
        "<NoSSR x='1' />",
        "1:8: <NoSSR>",
    ),
    "CodeBlockRuntime": (
        "<CodeBlockRuntime lang='js' code={`a`} />",
        '{"code": "a", "lang": "js"}',
        "<CodeBlockRuntime lang='js' />",
        "1:1: <CodeBlockRuntime> needs `code`",
    ),
    "JsonViewer": (
        "<JsonViewer value={{a: 1}} />",
        '"lang": "json"',
        "<JsonViewer value={a()} />",
        "1:20: `a` is no constant",
    ),
    "Prompt": (
        "<Prompt title='t' prompt='p' />",
        '{"title": "t", "prompt": "p"}',
        "<Prompt titel='t' />",
        "1:9: <Prompt> has no attribute `titel`",
    ),
    "SourceCode": (
        "<SourceCode href='u' />",
        "[Source code](u)",
        "<SourceCode x='u' />",
        "1:13: <SourceCode> has no attribute",
    ),
    "Tag": (
        "<Tag tag='a' />",
        "<code>a</code>",
        "<Tag name='a' />",
        "1:6: <Tag> ha",
    ),
    "Outcome": (
        "It is <Outcome name='n:o' format='.2f' />.",
        'data-role="outcome" data-name="n:o" data-format=".2f"',
        "It is <Outcome />.",
        "1:7: <Outcome> needs `name`",
    ),
    "Receipt": (
        "It is <Receipt name='n:x' />.",
        'data-role="receipt"',
        "It is <Receipt name='n' x='1' />.",
        "1:25: <Receipt> has no attribute",
    ),
    "Term": (
        "Of <Term name='product' />.",
        "Of the Platform.",
        "Of <Term name='thing' />.",
        "1:10: `thing` is no term",
    ),
    "ExternalSite": (
        "In <ExternalSite name='docs' />.",
        "[Docs](https://docs.x)",
        "In <ExternalSite name='dogs' />.",
        "1:18: `dogs` is no site",
    ),
    "ExternalSiteLink": (
        "In <ExternalSiteLink name='docs' href='/a' children='b' />.",
        "[b](https://docs.x/a)",
        "In <ExternalSiteLink href='/a' />.",
        "1:4: <ExternalSiteLink> needs `name`",
    ),
    "Badge": (
        "A <Badge text='b' type='tip' />.",
        'mdx-badge-tip">b</span>',
        "A <Badge type='1' />.",
        "1:3: `1` is no type of <Badge>",
    ),
    "ApiMeta": (
        "<ApiMeta addedVersion='v1.2' removedVersion='2' />",
        'mdx-badge-info">Added in v1.2</span> <span class="mdx-badge mdx-badge-info">R',
        "<ApiMeta />",
        "1:1: <ApiMeta> says no version",
    ),
}
COMPONENTS |= {
    name: (
        f"<{name} name='x' />",
        f'{{mdx-elsewhere}} {{"component": "{name}", "names": ["x"]}}',
        f"<{name}>\nx\n</{name}>",
        f"1:1: <{name}> takes no content",
    )
    for name in vocabulary.ELSEWHERE
}


def missing(names: Iterable[str]) -> set[str]:
    """Return the components without an example, and the examples without one."""
    return set(names) ^ set(COMPONENTS)


def known() -> list[str]:
    """Return every component of the vocabulary."""
    return [*vocabulary.BLOCKS, *vocabulary.WORDS, *vocabulary.ELSEWHERE]


def test_every_component_has_an_example_and_an_error() -> None:
    assert missing(known()) == set()


def test_a_component_without_an_example_is_missed() -> None:
    assert missing([*known(), "New"]) == {"New"}
    assert missing(known()[1:]) == {known()[0]}


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_a_component_is_read(name: str) -> None:
    good, made, _, _ = COMPONENTS[name]
    page = translate(good, components=CONFIGURED)
    assert [error.at("p") for error in page.errors] == []
    assert f"<{name}" in good
    assert made.replace("{{", "{") in page.markdown.replace("\\", "")


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_a_component_is_refused_at_its_place(name: str) -> None:
    _, _, bad, said = COMPONENTS[name]
    errors = translate(bad, components=CONFIGURED).errors
    assert any(error.at("p").startswith(f"p:{said}") for error in errors), errors


ELEMENTS = sorted(vocabulary.INLINE | vocabulary.BLOCK | vocabulary.VOID)


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_element_is_read_and_what_runs_in_it_is_refused(name: str) -> None:
    src = " src='a.png'" if name == "img" else ""
    end = " />" if name in vocabulary.VOID else f">x</{name}>"
    assert translate(f"<{name}{src} id='i'{end}").errors == ()
    errors = translate(f"<{name}{src} onClick='f()'{end}").errors
    column = len(f"<{name}{src} ") + 1
    assert errors[0].at("p").startswith(f"p:1:{column}: `onClick` in <{name}> runs")


@pytest.mark.parametrize(
    "kind", [*vocabulary.CONTAINERS, vocabulary.FOLDED, vocabulary.LISTED]
)
def test_a_container_is_read_and_missed_where_it_is_open(kind: str) -> None:
    page = translate(f":::{kind}\nx\n:::")
    assert page.errors == ()
    assert kind in page.markdown
    errors = translate(f"a\n\n:::{kind}\nx").errors
    assert errors[0].at("p").startswith(f"p:3:1: :::{kind} is never closed")


PACKAGES = sorted(vocabulary.BUILT_IN)


@pytest.mark.parametrize("module", PACKAGES)
def test_an_import_of_what_is_built_in_is_a_comment(module: str) -> None:
    page = translate(f"import {{ Tabs }} from '{module}'\n\ntext")
    assert (page.errors, page.markdown.split("\n")[2]) == ((), "text")
    assert translate(f"import {{ other }} from '{module}/x'\n\ntext").errors


MAPPED = Components(
    mapped={"Frame": "children", "Own": "note", "To": "link", "Step": "Card"},
    aliases={"@docs": "docs"},
)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("<Frame look='x'>\n\nin\n\n</Frame>", ":::{mdx-fragment}\n\nin\n\n:::"),
        ("a <Frame>b</Frame>", "a b"),
        (
            "<Own a='b' c={1} />",
            '{mdx-mapped} {"component": "Own", "texts": ["a: b", "c: 1"]}',
        ),
        ("a <Own v='1' /> b", 'mdx-badge-info">Own · v\\: 1</span> b'),
        ("<To href='/a' title='b' />", "[b](/a)"),
        ("a <To to='/a'>*b*</To>", "a [*b*](/a)"),
        ("<Step title='t' />", '{mdx-card} {"title": "t"}'),
        ("import { Own, Tabs as To } from '../x'\n\n<Own />", "{mdx-mapped}"),
        ("import Own, { type A, Frame } from '../x'\n\n<Own />", "{mdx-mapped}"),
    ],
)
def test_a_component_of_another_project_is_shown_as_configured(text, made) -> None:
    page = translate(text, components=MAPPED)
    assert [error.at("p") for error in page.errors] == []
    assert made.replace("\\:", ":") in page.markdown.replace("\\:", ":")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a <To title='b' />",
            "1:3: <To> is shown as a link and has no address",
        ),
        ("<Step />", "1:1: <Card> needs `title`"),
        ("<Own a={f()} />", "1:9: `f` is no constant"),
        (
            "import { Own, New } from '../x'",
            "1:1: `../x` is code, and a guide imports none; say in mdx_components"
            " how to show <New>",
        ),
        ("import * as Own from '../x'", "1:1: `../x` is code"),
        ("import '../x.css'", "1:1: `../x.css` is code"),
        ("<New />", "1:1: <New> is not a component of the handbook; say in mdx_comp"),
    ],
)
def test_what_the_configuration_does_not_say_is_refused(text: str, said: str) -> None:
    errors = translate(text, components=MAPPED).errors
    assert errors[0].at("p").startswith(f"p:{said}"), errors[0].at("p")


def taken(text: str, **more) -> str:
    """Translate a page of docs/how-to that must be free of errors."""
    page = translate(text, components=MAPPED, folder="docs/how-to", **more)
    assert [error.at("p") for error in page.errors] == []
    assert page.markdown.count("\n") == text.count("\n")
    return page.markdown


def test_an_imported_page_has_its_place_and_its_path() -> None:
    head = "import Part from '../_part.mdx'\nimport Other from '@docs/o.md'\n\n"
    text = taken(f"{head}<Part name='a' />\n\n- <Other />")
    made = ':::{mdx-include} {"page": "docs/_part.mdx", "at": [4, 1], '
    assert made + '"props": {"name": "a"}}' in text
    assert '{"page": "docs/o.md", "at": [6, 3]}' in text
    found = translate(head, components=MAPPED, folder="docs/how-to").imports
    assert [(one.path, one.line, one.column) for one in found] == [
        ("docs/_part.mdx", 1, 19),
        ("docs/o.md", 2, 20),
    ]


def test_an_imported_page_hides_a_component_of_its_name() -> None:
    text = taken("import Steps from './s.mdx'\nimport Tag from './t.mdx'\n\n<Tag />")
    assert '{"page": "docs/how-to/t.mdx"' in text


def test_what_a_page_is_given_is_read_and_has_a_stand_in() -> None:
    assert taken("{props.a || 'b'} {props.n ?? 2}") == "b 2"
    given = {"props": {"a": "x", "n": 0}}
    assert taken("{props.a || 'b'} {props.n ?? 2} {props.n || 3}", **given) == "x 0 3"


def test_a_file_is_shown_whole_or_in_part() -> None:
    assert taken('```sh file="./a.sh#x"\n```').startswith(
        "```{snippet} docs/how-to/a.sh#x"
    )
    assert '{"file": "docs/a.sh", "lang": "sh"}' in taken('```sh file="../a.sh"\n```')
    text = taken("import a from './a.txt?raw'\n\n<Prompt title='t' prompt={a} />")
    assert '{"title": "t", "file": "docs/how-to/a.txt"}' in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import A from '@x/a.mdx'", "1:16: `@x/a.mdx` begins at no folder that is"),
        ("import A from '../../../a.mdx'", "1:16: `../../../a.mdx` leads out of the"),
        ('```sh file="../../../a"\n```', '1:1: file="../../../a" leads out of the'),
        ("import A from './a.mdx'\n\n<A>\nx\n</A>", "3:1: <A> is an imported page and"),
        ("import A from './a.mdx'\n\nx <A />", "3:3: <A> stands in the middle"),
        ("import a from './a?raw'\n\nx {a}", "3:3: the text of docs/how-to/a cannot"),
        (
            "import a from './a?raw'\n\n<Steps x={a} />",
            "3:8: `x` in <Steps> is the text",
        ),
        ("import a from './a?raw'\n\n<b id={a}>x</b>", "3:4: `id` in <b> has a value"),
        (
            "{props.a}",
            "1:8: `props.a` has no value on this page; write the text",
        ),
        ("{'a' && 'b'}", "1:6: `&& 'b'` is code"),
        ("{'a' || f()}", "1:9: `f` is no constant"),
    ],
)
def test_what_cannot_be_taken_in_is_refused_at_its_place(text: str, said: str) -> None:
    page = translate(text, components=MAPPED, folder="docs/how-to")
    assert page.errors[0].at("p").startswith(f"p:{said}"), page.errors[0].at("p")


@pytest.mark.parametrize(
    "text",
    [
        "a < b",
        "a <\tb",
        "| a < b |\n| - |\n| c < d |",
        "- < a",
        "## a < b",
    ],
)
def test_a_smaller_than_before_a_space_is_text_as_for_the_real_compiler(text) -> None:
    page = translate(text)
    assert (page.errors, page.markdown) == ((), text)


@pytest.mark.parametrize("text", ["## a < ", "| a < |\n| - |\n| b |", "- a <\n- b"])
def test_a_smaller_than_at_an_end_is_refused_as_by_the_real_compiler(text) -> None:
    assert "begins no tag" in translate(text).errors[0].what


@pytest.mark.parametrize("said", ["{name=install}", "{name=a:b interactive=false}"])
def test_what_a_runner_of_blocks_is_told_is_no_setting_of_a_reader(said: str) -> None:
    assert translate(f"```sh {said}\nls\n```").errors == ()
    assert translate(f"```sh {said} nonsense\nls\n```").errors
