"""A small book is exported whole, compiled and built, and what is broken goes red."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from verify.export import tree
from verify.mdx import vocabulary

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "verify" / "export" / "site"
INDEX = """---
html_theme.x: true
title: Home
---
# Home

See [a guide](how-to/guide.mdx#last), {ref}`its end <end>` and {doc}`/docs/how-to/old`.

:::{note}
Mind the gap.
:::
"""
GUIDE = """# Guide

```python title="Greet" file="<root>/snippets/greet.py#hello"
```

:::tip Good to know
It is short.
:::

## Last

Back [home](../index.md).
"""
OLD = "# Old\n\n(end)=\n## The end\n\n![A dot](dot.svg)\n"
TOC = """format: jb-book
root: docs/index
chapters:
  - file: docs/how-to/guide
  - file: docs/how-to/old
"""


@pytest.fixture
def book(tmp_path):
    root = tmp_path / "book"
    for name, text in {
        "book.yml": "title: Small\n",
        "docs/_toc.yml": TOC,
        "docs/index.md": INDEX,
        "docs/how-to/guide.mdx": GUIDE,
        "docs/how-to/old.md": OLD,
        "docs/how-to/dot.svg": "<svg/>",
        "notebooks/catalog.yml": "notebooks: {}\n",
        "snippets/greet.py": '"""Greets."""\n\n\ndef hello():\n    return "a < {b}"\n',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def export(root):
    python = os.environ.get("HANDBOOK_BOOK_PYTHON")
    if not python:
        pytest.skip("HANDBOOK_BOOK_PYTHON is not set: no Python with Sphinx")
    out = root.parent / "mdx"
    done = subprocess.run(
        [python, "-m", "verify.export", str(out), "--root", str(root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    return done.returncode, done.stdout + done.stderr, out


def test_a_book_is_exported_with_its_code_its_links_and_its_files(book):
    code, said, out = export(book)
    assert (code, said) == (0, f"mdx export: 3 pages in {out}\n")
    home = (out / "index.mdx").read_text()
    assert home.startswith("---\ntitle: Home\n---\n\n# Home")
    assert "[a guide](./how-to/guide.mdx#last)" in home
    assert "[its end](./how-to/old.mdx#end)" in home
    assert "[Old](./how-to/old.mdx)" in home
    guide = (out / "how-to/guide.mdx").read_text()
    assert '```python title="Greet"\ndef hello():\n    return "a < {b}"\n```' in guide
    assert "[`snippets/greet.py`](/downloads/snippets/greet.py), lines 4–5" in guide
    assert (out / "public/downloads/snippets/greet.py").is_file()
    assert "## The end \\{#end}" in (out / "how-to/old.mdx").read_text()
    assert (out / "public/files/docs/how-to/dot.svg").read_text() == "<svg/>"
    assert '"guide",\n "old"' in (out / "how-to/_meta.json").read_text()


@pytest.mark.parametrize(
    ("page", "text", "message"),
    [
        ("index.md", "\n[x](gone.md)\n", "docs/index.md:13: the link gone.md leads to"),
        (
            "index.md",
            "\n[x](how-to/old.md#no)\n",
            "docs/index.md:13: docs/how-to/old has",
        ),
        ("index.md", "\n{ref}`x <no>`\n", "docs/index.md:13: no heading has the label"),
        ("index.md", "\n{math}`x`\n", "docs/index.md:13: the role {math} cannot be"),
        (
            "index.md",
            "\n```{raw} html\n:file: no.html\n```\n",
            "no.html is no file with a <noscript>, which is all that is exported",
        ),
        (
            "index.md",
            "\n```{toctree}\n```\n",
            "docs/index.md:13: the directive {toctree}",
        ),
        (
            "how-to/guide.mdx",
            '\n```python file="<root>/snippets/greet.py#helo"\n```\n',
            "docs/how-to/guide.mdx:14: snippet snippets/greet.py#helo: no region or",
        ),
    ],
)
def test_what_cannot_be_exported_is_named_and_nothing_is_written(
    book, page, text, message
):
    path = book / "docs" / page
    path.write_text(path.read_text() + text, encoding="utf-8")
    code, said, out = export(book)
    assert code == 1
    assert message in said
    assert not out.exists()


def test_a_part_that_needs_scripts_is_exported_as_what_it_says_without_them(book):
    (book / "docs" / "form.html").write_text(
        "<form>a</form><noscript><p>Run\nthe command.</p></noscript>"
    )
    page = book / "docs" / "index.md"
    text = page.read_text() + "\n```{raw} html\n:file: form.html\n```\n"
    page.write_text(text, encoding="utf-8")
    code, said, out = export(book)
    assert code == 0, said
    assert (out / "index.mdx").read_text().endswith("\nRun the command.\n")


def test_a_heading_with_a_number_has_the_id_that_sphinx_gives_it():
    [heading] = tree.headings("## 10. Pick a checkpoint")
    assert tree.sphinx_id(heading) == "pick-a-checkpoint"


def test_an_anchor_is_kept_where_a_heading_has_it():
    found = tree.Tree(ROOT, ["docs/reference/parameters/sft"])
    page = found.docs["docs/reference/parameters/sft"]
    assert found.kept(page, "ignored-or-refused") == "ignored-or-refused"
    assert found.kept(page, "sft-seed") is None  # it names a row of a table


@pytest.fixture
def modules():
    """Return a folder with the node modules, which `nox -s mdx` installs."""
    folder = Path(os.environ.get("HANDBOOK_MDX_NODE", ROOT / ".nox/env/mdx-node"))
    if shutil.which("node") is None or not (folder / "node_modules").is_dir():
        pytest.skip("node or its modules are missing: run python3 noxfile.py -s mdx")
    return folder


def node(modules, *command, **env):
    done = subprocess.run(
        ["node", *command],
        cwd=modules,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=900,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_exported_book_compiles_and_builds_as_a_site(book, modules):
    code, said, out = export(book)
    assert code == 0, said
    code, said = node(modules, "compile.mjs", str(out))
    assert (code, said) == (0, "mdx: 3 pages compile\n")
    env = {"HANDBOOK_MDX_PAGES": str(out), "HANDBOOK_MDX_SITE": str(book / "site")}
    code, said = node(
        modules, "node_modules/@rspress/core/bin/rspress.js", "build", **env
    )
    assert code == 0, said
    guide = (book / "site/how-to/guide.html").read_text()
    assert "Good to know" in guide and ":::" not in guide


def test_a_page_of_broken_mdx_goes_red_with_its_place(tmp_path, modules):
    (tmp_path / "good.mdx").write_text("# Good\n")
    (tmp_path / "bad.mdx").write_text("# Bad\n\na {b\n")
    code, said = node(modules, "compile.mjs", str(tmp_path))
    assert code == 1
    assert "bad.mdx:3:5: Unexpected end of file in expression" in said
    assert "mdx: 1 of 2 pages do not compile" in said


def test_an_empty_folder_is_no_success(tmp_path, modules):
    code, said = node(modules, "compile.mjs", str(tmp_path))
    assert code == 1
    assert "there is no .mdx page" in said


def test_the_site_project_pins_every_package_it_names():
    import json

    wanted = json.loads((SITE / "package.json").read_text())["dependencies"]
    locked = json.loads((SITE / "package-lock.json").read_text())["packages"]
    assert {f"node_modules/{name}" for name in wanted} <= set(locked)
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version


EVERY = """# Every component

import { Part } from '../theme'
import More from './_more.mdx'
import ask from './ask.txt?raw'
import dot from './dot.svg'

export const version = '2.1'

<Tabs>
<Tab label="One">

In a tab of {version}.

</Tab>
<TabItem value="Two">second</TabItem>
</Tabs>

<PageTabs>
<PageTab label="Three">third</PageTab>
</PageTabs>

<Steps>

### Step it

</Steps>

- <Callout type="tip" title="Listed tip">

  Within a list.

  </Callout>

<Directive type="warning">

Directed.

</Directive>

<Cards>
<Card title="A card" href="./old" description="Described" />
<LinkCard title="Linked" href="./old.md" />
<NewCard title="Renamed" />
</Cards>

<Overview />

<PackageManagerTabs command="add x" />

<NoSSR>

Not served.

</NoSSR>

<CodeBlockRuntime lang="js" title="Code" code={`a < {b}`} />

<JsonViewer value={{ rank: 16 }} />

<Prompt title="Ask" description="Do it." prompt={ask} />

<Prompt custom>

Custom words.

</Prompt>

<SourceCode href="https://example.org/s" /> <Tag tag="v1" /> <Badge text="new" />

Of <Term name="product" />, in <ExternalSite name="docs" /> and
<ExternalSiteLink name="docs" href="/a">*its* page</ExternalSiteLink> or
<ExternalSiteLink name="docs" href="/b" children="another" />.

<ApiMeta addedVersion="2.1" />

<Frame look="wide">

Framed, 3 < 4.

</Frame>

A <Frame>frame</Frame>, <To href="https://example.org/t">to *it*</To>, <Own v="7" />.

<Own v="8">

Owned.

</Own>

<More name="it" />

- <More />

```text file="./ask.txt"
```

:::callouts
1. Called out.
:::

<Callouts>

1. Called again.

</Callouts>

<img src={dot} alt="A dot" />

<video src="./dot.svg" controls />

"""
MORE = """---
title: x
---
import Deep from './deep/_deep.mdx'

export const kind = 'part'

This {kind} is {props.name || 'that'}: [old](./old.md).

<Deep />
"""
SETTINGS = """title: Small
sphinx:
  config:
    mdx_terms: {product: the Platform}
    mdx_sites: {docs: {title: The Docs, url: 'https://example.org/d'}}
    mdx_components: {Frame: children, Own: note, To: link, Part: note, NewCard: Card}
"""
# What is shown by its own role, and is tested where roles are.
MEASURED = ("Outcome", "Receipt")


def every_component(book):
    """Add a page that uses each component of the vocabulary to a book."""
    for name, text in {
        "book.yml": SETTINGS,
        "docs/how-to/guide.mdx": GUIDE
        + GENERATED
        + EVERY.replace("# Every", "## Every"),
        "docs/how-to/_more.mdx": MORE,
        "docs/how-to/deep/_deep.mdx": "Deep below [old](../old.md).\n",
        "docs/how-to/ask.txt": "Please explain {x}.\n",
    }.items():
        (book / name).parent.mkdir(parents=True, exist_ok=True)
        (book / name).write_text(text, encoding="utf-8")
    return book


GENERATED = "".join(f'\n<{name} name="x" />\n' for name in sorted(vocabulary.ELSEWHERE))


def unused(text):
    """Return the components of the vocabulary that a page does not use."""
    known = {*vocabulary.BLOCKS, *vocabulary.WORDS, *vocabulary.ELSEWHERE}
    return {name for name in known - {*MEASURED} if not re.search(rf"<{name}\b", text)}


def test_the_page_of_every_component_misses_none():
    assert unused(EVERY + GENERATED) == set()
    assert unused(EVERY.replace("<Prompt", "<P")) >= {"Prompt"}


def test_every_component_is_plain_mdx_or_one_that_the_site_has(book):
    code, said, out = export(every_component(book))
    assert code == 0, said
    page = (out / "how-to/guide.mdx").read_text()
    code = re.compile(r"^[ \t]*(`{3,})[^\n]*\n.*?^[ \t]*\1$", re.MULTILINE | re.DOTALL)
    used = set(re.findall(r"<([A-Z]\w*)", code.sub("", page)))
    theme = {"Badge", "PackageManagerTabs", "Steps", "Tab", "Tabs"}
    ours = {file.stem for file in (SITE / "components").glob("*.tsx")}
    assert used == theme | ours
    assert theme <= set(re.findall(r"\w+", page.partition("\n\n")[0]))
    for shown in (
        "In a tab of {version}.",
        "- :::tip Listed tip",
        "  Within a list.\n\n  :::",
        ":::warning\n\nDirected.",
        '<Card title="Renamed" />',
        '<Tab value="Two" label="Two">second</Tab>',
        "- [Old](./old.mdx)",
        '```js title="Code"\na < {b}\n```',
        '"rank": 16',
        "**Ask**\n\nDo it.\n\n```text\nPlease explain {x}.\n```",
        "[Source code](https://example.org/s) <code>v1</code>",
        "Of the Platform, in [The Docs](https://example.org/d) and",
        "[*its* page](https://example.org/d/a) or",
        "[another](https://example.org/d/b).",
        '<Badge text="Added in v2.1" />',
        "Framed, 3 < 4.",
        "A frame, [to *it*](https://example.org/t), Own · v\\: 7.",
        "The component Own stands here.\n\nv\\: 8",
        "This part is it: [old](./old.mdx).\n\nDeep below [old](./old.mdx).",
        "- This part is that: [old](./old.mdx).\n\n  Deep below [old](./old.mdx).",
        '```text title="docs/how-to/ask.txt"\nPlease explain {x}.\n```',
        "<Callouts>\n\n1. Called out.\n\n</Callouts>",
        'src="/files/docs/how-to/dot.svg"',
        "The platform generates K8sCrd here, for x.",
    ):
        assert shown in page, shown
    assert "../theme" not in page and "mdx'" not in page


def test_every_component_compiles_and_builds_with_rspress(book, modules):
    code, said, out = export(every_component(book))
    assert code == 0, said
    code, said = node(modules, "compile.mjs", str(out))
    assert (code, said) == (0, "mdx: 3 pages compile\n")
    env = {"HANDBOOK_MDX_PAGES": str(out), "HANDBOOK_MDX_SITE": str(book / "site")}
    code, said = node(
        modules, "node_modules/@rspress/core/bin/rspress.js", "build", **env
    )
    assert code == 0, said
    page = (book / "site/how-to/guide.html").read_text()
    for shown in ("In a tab of", "Within a list.", "Custom words.", "Deep below"):
        assert shown in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Nothing />", "docs/how-to/guide.mdx:14: <Nothing> is not a component"),
        ("import A from './a.mdx'\n\n<A />", "guide.mdx:16: there is no file docs/how"),
        ("import { f } from 'x'", "guide.mdx:14: `x` is code, and a guide imports"),
        ('x <Term name="y" />', "guide.mdx:14: `y` is no term of the configuration"),
        (
            "import A from './_loop.mdx'\n\n<A />",
            "docs/how-to/_loop.mdx:3: docs/how-to/_loop.mdx is taken into itself",
        ),
        (
            "import A from './_fault.mdx'\n\n<A />",
            "docs/how-to/_fault.mdx:2: `y` is no constant of this page",
        ),
    ],
)
def test_a_component_that_cannot_be_exported_is_named_at_its_line(book, text, message):
    (book / "docs/how-to/guide.mdx").write_text(f"{GUIDE}\n{text}\n", encoding="utf-8")
    loop = "import A from './_loop.mdx'\n\n<A />\n"
    (book / "docs/how-to/_loop.mdx").write_text(loop, encoding="utf-8")
    (book / "docs/how-to/_fault.mdx").write_text("x\n{y}\n", encoding="utf-8")
    code, said, _ = export(book)
    assert code == 1
    assert message in said
