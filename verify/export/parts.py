"""Writes the components of a guide as plain MDX, or as the few that a site has."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from verify.export import markup
from verify.mdx import components, literal, vocabulary
from verify.mdx.page import Fence
from verify.mdx.page import Page as Known
from verify.mdx.tag import Tag

# What rspress itself has; a page that uses one imports it.
THEME = ("Badge", "PackageManagerTabs", "Steps", "Tab", "Tabs")
# What verify/export/site adds, because the platform knows it and rspress does not.
OURS = ("Callouts", "Card", "Cards")
RENAMED = {"TabItem": "Tab", "PageTab": "Tab", "PageTabs": "Tabs", "LinkCard": "Card"}
KEPT = {**{name: name for name in (*THEME, *OURS)}, **RENAMED}
MARK = ":::"


@dataclass(frozen=True)
class Written:
    """What stands for a tag, and whether it needs lines of its own."""

    text: str
    block: bool = False
    closing: str = ""  # what later stands for its end, in the same text


def opening(
    tag: Tag, known: Known, read: Callable[[str], str], *, alone_on_line: bool
) -> Written | None:
    """Return what stands for a component; nothing where its tag may stay.

    Raises
    ------
    Broken
        If the tag or one of its attributes is no part of the subset.
    """
    way = known.components.mapped.get(tag.name, "")
    if components.is_html(tag):
        return None
    if way == "note" and alone_on_line:
        return _container(tag, components.container(tag, known, ""))
    if tag.name in vocabulary.BLOCKS and not way:
        outer = vocabulary.BLOCKS[tag.name].inside
        return _block(tag, components.container(tag, known, outer), read)
    if tag.name in vocabulary.ELSEWHERE and not way:
        return _container(tag, components.container(tag, known, ""))
    if way == "note":
        texts = components.texts(tag)
        text = components.markup.plain(" · ".join([tag.name, *texts]))
        return Written(text if tag.alone else f"{text} ")
    if tag.name == "Badge" and not way:
        return None
    text, end = components.words(tag, known)
    if tag.name == "ApiMeta" and not way:
        said = re.findall(r">([^<]+)<", text)
        text = " ".join(f'<Badge text="{html.unescape(_bare(one))}" />' for one in said)
    return Written(text, closing=end)


def closing(tag: Tag, known: Known) -> str:
    """Return what stands for the end of a component or an element."""
    if known.components.mapped.get(tag.name) in ("children", "note"):
        way = known.components.mapped[tag.name]
        return "" if way == "children" else MARK
    if tag.name in KEPT:
        return f"</{KEPT[tag.name]}>"
    if tag.name in ("Directive", "Callout"):
        return MARK
    return "" if tag.name in ("NoSSR", "Prompt") else f"</{tag.name}>"


def _block(tag: Tag, made: Fence, read: Callable[[str], str]) -> Written | None:
    said = dict(made.values)
    if "file" in said:
        said["code"] = said["prompt"] = read(said["file"])
    if made.kind == "tab" and "label" not in tag.attributes:
        said = {**tag.attributes, "label": made.values["label"]}
        tag = replace(tag, attributes=said, name="TabItem")
    if tag.name in RENAMED:
        return Written(rebuilt(replace(tag, name=RENAMED[tag.name])))
    if made.kind == "admonition":
        return _container(tag, made)
    if made.kind == "listing":
        return Written(_listing(said), block=True)
    if made.kind == "fragment":
        return Written("")
    if made.kind == "prompt":
        return Written(_prompt(said), block=True)
    return None


def _container(tag: Tag, made: Fence) -> Written:
    """Return the container that stands for a note, or only its opening."""
    said = made.values
    title = f" {said['title']}" if "title" in said else ""
    lines = []
    if made.kind == "mapped":
        lines = [f"The component {said['component']} stands here.", *said["texts"]]
    if made.kind == "elsewhere":
        names = ", ".join(said["names"]) or "this page"
        lines = [f"The platform generates {said['component']} here, for {names}."]
    lines = [components.markup.plain(line) for line in lines]
    parts = [f"{MARK}{said.get('kind', 'note')}{title}", *lines]
    return Written("\n\n".join([*parts, MARK] if tag.alone else parts), block=True)


def _listing(said: Any) -> str:
    title = " ".join(str(said.get("title", "")).split()).replace('"', "”")
    info = str(said.get("lang") or "text") + (f' title="{title}"' if title else "")
    return markup.fenced(str(said["code"]).rstrip("\n"), info)


def _prompt(said: Any) -> str:
    plain = components.markup.plain
    parts = [f"**{plain(str(said['title']))}**"] if "title" in said else []
    parts += [plain(str(said["description"]))] if "description" in said else []
    parts += [_listing({"code": said["prompt"]})] if "prompt" in said else []
    return "\n\n".join(parts)


def _bare(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def rebuilt(tag: Tag) -> str:
    """Return a tag with the values of its attributes written out."""
    parts = [tag.name]
    for name, value in tag.attributes.items():
        if value is True:
            parts.append(name)
        elif isinstance(value, str) and not isinstance(value, literal.Raw):
            parts.append(f'{name}="{html.escape(value)}"')
        else:
            parts.append(f"{name}={{{json.dumps(value, ensure_ascii=False)}}}")
    return f"<{' '.join(parts)}{' /' if tag.alone else ''}>"
