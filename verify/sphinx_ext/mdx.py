"""Lets pages of the book be written in MDX: reads them with ``verify.mdx``.

The translation keeps every line in its place, so a warning names the author's line.
Containers become part of the page's one token stream rather than texts of their own.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import roles
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.tree import SyntaxTreeNode
from myst_parser.mdit_to_docutils.base import token_line
from myst_parser.mdit_to_docutils.sphinx_ import SphinxRenderer
from myst_parser.mocking import MockInliner
from myst_parser.parsers.mdit import create_md_parser
from myst_parser.parsers.sphinx_ import MystParser
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx_design.shared import create_component

from verify.mdx import fence, vocabulary
from verify.mdx.page import END, LINE, SPLIT
from verify.sphinx_ext import mdx_nodes
from verify.sphinx_ext.mdx_read import from_root, read, report

SUFFIX = ".mdx"
EXTENSIONS = {"attrs_inline", "linkify", "strikethrough", "tasklist"}
# What MyST would read and MDX shows as text. Line comments stay: the translation
# writes them for import lines and comments, and escapes those of the author.
DISABLED = ["code", "html_block", "autolink", "myst_block_break", "myst_target"]
DISABLED += ["myst_role"]
TIGHT = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "summary", "td", "th", "li", "dt"}
TIGHT |= {"caption", "figcaption", "span", "a", "b", "strong", "em", "i", "u", "dd"}
TITLED = {"note": nodes.note, "tip": nodes.tip, "warning": nodes.warning}
TITLED |= {"caution": nodes.caution, "danger": nodes.danger}
TITLED |= {"important": nodes.important}
ALERT = re.compile(r"\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION|DANGER|INFO)\][ \t]*$")
_OPENING = re.compile(r"(:{3,})\{mdx-([a-z]+)\}[ \t]*(.*)$")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_MEASURED = re.compile(
    r'<mdx-measured data-role="(\w+)" data-name="([^"]*)" data-format="([^"]*)" />$'
)
_PLAYED = re.compile(r"<(?:video|audio|source|track)\b")
_SOURCE = re.compile(r"\b(src|poster)=\"([^\"]*)\"")
_COMMENT = re.compile(r"\s*<!-- -->\s*$")
log = logging.getLogger(__name__)


def setup(app: Sphinx) -> None:
    """Register the suffix, the parser, its configuration and its node."""
    app.add_config_value("mdx_terms", {}, "env", dict)
    app.add_config_value("mdx_sites", {}, "env", dict)
    app.add_config_value("mdx_components", {}, "env", dict)
    app.add_config_value("mdx_aliases", {}, "env", dict)
    app.add_config_value("mdx_root", "docs", "env", str)
    app.add_config_value("mdx_public", "docs/public", "env", str)
    app.add_css_file("mdx.css")
    app.add_source_suffix(SUFFIX, "mdx")
    app.add_source_parser(MdxParser)
    other = (mdx_nodes.visit_other, mdx_nodes.depart_other)
    shown = (mdx_nodes.visit_html, mdx_nodes.depart_html)
    app.add_node(
        mdx_nodes.mdx_code,
        html=shown,
        latex=other,
        text=other,
        man=other,
        texinfo=other,
    )


class MdxParser(MystParser):
    """Reads ``.mdx`` pages: translates, reports, and hands the text to MyST."""

    supported = ("mdx",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Fill a document from the text of a page."""
        env = document.settings.env
        page = read(env, Path(env.doc2path(env.docname)), inputstring)
        config = env.myst_config.copy(
            enable_extensions=set(EXTENSIONS),
            disable_syntax=list(DISABLED),
            heading_anchors=6,
            linkify_fuzzy_links=False,
            title_to_header="title" in page.front_matter and not page.titled,
            fence_as_directive=set(),
        )
        parser = create_md_parser(config, MdxRenderer)
        add_rules(parser)
        parser.options["document"] = document
        parser.options["mdx_anchors"] = page.anchors
        parser.render(page.markdown)


def add_rules(md: MarkdownIt) -> None:
    """Teach a Markdown parser the containers that the translation writes."""
    alt = {"alt": ["paragraph", "reference", "blockquote", "list", "footnote_def"]}
    md.block.ruler.before("fence", "mdx_line", _line, alt)
    md.block.ruler.before("fence", "mdx_container", _container, alt)


def _text(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _container(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    opening = _OPENING.match(_text(state, start))
    if not opening:
        return False
    if silent:
        return True
    stop, closed = start + 1, False
    while stop < end and not closed:
        text = _text(state, stop)
        if text and state.sCount[stop] < state.blkIndent:
            break
        closed = text.startswith(opening[1]) and not text.strip(": \t")
        stop += 1
    token = state.push("mdx_container_open", "div", 1)
    token.map = [start, stop]
    token.meta = {"kind": opening[2], "said": json.loads(opening[3] or "{}")}
    outer, last = state.parentType, state.lineMax
    state.parentType, state.lineMax = "container", stop - closed
    state.md.block.tokenize(state, start + 1, stop - closed)
    state.parentType, state.lineMax = outer, last
    state.push("mdx_container_close", "div", -1)
    state.line = stop
    return True


def _line(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if not _text(state, start).startswith(LINE):
        return False
    if silent:
        return True
    stop = start + 1
    while stop < end and END not in _text(state, stop - 1):
        stop += 1
    content = "\n".join(_text(state, line) for line in range(start, stop))
    content = content.replace(LINE, "").replace(END, "")
    state.line = stop
    if SPLIT in content:
        _sub_lines(state, content, start)
        return True
    opening = state.push("mdx_line_open", "", 1)
    opening.map = [start, stop]
    inline = state.push("inline", "", 0)
    inline.content, inline.map, inline.children = content, [start, stop], []
    state.push("mdx_line_close", "", -1)
    return True


def _sub_lines(state: StateBlock, content: str, line: int) -> None:
    """Read several blocks that the author wrote on one line."""
    parts = [part for part in content.split(SPLIT) if part.strip()]
    begun = len(state.tokens)
    state.md.block.parse("\n".join(parts), state.md, state.env, state.tokens)
    for token in state.tokens[begun:]:
        token.level += state.level
        if token.map:
            token.map = [line, line + 1]


def _stem(path: str) -> str:
    for suffix in (".mdx", ".md", ".html"):
        if path.endswith(suffix):
            return path.removesuffix(suffix)
    return path


class MdxRenderer(SphinxRenderer):
    """Writes the doctree of an MDX page."""

    # -- containers -------------------------------------------------------------------

    def render_mdx_line(self, token: SyntaxTreeNode) -> None:
        """Write elements that stand alone on a line without a paragraph around."""
        self.render_children(token)

    def render_mdx_container(self, token: SyntaxTreeNode) -> None:
        """Write a container with the method that its kind names."""
        getattr(self, f"mdx_{token.meta['kind']}")(token, token.meta["said"])

    def _inside(self, token: SyntaxTreeNode, node: nodes.Element) -> None:
        self.add_line_and_source_path(node, token)
        with self.current_node_context(node, append=True):
            self.render_children(token)

    def _words(self, token: SyntaxTreeNode, node: nodes.Element, text: str) -> None:
        self.add_line_and_source_path(node, token)
        with self.current_node_context(node, append=True):
            self.nested_render_text(text, token_line(token, 0), inline=True)

    def _raw(self, text: str, line: int = 0) -> None:
        if _PLAYED.match(text):
            text = _SOURCE.sub(lambda found: self._played(found, line), text)
        self.current_node.append(nodes.raw("", text, format="html"))

    def _played(self, found: re.Match[str], line: int) -> str:
        """Copy a film or a sound beside the pages, and return where it is found."""
        source = html.unescape(found[2])
        if _SCHEME.match(source):
            return found[0]
        env, here = self.sphinx_env, Path(self.document["source"])
        name = self._public(source) or f"/{posixpath.join(self._folder(), source)}"
        name = posixpath.normpath(name.lstrip("/"))
        if not (Path(env.srcdir) / name).is_file():
            report(here, (line,), f"there is no file {source}; write the path of one")
            return found[0]
        env.note_dependency(name)
        kept = env.dlfiles.add_file(env.docname, name)
        up = "../" * env.docname.count("/")
        return f'{found[1]}="{html.escape(f"{up}_downloads/{kept}")}"'

    def mdx_fragment(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write only what is inside."""
        self.render_children(token)

    def mdx_admonition(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write a note, a warning or another of their kind."""
        kind, title = said["kind"], said.get("title")
        if title is None and kind in TITLED:
            self._inside(token, TITLED[kind]())
            return
        look = {"info": "note"}.get(kind, kind)
        node = nodes.admonition(classes=[look, f"mdx-{kind}"])
        self.add_line_and_source_path(node, token)
        with self.current_node_context(node, append=True):
            self._words(token, nodes.title(), title or "Info")
            self.render_children(token)

    def mdx_details(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write a text that folds away under its title."""
        self._raw('<details class="mdx-details"><summary>')
        self._words(token, nodes.inline(), said.get("title", "Details"))
        self._raw("</summary>")
        self.render_children(token)
        self._raw("</details>")

    def mdx_element(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write an HTML element; one that holds a line gets no paragraph inside."""
        tag, opening = said["tag"], said["html"]
        if tag == "p":
            tag, opening = "div", opening.replace("<p", "<div", 1)
        if tag == "center":
            tag, opening = "div", '<div style="text-align: center">'
        node = nodes.container()
        with self.current_node_context(node):
            self.render_children(token)
        inside = list(node.children)
        if said["tag"] in TIGHT and len(inside) == 1:
            only = inside[0]
            inside = only.children if isinstance(only, nodes.paragraph) else inside
        self._raw(opening, token_line(token, 0))
        for child in inside:
            self.current_node.append(child)
        if tag not in vocabulary.VOID:
            self._raw(f"</{tag}>")

    def mdx_tabs(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write a set of tabs; anything between the tabs is reported."""
        node = create_component("tab-set", classes=["sd-tab-set"])
        self._inside(token, node)
        for child in list(node.children):
            if not (isinstance(child, nodes.container) and "label" in child):
                place = (self.document["source"], child.line or token_line(token, 0))
                message = "text stands between the tabs; put it inside a <Tab>"
                log.warning(message, location=f"{place[0]}:{place[1]}", type="mdx")
        for item in node.children:
            item.attributes.pop("label", None)

    def mdx_tab(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write one tab."""
        item = create_component("tab-item", classes=["sd-tab-item"], selected=False)
        item["label"] = said["label"]
        label = nodes.rubric(
            said["label"], nodes.Text(said["label"]), classes=["sd-tab-label"]
        )
        self.add_line_and_source_path(label, token)
        item += label
        self.current_node.append(item)
        content = create_component("tab-content", classes=["sd-tab-content"])
        with self.current_node_context(item):
            self._inside(token, content)

    def mdx_packages(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write one command for several package managers."""
        node = create_component("tab-set", classes=["sd-tab-set"])
        with self.current_node_context(node, append=True):
            for name, command in said["command"].items():
                item = create_component(
                    "tab-item", classes=["sd-tab-item"], selected=False
                )
                label = nodes.rubric(name, nodes.Text(name), classes=["sd-tab-label"])
                content = create_component("tab-content", classes=["sd-tab-content"])
                content += nodes.literal_block(command, command, language="bash")
                item += [label, content]
                self.current_node.append(item)

    def mdx_steps(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Number the headings inside; they stay sections of the page."""
        before, self._steps = getattr(self, "_steps", None), 0
        self.render_children(token)
        self._steps = before

    def mdx_callouts(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write the list that explains the callouts of a code block."""
        self._inside(token, nodes.container(classes=["mdx-callouts"]))

    def mdx_cards(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write a grid of cards."""
        self._inside(token, nodes.container(classes=["mdx-cards"]))

    def mdx_card(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write a card: a title, which may be a link, and a text."""
        title = nodes.paragraph(classes=["mdx-card-title"])
        text = re.sub(r"([\\`*_\[\]<>{}])", r"\\\1", str(said["title"]))
        text = f"[{text}](<{said['href']}>)" if "href" in said else text
        card = nodes.container(classes=["mdx-card"])
        self.add_line_and_source_path(card, token)
        with self.current_node_context(card, append=True):
            self._words(token, title, text)
            if "description" in said:
                about = str(said["description"])
                self.current_node.append(nodes.paragraph(about, about))
            self.render_children(token)

    def mdx_overview(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write links to the other pages of the folder."""
        env = self.sphinx_env
        folder = posixpath.dirname(env.docname)
        pages = sorted(
            name
            for name in env.found_docs
            if posixpath.dirname(name) == folder and name != env.docname
        )
        rows = nodes.bullet_list()
        with self.current_node_context(rows, append=True):
            for name in pages:
                item, text = nodes.list_item(), nodes.paragraph()
                with self.current_node_context(item, append=True):
                    self._words(token, text, f"[](</{name}>)")

    def mdx_mapped(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Say which component of another project stands here, and show its content."""
        node = nodes.note(classes=["mdx-elsewhere"])
        texts = [f"The component {said['component']} stands here.", *said["texts"]]
        node += [nodes.paragraph(text, text) for text in texts]
        self._inside(token, node)

    def mdx_listing(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write the code of a component, or a whole file, as a block."""
        line, title = token_line(token, 0), said.get("title", "")
        title = " ".join(str(title).split())
        if file := said.get("file"):
            path = Path(self.sphinx_env.srcdir) / file
            self.sphinx_env.note_dependency(str(path))
            if not path.is_file():
                here = Path(self.document["source"])
                what = f"there is no file {file}; write the path of one"
                report(here, (line,), what)
                return
            said = {"code": path.read_text("utf-8").rstrip("\n"), **said}
            title = title or file
        code = str(said["code"])
        marks = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
        head = str(said.get("lang") or "text").split(" ")[0]
        head += f' title="{title.replace(chr(34), chr(39))}"' if title else ""
        self.nested_render_text(f"{marks}{head}\n{code}\n{marks}", line)

    def mdx_prompt(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write a text that readers give to an assistant."""
        node = nodes.container(classes=["mdx-card"])
        if title := said.get("title"):
            node += nodes.paragraph(title, title, classes=["mdx-card-title"])
        if about := said.get("description"):
            node += nodes.paragraph(about, about)
        self._inside(token, node)
        with self.current_node_context(node):
            if "file" in said:
                self.mdx_listing(token, {"file": said["file"]})
            elif "prompt" in said:
                self.mdx_listing(token, {"code": said["prompt"]})

    def mdx_include(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Write another page in this place; its warnings name its own lines."""
        env, path = self.sphinx_env, Path(self.sphinx_env.srcdir) / said["page"]
        here = Path(self.document["source"])
        if not path.is_file():
            return  # reported where it is imported
        env.note_dependency(str(path))
        chain = [*getattr(self, "_chain", []), here.resolve()]
        if path.resolve() in chain:
            what = f"{said['page']} is taken into itself; remove one of the tags"
            report(here, (said["at"][0], said["at"][1]), what)
            return
        page = read(env, path, path.read_text("utf-8"), said.get("props", {}))
        with self._inside_file(path, page.anchors, chain):
            self.nested_render_text(page.markdown, 0)

    @contextmanager
    def _inside_file(
        self, path: Path, anchors: dict[int, str], chain: list[Path]
    ) -> Iterator[None]:
        """Make places and links those of a file while it is written."""
        document, reporter, options = self.document, self.reporter, self.md.options
        kept = (document["source"], reporter.source, options["mdx_anchors"])
        kept_chain, own = getattr(self, "_chain", []), vars(reporter).copy()
        document["source"] = reporter.source = str(path)
        reporter.get_source_and_line = lambda line=None: (str(path), line)
        options["mdx_anchors"], self._chain = anchors, chain
        try:
            yield
        finally:
            document["source"], reporter.source, options["mdx_anchors"] = kept
            del reporter.get_source_and_line
            vars(reporter).update(own)
            self._chain = kept_chain

    def mdx_elsewhere(self, token: SyntaxTreeNode, said: dict[str, Any]) -> None:
        """Say what the platform's own build shows in this place."""
        node = nodes.note(classes=["mdx-elsewhere"])
        self.add_line_and_source_path(node, token)
        names = ", ".join(said["names"]) or "this page"
        text = f"The platform generates {said['component']} here, for {names}."
        node += nodes.paragraph(text, text)
        self.current_node.append(node)

    # -- text -------------------------------------------------------------------------

    def generate_heading_target(
        self,
        token: SyntaxTreeNode,
        level: int,
        node: nodes.Element,
        title_node: nodes.Element,
    ) -> None:
        """Give a heading the id of the author beside the one of its text."""
        super().generate_heading_target(token, level, node, title_node)
        steps = getattr(self, "_steps", None)
        if steps is not None and level > 1:
            node["classes"].append("mdx-step")
            if not steps:
                node["classes"].append("mdx-steps-first")
            self._steps = steps + 1
        anchor = self.md.options["mdx_anchors"].get(token_line(token, 0))
        if anchor is None:
            return
        node["slug"] = anchor
        if anchor not in self.document.ids:
            node["ids"].insert(0, anchor)
            self.document.ids[anchor] = node
        self._heading_slugs[anchor] = (node.line, anchor, title_node.astext())

    def render_hr(self, token: SyntaxTreeNode) -> None:
        """Write a rule; docutils has none inside containers or at a page's end."""
        self._raw('<hr class="docutils"/>')

    def render_s(self, token: SyntaxTreeNode) -> None:
        """Write struck text."""
        self._raw("<del>")
        self.render_children(token)
        self._raw("</del>")

    def render_html_inline(self, token: SyntaxTreeNode) -> None:
        """Write an HTML tag, but not what only holds a line's place."""
        measured = _MEASURED.match(token.content)
        if measured:
            self._measured(token, *map(html.unescape, measured.groups()))
        elif not _COMMENT.match(token.content):
            self._raw(token.content, token_line(token, 0))

    def _measured(self, token: SyntaxTreeNode, role: str, name: str, spec: str) -> None:
        """Write a measured number, as the role of the same name does."""
        text = f"{name}|{spec}" if spec else name
        raw = f"<{role.capitalize()} name={name!r} />"
        line = token_line(token, 0)
        function, problems = roles.role(role, self.language_module_rst, line, None)
        found, more = function(role, raw, text, line, MockInliner(self))
        self.current_node.extend([*found, *problems, *more])

    def render_blockquote(self, token: SyntaxTreeNode) -> None:
        """Write a quote, or the note that ``[!NOTE]`` on its first line makes of it."""
        first = token.children[0] if token.children else None
        words = first.children[0] if first and first.type == "paragraph" else None
        line = words.content.partition("\n")[0] if words else ""
        alert = ALERT.match(line)
        if not alert or words is None or words.children is None:
            super().render_blockquote(token)
            return
        quote = nodes.container()
        with self.current_node_context(quote):
            super().render_blockquote(token)
        inside = quote.children[0]
        text = inside.next_node(nodes.Text)
        if text is not None:
            after = text.next_node(nodes.Text, descend=False, siblings=True)
            text.parent.remove(text)
            if after is not None and not after.strip():
                after.parent.remove(after)
        kind = TITLED.get(alert[1].lower(), nodes.note)()
        self.add_line_and_source_path(kind, token)
        kind.extend(inside.children)
        self.current_node.append(kind)

    # -- links ------------------------------------------------------------------------

    def render_link(self, token: SyntaxTreeNode) -> None:
        """Write a link; a page is found with its suffix and without."""
        href = str(token.attrGet("href") or "")
        if href and not href.startswith("#") and not _SCHEME.match(href):
            if place := self._page(href):
                token.attrs["href"] = place
            return self.render_link_unknown(token)
        return super().render_link(token)

    def _page(self, href: str) -> str | None:
        """Return a link from the root of the sources, if a page stands there."""
        env = self.sphinx_env
        href = self.md.normalizeLinkText(href)
        path, hash_, target = href.partition("#")
        path = path.partition("?")[0]
        here = self._folder()
        bases = [here] if not path.startswith("/") else ["", env.config.mdx_root]
        for base in bases:
            full = posixpath.normpath(posixpath.join(base, path.lstrip("/")))
            for name in (_stem(full), f"{full}/index", f"{full}/README"):
                if name in env.found_docs:
                    suffix = Path(str(env.doc2path(name))).suffix
                    return f"/{name}{suffix}{hash_}{target}"
        return self._public(path)

    def _folder(self) -> str:
        """Return the folder of the file whose text is written now."""
        return posixpath.dirname(
            from_root(self.sphinx_env, Path(self.document["source"]))
        )

    def _public(self, path: str) -> str | None:
        """Return the place of a file that the platform serves from its root.

        What another file names that is taken in here is found from its own folder.
        """
        taken_in = getattr(self, "_chain", None) and not _SCHEME.match(path)
        if taken_in and not path.startswith("/"):
            path = f"/{self._folder()}/{path}"
        if path.startswith("/"):
            for folder in (self.sphinx_env.config.mdx_public, ""):
                name = posixpath.normpath(posixpath.join(folder, path.lstrip("/")))
                if (Path(self.sphinx_env.srcdir) / name).is_file():
                    return f"/{name}"
        return None

    def render_image(self, token: SyntaxTreeNode) -> None:
        """Write an image; one of the root comes from the folder of public files."""
        source = self.md.normalizeLinkText(str(token.attrGet("src") or ""))
        if place := self._public(source):
            token.attrs["src"] = place
        super().render_image(token)

    # -- code -------------------------------------------------------------------------

    def render_fence(self, token: SyntaxTreeNode) -> None:
        """Write a code block with its title, its lines and its marks."""
        if token.info.strip().startswith("{"):
            super().render_fence(token)
            return
        info = fence.read_info(token.info)
        marked = fence.read_marks(token.content.rstrip("\n"))
        marks = dict(marked.marks)
        for line in info.lines:
            if line <= marked.code.count("\n") + 1:
                marks[line] = [*marks.get(line, []), ("highlight", 0)]
        language = _lexer(info.language)
        kind = mdx_nodes.mdx_code if marks else nodes.literal_block
        block = kind(marked.code, marked.code, language=language)
        if marks:
            block["marks"] = marks
            block["force"] = False
        self.add_line_and_source_path(block, token)
        if info.title is None:
            self.current_node.append(block)
            return
        wrapper = nodes.container(literal_block=True, classes=["literal-block-wrapper"])
        caption = nodes.caption(info.title, info.title)
        self.add_line_and_source_path(caption, token)
        wrapper += [caption, block]
        self.current_node.append(wrapper)


def _lexer(language: str) -> str:
    try:
        get_lexer_by_name(language or "text")
    except ClassNotFound:
        return "text"
    return html.escape(language) or "text"
