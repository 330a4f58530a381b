"""Makes a large book of MDX pages from a seed: what a platform's guides look like.

Of 238 guides that are published elsewhere, a page has 5.7 KB and 115 lines, with a code
block in 37 lines; here it is 6.3 KB and 106 lines, with one in 32. Words are invented.
"""

from __future__ import annotations

import json
import posixpath
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = 240
FEW = 24
SEED = 4
DEEPEST = 5
CHILDREN = 9
SHARED = ("docs/_static", "docs/_templates", "snippets", ".ci/locks")
FILES = ("book.yml", "pyproject.toml", "LICENSE")
SYLLABLES = "ba ce di kro gu la me ni po ru sa ky vi xo zu bra cle dro fri plu".split()
CODE = {
    "yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {0}\ndata:\n"
    "  {1}: |\n    {2} = {3}\n    {4}: true\n  {5}: '{6}'\n",
    "bash": "export {0}={1}\nkubectl get pods -n {2} -l app={3}\n# {4} {5}\n"
    'for each in {6} {7}; do\n  echo "$each"\ndone\n',
    "python": "from {0} import {1}\n\n\ndef {2}({3}: int) -> dict[str, int]:\n"
    '    """{4} {5}."""\n    return {{"{6}": {3} + 1, "{7}": {1}({3})}}\n',
    "json": '{{\n  "{0}": ["{1}", "{2}"],\n  "{3}": {{"{4}": 3, "{5}": null}}\n}}\n',
}


@dataclass(frozen=True)
class Page:
    """One page: its number, its parent's (none: the root), its level and its file."""

    number: int
    parent: int | None
    level: int
    file: str


def generate(root: Path, pages: int = PAGES, seed: int = SEED) -> list[Page]:
    """Write a book with this repository's configuration, look, snippets and locks.

    Parameters
    ----------
    root : Path
        A new folder.
    pages : int
        How many pages, the first one included.
    seed : int
        The same seed gives the same book.

    Returns
    -------
    list of Page
        In the order of their numbers.
    """
    rng = random.Random(seed)
    found = places(pages, rng)
    writer = Writer(rng, found)
    for folder in SHARED:
        shutil.copytree(REPOSITORY / folder, root / folder)
    for name in FILES:
        shutil.copy(REPOSITORY / name, root)
    (root / "notebooks").mkdir()
    (root / "notebooks/catalog.yml").write_text("notebooks: {}\n", encoding="utf-8")
    for page in found:
        path = root / page.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(writer.page(page), encoding="utf-8")
    contents = {"format": "jb-book", "root": "docs/index"}
    text = json.dumps({**contents, "chapters": chapters(found, 0)}, indent=1)
    (root / "docs/_toc.yml").write_text(text, encoding="utf-8")  # JSON is YAML too
    return found


def places(count: int, rng: random.Random) -> list[Page]:
    """Return the pages of a tree: every fourth can have others below it."""
    parents, levels = [None], [0]
    for _ in range(1, count):
        free = [
            number
            for number in range(0, len(levels), 4)
            if levels[number] < DEEPEST
            and (not number or parents.count(number) < CHILDREN)
        ]
        parents.append(rng.choice(free))
        levels.append(levels[parents[-1]] + 1)
    folders = {0: "docs"}
    for number in range(1, count):
        if number in parents:
            folders[number] = f"{folders[parents[number]]}/part-{number:03d}"
    files = [
        f"{folders[number]}/index.mdx"
        if number in folders
        else f"{folders[parents[number]]}/guide-{number:03d}.mdx"
        for number in range(count)
    ]
    rows = zip(range(count), parents, levels, files, strict=True)
    return [Page(*row) for row in rows]


def chapters(pages: list[Page], below: int) -> list[dict]:
    """Return the contents below one page, for ``_toc.yml``."""
    found = []
    for page in pages:
        if page.parent == below:
            entry = {"file": page.file.removesuffix(".mdx")}
            sections = chapters(pages, page.number)
            found.append({**entry, "sections": sections} if sections else entry)
    return found


def text(pages: list[Page], root: Path, size: int) -> str:
    """Return the pages as one text of ``size`` characters or more, repeated if need be.

    Headings get new ids in each repetition, as no page can use an id twice.
    """
    bodies = [
        (root / page.file).read_text(encoding="utf-8").split("---\n", 2)[2]
        for page in pages
    ]
    whole, again = "", 0
    while len(whole) < size:
        whole += "".join(bodies).replace("\\{#p", f"\\{{#r{again}-p")
        again += 1
    return whole


class Writer:
    """Writes pages out of invented words."""

    def __init__(self, rng: random.Random, pages: list[Page]) -> None:
        self.rng, self.pages = rng, pages
        lengths = (rng.randint(2, 4) for _ in range(6000))
        made = ("".join(rng.choices(SYLLABLES, k=length)) for length in lengths)
        self.words = sorted(set(made))

    def page(self, page: Page) -> str:
        """Return a whole page, front matter and all."""
        title = self.some(3).capitalize()
        head = f"---\nweight: {page.number}\ntitle: {title}\n---\n\n# {title}\n\n"
        parts = [self.prose(page)]
        for number in range(self.rng.randint(3, 9)):
            heading = f"## {self.some(4).capitalize()} \\{{#p{page.number}-{number}}}"
            parts += [heading, self.prose(page), self.construct(page)]
        if page.file.endswith("index.mdx"):
            parts.append("<Overview />")
        return head + "\n\n".join(parts) + "\n"

    def some(self, count: int) -> str:
        """Return a few words."""
        return " ".join(self.rng.choices(self.words, k=count))

    def prose(self, page: Page) -> str:
        """Return a paragraph with what paragraphs of guides have in them."""
        other = self.rng.choice(self.pages)
        link = posixpath.relpath(other.file, posixpath.dirname(page.file))
        first = f"{self.some(9).capitalize()} **{self.some(2)}**, `{self.some(1)}`."
        second = f"See [{self.some(2)}]({link}) {self.some(14)}."
        return f"{first} {second} {self.some(self.rng.randint(8, 30)).capitalize()}."

    def construct(self, page: Page) -> str:
        """Return one thing that is no paragraph."""
        kinds = (self.fence, self.fence, self.table, self.list_, self.tabs)
        kinds += (self.steps, self.container, self.details, self.list_)
        return self.rng.choice(kinds)()

    def fence(self) -> str:
        """Return a code block, in one of two with a title."""
        language, code = self.rng.choice(list(CODE.items()))
        named = f' title="{self.some(1)}"' if self.rng.random() < 0.5 else ""
        filled = code.format(*self.rng.choices(self.words, k=8))
        return f"```{language}{named}\n{filled}```"

    def table(self) -> str:
        """Return a table of three columns."""
        rows = [f"| `{self.some(1)}` | {self.some(3)} | {self.some(6)} |"]
        rows += [f"| `{self.some(1)}` | **{self.some(2)}** | {self.some(5)} |"] * 4
        return "| Name | What | Why |\n| --- | --- | --- |\n" + "\n".join(rows)

    def list_(self) -> str:
        """Return a list, with another in its second item."""
        items = [f"- {self.some(8)}, `{self.some(1)}`" for _ in range(5)]
        items.insert(2, f"  - {self.some(5)}\n  - *{self.some(4)}*")
        return "\n".join(items)

    def tabs(self) -> str:
        """Return two tabs, one with code."""
        first = f'<Tab label="{self.some(1)}">\n\n{self.fence()}\n\n</Tab>'
        second = f'<Tab label="{self.some(1)}">\n\n{self.list_()}\n\n</Tab>'
        return f"<Tabs>\n{first}\n{second}\n</Tabs>"

    def steps(self) -> str:
        """Return numbered headings with a text and a code block each."""
        parts = [
            f"### {self.some(3).capitalize()}\n\n{self.some(15)}.\n\n{self.fence()}"
            for _ in range(2)
        ]
        return "<Steps>\n\n" + "\n\n".join(parts) + "\n\n</Steps>"

    def container(self) -> str:
        """Return a note, a tip or a warning."""
        kind = self.rng.choice(("note", "tip", "warning", "info", "danger"))
        return f":::{kind}\n{self.some(24).capitalize()}.\n:::"

    def details(self) -> str:
        """Return a text that folds away."""
        summary = f"<summary>{self.some(4)}</summary>"
        return f"<details>\n{summary}\n\n{self.some(30)}.\n\n</details>"
