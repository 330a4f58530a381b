"""Turns the components of a guide into containers, links and words."""

from __future__ import annotations

import difflib
import html
import json
from typing import Any

from verify.mdx import markup, vocabulary
from verify.mdx.page import Fence, Page
from verify.mdx.problem import Broken
from verify.mdx.tag import Tag

_KNOWN = sorted({*vocabulary.BLOCKS, *vocabulary.WORDS})
_CASES = {
    "capitalize": lambda text: text[:1].upper() + text[1:],
    "lower": str.lower,
    "upper": str.upper,
}


def unknown(tag: Tag) -> Broken:
    """Return the error for a tag that is no part of the subset."""
    name = tag.name
    if name[:1].islower() and "." not in name:
        what = f"<{name}> is not an HTML element that a guide may use"
        return Broken(tag.start, what, r"write it in Markdown, or \< for a plain <")
    near = difflib.get_close_matches(name, _KNOWN, 1) if len(name) < 60 else []
    cure = f"did you mean <{near[0]}>? " if near else ""
    cure += "the components are " + ", ".join(_KNOWN)
    return Broken(tag.start, f"<{name}> is not a component of the handbook", cure)


def is_block(tag: Tag) -> bool:
    """Tell whether a tag stands for a container."""
    return tag.name in vocabulary.BLOCKS or tag.name in vocabulary.ELSEWHERE


def is_html(tag: Tag) -> bool:
    """Tell whether a tag is an HTML element of the subset, or a fragment."""
    return tag.name in vocabulary.INLINE or tag.name in vocabulary.BLOCK or not tag.name


def container(tag: Tag, page: Page, outer: str) -> Fence:
    """Return the container that a component or an HTML element opens.

    Raises
    ------
    Broken
        If the tag or one of its attributes is no part of the subset.
    """
    if not tag.name:
        return Fence("fragment", {})
    if is_html(tag):
        return Fence("element", {"tag": tag.name, "html": markup.element(tag)})
    if not is_block(tag):
        raise unknown(tag)
    if tag.name in vocabulary.ELSEWHERE:
        return _elsewhere(tag)
    block = vocabulary.BLOCKS[tag.name]
    _check_attributes(tag, block.shown + block.ignored, block.needs)
    if block.inside and outer != block.inside:
        what = f"<{tag.name}> stands outside <{block.inside}>"
        raise Broken(
            tag.start, what, f"put <{block.inside}> … </{block.inside}> around"
        )
    if block.empty and not tag.alone:
        what = f"<{tag.name}> takes no content"
        raise Broken(tag.start, what, f"write <{tag.name} … />")
    values = {name: tag.attributes[name] for name in block.shown if _has(tag, name)}
    if block.kind == "tab":
        values = {"label": str(values.get("label", values.get("value")))}
    if block.kind == "admonition":
        values = _admonition(tag, values)
    if block.kind == "packages":
        values = {"command": _command(tag, values["command"])}
    return Fence(block.kind, values)


def _elsewhere(tag: Tag) -> Fence:
    if not tag.alone:
        what = f"<{tag.name}> takes no content"
        raise Broken(tag.start, what, f"write <{tag.name} … />")
    names = [str(value) for value in tag.attributes.values() if isinstance(value, str)]
    return Fence("elsewhere", {"component": tag.name, "names": names})


def _has(tag: Tag, name: str) -> bool:
    return tag.attributes.get(name) not in (None, "")


def _check_attributes(
    tag: Tag, known: tuple[str, ...], needs: tuple[str, ...] = ()
) -> None:
    for name, place in tag.places.items():
        if name not in known and name != "key":
            what = f"<{tag.name}> has no attribute `{name}`"
            raise Broken(place, what, "it takes " + (", ".join(known) or "none"))
    if needs and not any(_has(tag, name) for name in needs):
        what = f"<{tag.name}> needs `{needs[0]}`"
        raise Broken(tag.start, what, f'write <{tag.name} {needs[0]}="…">')


def _admonition(tag: Tag, values: dict[str, Any]) -> dict[str, Any]:
    kind = str(values.get("type", "note"))
    kind = {"error": "danger", "default": "note"}.get(kind, kind)
    if kind not in vocabulary.CONTAINERS:
        what = f"`{kind}` is no kind of <{tag.name}>"
        place = tag.places.get("type", tag.start)
        raise Broken(place, what, "write " + ", ".join(vocabulary.CONTAINERS))
    title = {"title": str(values["title"])} if "title" in values else {}
    return {"kind": kind, **title}


def _command(tag: Tag, command: Any) -> dict[str, str]:
    if isinstance(command, dict):
        return {str(name): str(text) for name, text in command.items()}
    return {
        name: f"{name} {command}"
        if not str(command).startswith("create ")
        else f"{name} {command}@latest"
        for name in ("npm", "yarn", "pnpm", "bun")
    }


def words(tag: Tag, page: Page) -> tuple[str, str]:
    """Return what stands for an inline component: its opening and its closing text.

    Raises
    ------
    Broken
        If the tag or what it names is not known.
    """
    if tag.name not in vocabulary.WORDS:
        raise unknown(tag)
    _check_attributes(tag, vocabulary.WORDS[tag.name])
    if tag.name == "Badge":
        return _badge(tag)
    if tag.name == "SourceCode":
        href = markup.destination(str(tag.attributes.get("href") or ""))
        return ("" if href == "<>" else f"[Source code]({href})"), ""
    if tag.name == "Tag":
        return f"<code>{markup.plain(str(tag.attributes.get('tag') or ''))}</code>", ""
    name = tag.attributes.get("name")
    if not isinstance(name, str) or not name:
        what = f"<{tag.name}> needs `name`"
        raise Broken(tag.start, what, f'write <{tag.name} name="…" />')
    if tag.name in vocabulary.MEASURED:
        return _measured(tag, name), ""
    if tag.name == "Term":
        return _term(tag, name, page), ""
    site = page.components.sites.get(name)
    if site is None:
        raise _unlisted(tag, name, "site", "mdx_sites", list(page.components.sites))
    href = str(tag.attributes.get("href") or "")
    url = site.url.rstrip("/") + "/" + href.lstrip("/") if href else site.url
    closing = f"]({markup.destination(url)})"
    if tag.name == "ExternalSite":
        return f"[{markup.plain(site.title)}{closing}", ""
    if not tag.alone:
        return "[", closing
    text = str(tag.attributes.get("children") or site.title)
    return f"[{markup.plain(text)}{closing}", ""


def _term(tag: Tag, name: str, page: Page) -> str:
    text = page.components.terms.get(name)
    if text is None:
        raise _unlisted(tag, name, "term", "mdx_terms", list(page.components.terms))
    case = _CASES.get(str(tag.attributes.get("textCase")), str)
    return markup.plain(case(text))


def _measured(tag: Tag, name: str) -> str:
    """Return the element that the adapter makes a number of; no text can hold one."""
    spec = str(tag.attributes.get("format") or "")
    role = tag.name.lower()
    said = f'data-name="{html.escape(name)}" data-format="{html.escape(spec)}"'
    return f'<mdx-measured data-role="{role}" {said} />'


def _unlisted(tag: Tag, name: str, kind: str, setting: str, known: list[str]) -> Broken:
    near = difflib.get_close_matches(name[:60], known, 1)
    cure = f"write {json.dumps(near[0])}, or " if near else ""
    what = f"`{name}` is no {kind} of the configuration"
    place = tag.places.get("name", tag.start)
    return Broken(place, what, f"{cure}add it to {setting}")


def _badge(tag: Tag) -> tuple[str, str]:
    kind = str(tag.attributes.get("type", "info"))
    if not kind.isalpha():
        raise Broken(tag.start, f"`{kind}` is no type of <Badge>", 'write type="info"')
    opening = f'<span class="mdx-badge mdx-badge-{kind}">'
    text = str(tag.attributes.get("text") or tag.attributes.get("children") or "")
    if tag.alone:
        return f"{opening}{markup.plain(text)}</span>", ""
    return opening + markup.plain(text), "</span>"
