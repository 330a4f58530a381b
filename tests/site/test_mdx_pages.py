"""Pages in MDX are built by the real Jupyter Book and show what their author meant."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

GUIDE = """---
title: A guide
weight: 10
---

import { Tabs, Tab } from '@rspress/core/theme'

export const version = '2.1'

# A guide {/* for authors */}

Version {version} for <Term name="product" textCase="capitalize" />, $5 and $6.
See <ExternalSiteLink name="docs" href="/x.html" children="the docs" />,
[other](./other), [other](./other.mdx#deep) and [Markdown](/plain.md), [below](#steps).
A [file](/data/list.txt). Then<br/>Press <kbd>A</kbd>.

## Do it \\{#steps}

<Steps>

### First

<Tabs>
  <Tab label="Linux">
    ---

    - one
  </Tab>
  <Tab label="Mac">two</Tab>
</Tabs>

### Second

</Steps>

:::info Read *this*

:::tip
Inner.
:::

:::

<details>
<summary>More **here**</summary>

Folded ~~old~~ text.

</details>

```bash title="run.sh" {1}
echo "[]"
ls # [!code callout]
rm x # [!code --]
```

<Callouts>

1. Lists files.

</Callouts>

```python file="<root>/snippets/greet.py#greeting" title="The greeting"
```

> [!NOTE]
> An alert.

<Cards>
<Card title="A card" href="./other">

Text of the card.

</Card>
</Cards>

| a | b |
| - | - |
| x<br/>y | <sub>z</sub> |

<Overview />

    not code
"""
REPOSITORY = Path(__file__).resolve().parents[2]
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfz0AEYBxVSF+F"
    "AAhKDveksOjmAAAAAElFTkSuQmCC"
)
SITES = "{docs: {title: The Docs, url: 'https://docs.example/v1'}}"


def with_mdx(book):
    """Configure a term and a site in a small book."""
    config = Path(book.root / "book.yml")
    lines = [
        line
        for line in config.read_text(encoding="utf-8").splitlines(keepends=True)
        if "mdx_terms" not in line and "mdx_sites" not in line
    ]
    config.write_text(
        "".join(lines).replace(
            "    numfig: false\n",
            f"    numfig: false\n    mdx_terms: {{product: the platform}}\n"
            f"    mdx_sites: {SITES}\n"
            "    mdx_components: {Frame: children, Own: note, Step: Card}\n"
            "    mdx_aliases: {'@docs': docs}\n",
        ),
        encoding="utf-8",
    )
    return book


def add(book, name: str, text: str) -> None:
    """Write an MDX page and list it in the contents."""
    book.write(f"docs/{name}.mdx", text)
    book.pages.append(f"docs/{name}")


@pytest.fixture(scope="module")
def guide(new_book):
    """Build a book whose guides use each construct."""
    book = with_mdx(new_book())
    add(book, "guide", GUIDE)
    add(
        book, "other", "# Other\n\n## Far \\{#deep}\n\nBack to [it](guide.mdx#steps).\n"
    )
    book.write("docs/public/data/list.txt", "one\n")
    subset = REPOSITORY / "docs/reference/mdx-subset.mdx"
    add(book, "reference/mdx-subset", subset.read_text(encoding="utf-8"))
    for name in ("building-blocks", "machines", "speed"):
        book.page(f"reference/{name}", f"# The {name}\n")
    add(book, "how-to/install", "# Install\n")
    book.page("plain", "# Plain\n\nTo the [guide](guide.mdx#steps).\n")
    return book.build()


def test_a_guide_with_each_construct_builds_without_a_warning(guide):
    assert guide.code == 0, guide.log
    assert "WARNING" not in guide.log


@pytest.mark.parametrize(
    "shown",
    [
        "Version 2.1 for The platform, $5 and $6.",
        'external" href="https://docs.example/v1/x.html">the docs</a>',
        'href="other.html"',
        'href="other.html#deep"',
        'href="plain.html"',
        'href="#steps"',
        "/list.txt",
        'id="steps"',
        "<br/>Press <kbd>A</kbd>",
        "<hr",
        "Linux",
        "<del>old</del>",
        "More <strong>here</strong>",
        'data-number="1"',
        "mdx-line-removed",
        "mdx-callouts",
        "hb-snippet",
        "The greeting",
        "An alert.",
        'class="mdx-card docutils container"',
        "x<br/>y",
        "<sub>z</sub>",
        "<p>not code</p>",
        "_static/mdx.css",
    ],
)
def test_the_page_shows(guide, shown):
    assert shown in guide.html("docs/guide")


def test_the_steps_are_numbered_sections_of_the_page(guide):
    page = guide.html("docs/guide")
    assert re.search(r'<section class="mdx-step mdx-steps-first" id="first">', page)
    assert re.search(r'<section class="mdx-step" id="second">', page)


def test_an_admonition_shows_its_title_with_its_markup(guide):
    page = guide.html("docs/guide")
    assert 'title">Read <em>this</em></p>' in page
    assert '<div class="admonition tip">' in page


def test_nothing_that_only_the_translation_needs_reaches_the_page(guide):
    page = guide.html("docs/guide")
    for trace in ("\ue000", "\ue001", "\ue002", "mdx-tab}", ":::", "import {", "!code"):
        assert trace not in page
    assert "<!-- -->" not in page


def test_other_pages_find_the_ids_of_a_guide(guide):
    assert 'href="guide.html#steps"' in guide.html("docs/other")
    assert 'href="guide.html#steps"' in guide.html("docs/plain")


FAULTS = """# Faults

A <Foo/> here.

<Tabs>
  <Tab label="a">

[broken](./nowhere)

  </Tab>
</Tabs>

:::tip
[gone](#gone)
:::

```python file="<root>/snippets/greet.py#gone"
```
"""


@pytest.fixture(scope="module")
def faults(new_book):
    """Build a book whose guide has faults in known lines."""
    book = with_mdx(new_book())
    add(book, "faults", FAULTS)
    return book.build()


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (":3:3: ", "<Foo> is not a component"),
        (":8: ", "cross-reference target not found: './nowhere'"),
        (":14: ", "'gone'"),
        (":17: ", "gone"),
    ],
)
def test_a_fault_stops_the_build_and_names_the_authors_line(faults, place, what):
    assert faults.code != 0
    lines = faults.lines(f"docs/faults.mdx{place}")
    assert any(what in line for line in lines), faults.log


def test_the_page_of_the_subset_is_built_and_shows_its_examples(guide):
    page = guide.html("docs/reference/mdx-subset")
    assert page.count('class="mdx-shown"') > 10
    assert "In the <strong>middle</strong>." in page


TAKES = """# Takes in

import Part from '@docs/shared/_part.mdx'
import prompt from './ask.txt?raw'
import { Frame, Own } from '../theme/components'

Before, 3 < 4.

<Frame look="wide">

<Part name="it" />

</Frame>

<Tabs>
{" "}
<Tab label="One"><Part /></Tab>
</Tabs>

<Own chart="speed">

Inside of it.

</Own>

<Step title="A step" href="./other" />

<Prompt title="Ask" prompt={prompt} />

<CodeBlockRuntime lang="python" title="Said" code={`print(1)`} />

<JsonViewer value={{ rank: 16 }} />

<PageTabs>
<PageTab label="First">one</PageTab>
</PageTabs>

<ApiMeta addedVersion="2.1" />

```text file="./ask.txt"
```

<video src="./film.mp4" controls />

:::callouts
1. Listed.
:::
"""
PART = """import More from './more.mdx'

## A part \\{#a-part}

This is {props.name || 'that'}, [beside](../other.mdx), ![a dot](dot.png).

<More />
"""


@pytest.fixture(scope="module")
def takes(new_book):
    """Build a book whose guide takes in pages, files and another's components."""
    book = with_mdx(new_book())
    add(book, "takes", TAKES)
    add(book, "other", "# Other\n")
    book.write("docs/shared/_part.mdx", PART)
    book.write("docs/shared/more.mdx", "And **more**.\n")
    book.write("docs/ask.txt", "Please explain.\n")
    book.write("docs/film.mp4", "film")
    book.write("docs/shared/dot.png", "").write_bytes(base64.b64decode(PIXEL))
    return book.build()


@pytest.mark.parametrize(
    "shown",
    [
        "Before, 3 &lt; 4.",
        'id="a-part"',
        'This is it, <a class="reference internal" href="other.html">',
        "This is that, ",
        'alt="a dot" src="../_images/dot.png"',
        "And <strong>more</strong>.",
        "The component Own stands here.",
        "chart: speed",
        "Inside of it.",
        "A step",
        "Please explain.",
        "Said",
        '<span class="nt">"rank"</span>',
        "First",
        "Added in v2.1",
        'class="mdx-callouts',
        '/film.mp4" controls',
    ],
)
def test_a_page_shows_what_it_takes_in(takes, shown):
    assert takes.code == 0, takes.log
    assert shown in takes.html("docs/takes")


def test_a_film_is_copied_beside_the_pages(takes):
    found = re.search(r'<video src="\.\./(_downloads/[^"]+)"', takes.html("docs/takes"))
    assert (takes.site / found[1]).read_text() == "film"


TAKES_WRONG = """# Wrong

import Gone from './gone.mdx'
import Part from './part.mdx'
import Loop from './loop.mdx'

<Part />

<Loop />

<video src="gone.mp4" />
"""


@pytest.fixture(scope="module")
def takes_wrong(new_book):
    """Build a book whose guide takes in what is not there or has faults."""
    book = with_mdx(new_book())
    add(book, "wrong", TAKES_WRONG)
    book.write("docs/part.mdx", "Fine.\n\nA {fault}.\n\n[broken](./nowhere)\n")
    book.write("docs/loop.mdx", "import Loop from './loop.mdx'\n\n<Loop />\n")
    return book.build()


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("docs/wrong.mdx:3:19: ", "there is no file docs/gone.mdx"),
        ("docs/part.mdx:3:4: ", "`fault` is no constant"),
        ("docs/part.mdx:5: ", "cross-reference target not found: './nowhere'"),
        ("docs/loop.mdx:3:1: ", "docs/loop.mdx is taken into itself"),
        ("docs/wrong.mdx:11: ", "there is no file gone.mp4"),
    ],
)
def test_a_fault_of_a_page_taken_in_names_its_own_line(takes_wrong, place, what):
    assert takes_wrong.code != 0
    assert any(what in line for line in takes_wrong.lines(place)), takes_wrong.log


def test_a_way_that_no_component_is_shown_in_stops_the_build(new_book):
    book = with_mdx(new_book())
    config = book.root / "book.yml"
    config.write_text(config.read_text().replace("Own: note", "Own: nothing"))
    add(book, "page", "# Page\n")
    built = book.build()
    assert built.code != 0
    assert "mdx_components: 'Own' is shown as 'nothing'; write children" in built.log
