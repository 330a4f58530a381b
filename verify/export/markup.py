"""Turns the HTML that a page or an output shows into Markdown without losing words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser

BLOCKS = frozenset(
    "address article aside blockquote details div dl figcaption figure footer form h1 "
    "h2 h3 h4 h5 h6 header li main nav ol p pre section summary table ul".split()
)
VOID = frozenset("area base br col embed hr img input link meta source wbr".split())
SILENT = frozenset({"script", "style", "template"})
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~])")
STRONG = {"b": "**", "strong": "**", "em": "*", "i": "*"}


@dataclass
class Element:
    """One element of the tree; a text is a plain string among ``inside``."""

    tag: str
    said: dict[str, str] = field(default_factory=dict)
    inside: list[Element | str] = field(default_factory=list)

    def all(self, *tags: str) -> list[Element]:
        """Return the elements of these kinds below, in reading order."""
        found = []
        for one in self.inside:
            if isinstance(one, Element):
                found += [one] if one.tag in tags else []
                found += one.all(*tags)
        return found

    def text(self) -> str:
        """Return all text below, as it stands."""
        return "".join(
            one if isinstance(one, str) else one.text()
            for one in self.inside
            if isinstance(one, str) or one.tag not in SILENT
        )


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("root")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in [element.tag for element in self.open[1:]]:
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


@dataclass(frozen=True)
class Asked:
    """How addresses in the HTML are to be rewritten."""

    link: Callable[[str], str]  # empty where the export has no such place
    image: Callable[[str, str], str]  # from a source and its text


def markdown(text: str, asked: Asked) -> str:
    """Return HTML as Markdown that MDX reads.

    What a script or a style says is no text and is left out, and so is what stands
    hidden until a script shows it. A drawing is told by its title and description.
    """
    tree = _Tree()
    tree.feed(text)
    tree.close()
    return re.sub(r"\n{3,}", "\n\n", _blocks(tree.open[0], asked)).strip("\n")


def _blocks(element: Element, asked: Asked) -> str:
    """Return what is inside an element: blocks, and runs of text between them."""
    parts: list[str] = []
    run: list[Element | str] = []
    for one in [*element.inside, None]:
        if one is not None and not _is_block(one):
            run.append(one)
            continue
        if said := _inline(Element("run", {}, run), asked).strip():
            parts.append(said)
        run = []
        if one is not None and (said := _block(one, asked)):
            parts.append(said)
    return "\n\n".join(part.strip("\n") for part in parts)


def _is_block(one: Element | str) -> bool:
    if isinstance(one, str):
        return False
    return one.tag in BLOCKS or bool(one.all(*BLOCKS))


def _block(element: Element, asked: Asked) -> str:
    if element.tag in SILENT or "hidden" in element.said:
        return ""
    if element.tag == "pre":
        return fenced(element.text().strip("\n"))
    if element.tag == "table":
        return _table(element, asked)
    if element.tag in ("ul", "ol"):
        items = [one for one in element.inside if isinstance(one, Element)]
        marks = [
            "-" if element.tag == "ul" else f"{n}." for n in range(1, len(items) + 1)
        ]
        return "\n".join(
            _item(m, _blocks(i, asked)) for m, i in zip(marks, items, strict=True)
        )
    if element.tag == "dl":
        return _definitions(element, asked)
    if element.tag == "details":
        return _details(element, asked)
    inner = _blocks(element, asked)
    if re.fullmatch(r"h[2-6]", element.tag) and "id" in element.said:
        return f"{'#' * int(element.tag[1])} {inner} \\{{#{element.said['id']}}}"
    bold = re.fullmatch(r"h[1-6]|figcaption|summary", element.tag) and inner
    return f"**{inner}**" if bold and "**" not in inner else inner


def _item(mark: str, text: str) -> str:
    first, *rest = text.split("\n")
    pad = " " * (len(mark) + 1)
    return "\n".join([f"{mark} {first}", *((pad + one).rstrip() for one in rest)])


def _definitions(element: Element, asked: Asked) -> str:
    rows: list[str] = []
    for one in element.all("dt", "dd"):
        said = _inline(one, asked).strip()
        if one.tag == "dt":
            rows.append(f"- **{said}**" if said else "-")
        elif rows:
            rows[-1] += f" {said}" if rows[-1].count("\n") == 0 else f"; {said}"
    return "\n".join(rows)


def _details(element: Element, asked: Asked) -> str:
    summary = next(iter(element.all("summary")), Element("summary"))
    title = _inline(summary, asked).strip() or "Details"
    rest = [one for one in element.inside if one is not summary]
    inner = _blocks(Element("div", {}, rest), asked)
    return f"<details>\n<summary>{title}</summary>\n\n{inner}\n\n</details>"


def _table(element: Element, asked: Asked) -> str:
    rows = [
        [_inline(cell, asked).strip() for cell in row.all("td", "th")]
        for row in element.all("tr")
    ]
    rows = [[_cell(cell) for cell in row] for row in rows if any(row)]
    if not rows:
        return ""
    width = max(map(len, rows))
    full = [row + [""] * (width - len(row)) for row in rows]
    full.insert(1, ["---"] * width)
    caption = "".join(
        f"{_inline(c, asked).strip()}\n\n" for c in element.all("caption")
    )
    return caption + "\n".join(f"| {' | '.join(row)} |" for row in full)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("\n", " "))


def _inline(element: Element, asked: Asked) -> str:
    said, pictured = "", ""
    for one in element.inside:
        if isinstance(one, Element) and one.tag == "img":
            if one.said.get("alt") and one.said.get("alt") == pictured:
                continue  # the same figure again, drawn for dark pages
            pictured = one.said.get("alt", "")
        if isinstance(one, str):
            said += SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", one))
            continue
        piece = _span(one, asked)
        apart = one.tag in ("span", "time", "button") or one.tag in BLOCKS
        if apart and piece and said[-1:].isalnum() and piece[:1].isalnum():
            said += " "
        said += piece
    return re.sub(r" {2,}", " ", said)


def _span(one: Element, asked: Asked) -> str:
    if one.tag in SILENT or "hidden" in one.said:
        return ""
    if one.tag == "br":
        return "<br />"
    if one.tag == "img":
        return asked.image(one.said.get("src", ""), one.said.get("alt", ""))
    if one.tag == "svg":
        return _drawing(one)
    if one.tag in ("code", "kbd", "samp"):
        return coded(one.text())
    inner = _inline(one, asked)
    if one.tag == "a" and one.said.get("href") and inner.strip():
        there = asked.link(one.said["href"])
        return f"[{inner.strip()}]({there})" if there else inner
    mark = STRONG.get(one.tag, "")
    if mark and inner.strip() and mark not in inner:
        return inner.replace(inner.strip(), mark + inner.strip() + mark, 1)
    return inner


def _drawing(svg: Element) -> str:
    inside = [one for one in svg.inside if isinstance(one, Element)]
    told = [one.text() for one in inside if one.tag in ("title", "desc")]
    told = told or [svg.said.get("aria-label", "")]
    return SPECIAL.sub(
        r"\\\1", ". ".join(part.strip() for part in told if part.strip())
    )


def coded(text: str) -> str:
    """Return text as a code span, whatever ticks it holds."""
    if not text.strip():
        return text
    text = text.replace("\n", " ")
    longest = max([0, *map(len, re.findall("`+", text))])
    marks, pad = "`" * (longest + 1), " " if longest else ""
    return f"{marks}{pad}{text}{pad}{marks}"


def fenced(text: str, info: str = "text") -> str:
    """Return text as a fence that nothing inside can close."""
    longest = max([2, *map(len, re.findall("`{3,}", text))])
    marks = "`" * (longest + 1)
    return f"{marks}{info}\n{text}\n{marks}"
