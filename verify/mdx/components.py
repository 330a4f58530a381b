"""Turns the components of a guide into containers, links and words."""

from __future__ import annotations

import difflib
import html
import json
from dataclasses import replace
from typing import Any

from verify.mdx import literal, markup, vocabulary
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
    cure += f"say in mdx_components how to show <{name[:60]}>, or write one of "
    cure += ", ".join(_KNOWN)
    return Broken(tag.start, f"<{name}> is not a component of the handbook", cure)


def resolved(tag: Tag, page: Page) -> Tag:
    """Return the tag of the component that the configuration puts in its place."""
    name = page.components.mapped.get(tag.name)
    if name is None or name in vocabulary.WAYS or tag.name in page.pages:
        return tag
    return replace(tag, name=name)


def _way(tag: Tag, page: Page) -> str:
    """Return how the configuration shows a tag; nothing if it does not say."""
    name = page.components.mapped.get(tag.name, "")
    return name if name in vocabulary.WAYS and tag.name not in page.pages else ""


def is_block(tag: Tag, page: Page) -> bool:
    """Tell whether a tag always stands for a container."""
    if tag.name in page.pages:
        return True
    known = tag.name in vocabulary.BLOCKS or tag.name in vocabulary.ELSEWHERE
    return known and not _way(tag, page)


def is_word(tag: Tag, page: Page) -> bool:
    """Tell whether a tag is always a part of a text."""
    if tag.name in page.pages:
        return False
    way = _way(tag, page)
    return way == "link" or (not way and tag.name in vocabulary.WORDS)


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
        opening = markup.element(replace(tag, alone=False))
        return Fence("element", {"tag": tag.name, "html": opening})
    if tag.name in page.pages:
        return _included(tag, page)
    if way := _way(tag, page):
        said = {"component": tag.name, "texts": texts(tag)}
        return Fence("fragment", {}) if way == "children" else Fence("mapped", said)
    if not is_block(tag, page):
        raise unknown(tag)
    if tag.name in vocabulary.ELSEWHERE:
        return _elsewhere(tag)
    block = vocabulary.BLOCKS[tag.name]
    _check_attributes(tag, block.shown + block.ignored, block.needs, block.texts)
    if block.inside and outer != block.inside:
        what = f"<{tag.name}> stands outside <{block.inside}>"
        raise Broken(
            tag.start, what, f"put <{block.inside}> … </{block.inside}> around"
        )
    if block.empty and not tag.alone:
        what = f"<{tag.name}> takes no content"
        raise Broken(tag.start, what, f"write <{tag.name} … />")
    return Fence(block.kind, _values(tag, block))


def _values(tag: Tag, block: vocabulary.Block) -> dict[str, Any]:
    """Return what a component says, in the words of its container."""
    values = {name: tag.attributes[name] for name in block.shown if _has(tag, name)}
    if block.kind == "tab":
        values = {"label": str(values.get("label", values.get("value")))}
    if block.kind == "admonition":
        values = _admonition(tag, values)
    if block.kind == "packages":
        values = {"command": _command(tag, values["command"])}
    if "value" in values and block.kind == "listing":
        code = json.dumps(values["value"], ensure_ascii=False, indent=2)
        values = {"code": code, "lang": "json"}
    for name in block.texts:
        if isinstance(values.get(name), literal.Raw):
            values["file"] = values.pop(name)
    return values


def _included(tag: Tag, page: Page) -> Fence:
    """Return the place of another page, with what its ``props`` are."""
    if not tag.alone:
        what = f"<{tag.name}> is an imported page and takes no content"
        raise Broken(tag.start, what, f"write <{tag.name} />")
    _no_file_texts(tag)
    place = page.places.problem(tag.start, "", "")
    said = {"page": page.pages[tag.name], "at": [place.line, place.column]}
    props = {"props": tag.attributes} if tag.attributes else {}
    return Fence("include", {**said, **props})


def texts(tag: Tag) -> list[str]:
    """Return the attributes of a tag that are texts or numbers, as words."""
    shown = [
        (name, value)
        for name, value in tag.attributes.items()
        if isinstance(value, (str, int, float)) and not isinstance(value, bool)
        if name not in {"className", "key", "style", "id"}
    ]
    return [f"{name}: {' '.join(str(value).split())}" for name, value in shown]


def _elsewhere(tag: Tag) -> Fence:
    if not tag.alone:
        what = f"<{tag.name}> takes no content"
        raise Broken(tag.start, what, f"write <{tag.name} … />")
    names = [str(value) for value in tag.attributes.values() if isinstance(value, str)]
    return Fence("elsewhere", {"component": tag.name, "names": names})


def _has(tag: Tag, name: str) -> bool:
    return tag.attributes.get(name) not in (None, "")


def _check_attributes(
    tag: Tag,
    known: tuple[str, ...],
    needs: tuple[str, ...] = (),
    allowed: tuple[str, ...] = (),
) -> None:
    _no_file_texts(tag, allowed)
    for name, place in tag.places.items():
        if name not in known and name != "key":
            what = f"<{tag.name}> has no attribute `{name}`"
            raise Broken(place, what, "it takes " + (", ".join(known) or "none"))
    if needs and not any(_has(tag, name) for name in needs):
        what = f"<{tag.name}> needs `{needs[0]}`"
        raise Broken(tag.start, what, f'write <{tag.name} {needs[0]}="…">')


def _no_file_texts(tag: Tag, allowed: tuple[str, ...] = ()) -> None:
    """Refuse the text of a file in attributes that cannot show it."""
    for name, value in tag.attributes.items():
        if isinstance(value, literal.Raw) and name not in allowed:
            what = f"`{name}` in <{tag.name}> is the text of {value}"
            cure = 'show it by a code block with file="…"'
            raise Broken(tag.places.get(name, tag.start), what, cure)


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
    if way := _way(tag, page):
        return _mapped(tag, way)
    if tag.name not in vocabulary.WORDS:
        raise unknown(tag)
    _check_attributes(tag, vocabulary.WORDS[tag.name])
    if tag.name == "Badge":
        return _badge(tag)
    if tag.name == "ApiMeta":
        return _since(tag), ""
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
    return _site(tag, name, page)


def _site(tag: Tag, name: str, page: Page) -> tuple[str, str]:
    """Return a link to another site."""
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


def _mapped(tag: Tag, way: str) -> tuple[str, str]:
    """Return what shows a component of another project in a text."""
    if way == "children":
        return "", ""
    if way == "note":
        said = markup.plain(" · ".join([tag.name, *texts(tag)]))
        return f'<span class="mdx-badge mdx-badge-info">{said}</span>', ""
    named = [tag.attributes.get(name) for name in ("href", "to", "link", "url")]
    href = next((one for one in named if isinstance(one, str) and one), None)
    if href is None:
        what = f"<{tag.name}> is shown as a link and has no address"
        raise Broken(tag.start, what, f'write <{tag.name} href="…">')
    closing = f"]({markup.destination(href)})"
    if not tag.alone:
        return "[", closing
    said = [tag.attributes.get(name) for name in ("title", "text", "children")]
    text = next((one for one in said if isinstance(one, str) and one), href)
    return f"[{markup.plain(text)}{closing}", ""


def _since(tag: Tag) -> str:
    """Return since when something is there, deprecated or removed."""
    said = [
        f"{word} in v{str(tag.attributes[name]).removeprefix('v')}"
        for name, word in vocabulary.SINCE.items()
        if _has(tag, name)
    ]
    if not said:
        what, cure = "<ApiMeta> says no version", 'write <ApiMeta addedVersion="…" />'
        raise Broken(tag.start, what, cure)
    opening = '<span class="mdx-badge mdx-badge-info">'
    return " ".join(f"{opening}{markup.plain(one)}</span>" for one in said)


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
