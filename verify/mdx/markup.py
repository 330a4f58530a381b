"""Writes the HTML and Markdown that stand for the tags of a guide."""

from __future__ import annotations

import html
import re
from typing import Any

from verify.mdx import literal, vocabulary
from verify.mdx.problem import Broken
from verify.mdx.tag import Tag

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!$^:%+=-])")
_CAMEL = re.compile(r"([A-Z])")
_SAFE_NAME = re.compile(r"[A-Za-z][\w:.-]*\Z")


def plain(text: str) -> str:
    """Return Markdown that shows a text as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split("\n")))


def style(value: Any) -> str:
    """Return the CSS of a ``style`` attribute, which may be a JSX object."""
    if isinstance(value, str):
        return value
    rules = []
    for name, setting in value.items():
        css = name if name.startswith("--") else _CAMEL.sub(r"-\1", name).lower()
        number = isinstance(setting, (int, float)) and not isinstance(setting, bool)
        unit = "px" if number and setting and name not in vocabulary.UNITLESS else ""
        rules.append(f"{css}: {setting}{unit}")
    return "; ".join(rules)


def attributes(tag: Tag) -> dict[str, str | bool]:
    """Return the HTML attributes of a tag.

    Raises
    ------
    Broken
        If one would run code or has a value that HTML cannot hold.
    """
    written: dict[str, str | bool] = {}
    for name, value in tag.attributes.items():
        place = tag.places.get(name, tag.start)
        lower = name.lower()
        if re.match(r"on[a-z]", lower) or lower == "dangerouslysetinnerhtml":
            what = f"`{name}` in <{tag.name}> runs code, and a guide runs none"
            raise Broken(place, what, "remove the attribute")
        if lower in {"key", "ref"} or value is False or value is None:
            continue
        if lower == "style" and isinstance(value, (str, dict)):
            written["style"] = style(value)
        elif isinstance(value, (list, dict, literal.Raw)) or not _SAFE_NAME.match(name):
            what = f"`{name}` in <{tag.name}> has a value that HTML cannot hold"
            raise Broken(place, what, f'write {name}="text"')
        else:
            shown = value if value is True else str(value)
            if str(shown).strip().lower().startswith("javascript:"):
                what = f"`{name}` in <{tag.name}> runs code, and a guide runs none"
                raise Broken(place, what, "link to a page")
            written[vocabulary.RENAMED.get(name, lower)] = shown
    return written


def element(tag: Tag) -> str:
    """Return an opening, closing or single tag as HTML on one line."""
    if tag.closes:
        return f"</{tag.name}>"
    parts = [tag.name]
    for name, value in attributes(tag).items():
        if value is True:
            parts.append(name)
        else:
            one_line = " ".join(str(value).split())
            parts.append(f'{name}="{html.escape(one_line)}"')
    inside = " ".join(parts)
    if tag.name in vocabulary.VOID:
        return f"<{inside}/>"
    return f"<{inside}></{tag.name}>" if tag.alone else f"<{inside}>"


def image(tag: Tag) -> str:
    """Return an image as Markdown, so that its file travels with the site."""
    known = dict(attributes(tag))
    look = tag.attributes.get("style")
    if isinstance(look, dict):
        known.update({k: v for k, v in look.items() if k in {"width", "height"}})
    source = str(known.get("src", ""))
    if not source or source == "True":
        what = "<img> has no `src`"
        raise Broken(tag.start, what, 'write <img src="…" alt="…" />')
    alt = known.get("alt", "")
    title = known.get("title")
    tail = f' "{plain(str(title))}"' if isinstance(title, str) else ""
    size = [
        f"{name}={_length(known[name])}"
        for name in ("width", "height")
        if name in known and _length(known[name])
    ]
    extra = "{" + " ".join(size) + "}" if size else ""
    return f"![{plain(str(alt))}]({destination(source)}{tail}){extra}"


def _length(value: Any) -> str:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(px|%|em|rem|vw)?", str(value).strip())
    if not found:
        return ""
    unit = found[2] or "px"
    return f"{found[1]}{unit}" if unit in {"px", "%", "em"} else ""


def destination(url: str) -> str:
    """Return an address as the destination of a Markdown link."""
    flat = "".join(url.split("\n")).replace("<", "%3C").replace(">", "%3E")
    return f"<{flat}>" if re.search(r"[\s()\\{}]", flat) or not flat else flat
