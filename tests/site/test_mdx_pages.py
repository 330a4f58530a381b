"""Pages in MDX are built by the real Jupyter Book and show what their author meant."""

from __future__ import annotations

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
            f"    mdx_sites: {SITES}\n",
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
