"""Makes the tree of the sidebar once a build; the theme makes it anew for each page.

The tree of a book with n pages has n links, so the theme's way takes n times n steps:
on 238 pages, two thirds of the build. All that differs from page to page is where
links start, and which branch is open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from docutils import nodes
from pydata_sphinx_theme.toctree import add_toctree_functions
from sphinx.application import Sphinx
from sphinx.environment.adapters.toctree import TocTree

NOWHERE = "nowhere"  # a page of no contents: seen from it, no branch is open
TAG = re.compile(r"(</?(?:ul|li|details|a)\b[^>]*>)")
LINK = re.compile(r'<a class="reference internal" href="([^"]*)">')
LEVEL = re.compile(r"toctree-l\d+")


def setup(app: Sphinx) -> None:
    """Offer ``sidebar_tree`` to templates; ``sbt-sidebar-nav.html`` calls it."""
    trees: dict[Any, Tree] = {}

    def offer(
        app: Sphinx,
        pagename: str,
        templatename: str,
        context: dict[str, Any],
        doctree: nodes.document | None,
    ) -> None:
        context["sidebar_tree"] = _sidebar(app, pagename, context, trees)

    app.connect("html-page-context", offer)


def _sidebar(
    app: Sphinx, page: str, context: Mapping[str, Any], trees: dict[Any, Tree]
) -> Callable[..., str]:
    """Return what stands in for the theme's ``generate_toctree_html`` on one page."""

    def sidebar_tree(**asked: Any) -> str:
        marks_only = asked["show_nav_level"] and not asked["collapse"]
        if not marks_only or app.builder.name != "html":
            # More differs between pages, or links have another shape.
            return str(context["generate_toctree_html"](**asked))
        wish = tuple(sorted(asked.items()))
        if wish not in trees:
            trees[wish] = read(_unmarked(app, asked))
        address = app.builder.get_target_uri
        above = TocTree(app.env).get_toctree_ancestors(page)
        names = [address(name) for name in above]
        return trees[wish].seen_from(address(page), names, context["pathto"])

    return cache(sidebar_tree)  # the theme asks twice: is it empty, and what is it


def _unmarked(app: Sphinx, asked: Mapping[str, Any]) -> str:
    """Return the theme's own tree, as it stands on a page that is not in it."""
    context: dict[str, Any] = {
        "toctree": lambda **how: app.builder._get_local_toctree(NOWHERE, **how)
    }
    add_toctree_functions(app, NOWHERE, "page.html", context, None)
    return str(context["generate_toctree_html"](**asked))


@dataclass(frozen=True)
class Tree:
    """The sidebar, cut at every tag that can differ between pages.

    Attributes
    ----------
    parts : list of str
        The pieces, in order; joined, they are the tree.
    links : dict of int to str
        Which pieces link to a page, and to which address below the root.
    branches : dict of str to set of int
        For each address, the pieces that are marked when it is the current page.
    """

    parts: list[str]
    links: dict[int, str]
    branches: dict[str, set[int]]

    def seen_from(
        self, page: str, above: Sequence[str], pathto: Callable[..., str]
    ) -> str:
        """Return the tree for one page.

        Parameters
        ----------
        page : str
            Its address below the root, such as ``docs/guide.html``.
        above : sequence of str
            Addresses of the pages over it, the nearest first. A page that lies deeper
            than the tree shows opens the branch of the nearest.
        pathto : callable
            Sphinx's function of this name, for this page.
        """
        parts = list(self.parts)
        known = (address for address in [page, *above] if address in self.branches)
        for number in self.branches.get(next(known, ""), ()):
            parts[number] = _marked(parts[number])
        for number, address in self.links.items():
            link = f'href="{pathto(address, resource=True)}"'
            current = "current " if address == page else ""
            parts[number] = f'<a class="{current}reference internal" {link}>'
        return "".join(parts)


def read(html: str) -> Tree:
    """Cut the theme's tree into pieces; links that leave the site stay as they are."""
    parts, links, branches = TAG.split(html), {}, {}
    open_tags: list[list[int]] = []  # of each open list and item, what marks it
    branch_of: dict[str, list[list[int]]] = {}
    for number, part in enumerate(parts):
        if part.startswith(("<ul", "<li")):
            open_tags.append([number])
        elif part in ("</ul>", "</li>"):
            open_tags.pop()
        elif part.startswith("<details"):
            open_tags[-1].append(number)
        elif link := LINK.fullmatch(part):
            links[number] = link[1]
            branch_of.setdefault(link[1], []).extend(open_tags)
    for address, marks in branch_of.items():
        branches[address] = {number for mark in marks for number in mark}
    return Tree(parts, links, branches)


def _marked(tag: str) -> str:
    """Return a tag of the branch that holds the current page."""
    if tag.startswith("<details"):
        return '<details open="open">'
    if tag.startswith("<li"):
        return LEVEL.sub(lambda level: f"{level[0]} current active", tag)
    if "class=" in tag:
        return tag.replace('class="', 'class="current ')
    return '<ul class="current">'
