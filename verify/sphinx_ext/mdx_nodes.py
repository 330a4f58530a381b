"""Shows code whose lines carry marks: highlighted, added, removed or called out."""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes

_LINE = re.compile(r'<span class="hll">(.*?)\n</span>')
_NAMES = {"++": "added", "--": "removed"}

Marks = dict[int, list[tuple[str, int]]]


class mdx_code(nodes.literal_block):  # noqa: N801
    """A code block whose ``marks`` say what each marked line is."""


def decorate(highlighted: str, marks: Marks) -> str:
    """Return highlighted code with a class and a badge on each marked line."""
    waiting = iter(sorted(marks))

    def line(match: re.Match[str]) -> str:
        said = marks.get(next(waiting, 0), [])
        names = sorted({_NAMES.get(kind, kind) for kind, _ in said})
        classes = " ".join(f"mdx-line-{name}" for name in names)
        badges = "".join(
            f'<i class="mdx-callout" role="img" aria-label="Callout {number}" '
            f'data-number="{number}"></i>'
            for kind, number in said
            if kind == "callout"
        )
        return f'<span class="hll {classes}">{match[1]}{badges}\n</span>'

    return _LINE.sub(line, highlighted)


def visit_html(translator: Any, node: mdx_code) -> None:
    """Write the block; its text stays what a reader copies."""
    language = node["language"]
    code = node.astext()
    shown = translator.highlighter.highlight_block(
        code, language, location=node, hl_lines=sorted(node["marks"])
    )
    name = html.escape(language)
    translator.body.append(f'<div class="highlight-{name} notranslate">')
    translator.body.append(decorate(shown, node["marks"]))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def depart_html(translator: Any, node: mdx_code) -> None:
    """Do nothing: the visit wrote it all."""


def visit_other(translator: Any, node: mdx_code) -> None:
    """Write it as the plain code block that it also is."""
    translator.visit_literal_block(node)


def depart_other(translator: Any, node: mdx_code) -> None:
    """End the plain code block."""
    translator.depart_literal_block(node)
