"""Shows the excerpt that a guide names, with its place, its file and its test."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from verify import covered
from verify.sphinx_ext import listing
from verify.sphinx_ext.evidence import Evidence, relative_url
from verify.sphinx_ext.excerpt import (
    Excerpt,
    SnippetError,
    find,
    lexer_of,
    tested_by,
    tested_in,
)

SHOWN = "handbook-shown"  # per page, the files whose code it shows


class SnippetDirective(SphinxDirective):
    """``{snippet} path#region-or-object``: the code, its place and its test."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"caption": directives.unchanged, "lines": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the code block, or report the error at the directive's line."""
        root = Evidence.of(self.env.app).root
        target = self.arguments[0].strip()
        self.env.note_dependency(str(root / target.partition("#")[0]))
        try:
            excerpt = find(root, target)
            if not excerpt.code:
                raise SnippetError(f"snippet {target}: there is no code in it")
            return [self._block(root, excerpt)]
        except SnippetError as error:
            raise self.error(str(error)) from error

    def _block(self, root: Path, excerpt: Excerpt) -> nodes.Node:
        lexer = lexer_of(excerpt.path)
        literal = nodes.literal_block(excerpt.code, excerpt.code, language=lexer)
        if "lines" in self.options:
            literal["linenos"] = True
            literal["highlight_args"] = {"linenostart": excerpt.first}
        block = nodes.container(
            "", literal_block=True, classes=["literal-block-wrapper", "hb-snippet"]
        )
        caption = nodes.caption("", "", *self._caption(root, excerpt))
        self.set_source_info(literal)
        self.set_source_info(caption)
        block += [caption, literal]
        return block

    def _caption(self, root: Path, excerpt: Excerpt) -> list[nodes.Node]:
        """Return the title, and links to the file, its lines and its tests."""
        url = relative_url(self.env.docname, f"downloads/{excerpt.path}")
        one_line = excerpt.first == excerpt.last
        span = f"{excerpt.first}" if one_line else f"{excerpt.first}–{excerpt.last}"
        place = f"line {span}" if one_line else f"lines {span}"
        parts: list[nodes.Node] = []
        if text := self.options.get("caption"):
            parts.append(nodes.inline("", text, classes=["hb-snippet-title"]))
        file = nodes.reference("", excerpt.path, refuri=url, internal=True)
        parts.append(nodes.inline("", "", file, classes=["hb-snippet-file"]))
        lines = self._link(place, excerpt)
        parts.append(nodes.inline("", "", lines, classes=["hb-snippet-lines"]))
        self.env.note_dependency(str(root / covered.KEPT))
        if tests := tested_by(root, excerpt):
            said = ["tested by ", self._link(tests.words, tests.first)]
            said += [f" and {tests.others}"] if tests.others else []
        elif test := tested_in(root, excerpt):
            said = ["tested in ", self._link(test.path, test)]
        else:
            return parts
        words = [nodes.Text(one) if isinstance(one, str) else one for one in said]
        parts.append(nodes.inline("", "", *words, classes=["hb-snippet-test"]))
        return parts

    def _link(self, text: str, place: Excerpt) -> nodes.reference:
        """Return a link to lines of a file, which the site then lists and offers."""
        root = Evidence.of(self.env.app).root
        self.env.note_dependency(str(root / place.path))
        self.env.metadata[self.env.docname].setdefault(SHOWN, []).append(place.path)
        url = listing.address(self.env, place)
        return nodes.reference("", text, refuri=url, internal=True)
