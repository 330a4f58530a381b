"""Shows the excerpt that a guide names, with its place, its file and its test."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from verify import covered
from verify.sphinx_ext.evidence import Evidence, relative_url
from verify.sphinx_ext.excerpt import (
    Excerpt,
    SnippetError,
    Tests,
    find,
    tested_by,
    tested_in,
)

SHOWN = "handbook-shown"  # per page, the files whose code it shows
LEXERS = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml"}
LEXERS |= {".sh": "bash", ".json": "json", ".txt": "text", ".cfg": "ini"}


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
        except SnippetError as error:
            raise self.error(str(error)) from error
        if not excerpt.code:
            raise self.error(f"snippet {target}: there is no code between the markers")
        shown = self.env.metadata[self.env.docname].setdefault(SHOWN, [])
        shown.append(excerpt.path)
        return [self._block(root, excerpt)]

    def _block(self, root: Path, excerpt: Excerpt) -> nodes.Node:
        lexer = LEXERS.get(Path(excerpt.path).suffix, "text")
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
        url = relative_url(self.env.docname, f"downloads/{excerpt.path}")
        one_line = excerpt.first == excerpt.last
        span = f"{excerpt.first}" if one_line else f"{excerpt.first}–{excerpt.last}"
        place = f"line {span}" if one_line else f"lines {span}"
        parts: list[nodes.Node] = []
        if text := self.options.get("caption"):
            parts.append(nodes.inline("", text, classes=["hb-snippet-title"]))
        file = nodes.reference("", excerpt.path, refuri=url, internal=True)
        parts.append(nodes.inline("", "", file, classes=["hb-snippet-file"]))
        parts.append(nodes.inline("", place, classes=["hb-snippet-lines"]))
        self.env.note_dependency(str(root / covered.KEPT))
        if tests := tested_by(root, excerpt):
            parts.append(self._tests(tests))
        elif test := tested_in(root, excerpt):
            self.env.note_dependency(str(root / test))
            note = f"tested in {test}"
            parts.append(nodes.inline("", note, classes=["hb-snippet-test"]))
        return parts

    def _tests(self, tests: Tests) -> nodes.Node:
        """Return how many tests ran the code, linked to the file with most of them."""
        shown = self.env.metadata[self.env.docname].setdefault(SHOWN, [])
        shown.append(tests.file)
        url = relative_url(self.env.docname, f"downloads/{tests.file}")
        link = nodes.reference("", tests.words, refuri=url, internal=True)
        said = nodes.inline("", "tested by ", link, classes=["hb-snippet-test"])
        if tests.others:
            said += nodes.Text(f" and {tests.others}")
        return said
