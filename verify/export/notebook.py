"""Writes a notebook as a page: its prose, its code, and what running it printed."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from verify.export import markup
from verify.outcomes import COLOR, MIME
from verify.source import source_of, tags_of

SUFFIX = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}
SUFFIX |= {"image/gif": "gif", "image/webp": "webp"}
DATA = re.compile(r"data:(?P<mime>[\w/+.-]+)(?P<said>[^,]*),(?P<data>.*)$", re.DOTALL)
HIDDEN = {"remove-cell", "remove_cell"}


@dataclass(frozen=True)
class Shown:
    """What the outputs of a notebook need from their page.

    Attributes
    ----------
    link
        Returns where an address of the built site leads.
    keep
        Takes the bytes of a picture and its file name, returns its address.
    """

    link: Callable[[str], str]
    keep: Callable[[bytes, str], str]

    def image(self, source: str, alt: str) -> str:
        """Return an image of an output as Markdown, its picture kept as a file."""
        text = markup.SPECIAL.sub(r"\\\1", alt.replace("\n", " "))
        found = DATA.match(source)
        if not found:
            return f"![{text}]({self.link(source)})"
        raw = found["data"].encode()
        data = b64decode(raw) if ";base64" in found["said"] else unquote_to_bytes(raw)
        return f"![{text}]({self.kept(data, found['mime'])})"

    def kept(self, data: bytes, mime: str) -> str:
        """Keep a picture under a name that its content gives."""
        name = hashlib.sha256(data).hexdigest()[:12]
        return self.keep(data, f"{name}.{SUFFIX.get(mime, 'bin')}")

    def html(self, text: str) -> str:
        """Return HTML as Markdown."""
        return markup.markdown(text, markup.Asked(self.link, self.image))


def pieces(notebook: dict[str, Any]) -> Iterator[tuple[str, str, list[dict]]]:
    """Yield each cell as its kind, its source and its outputs."""
    for cell in notebook["cells"]:
        if not HIDDEN & tags_of(cell) and source_of(cell).strip():
            yield cell["cell_type"], source_of(cell), cell.get("outputs", [])


def outputs(found: list[dict], shown: Shown) -> str:
    """Return the outputs of a cell; printed texts in a row are joined."""
    parts: list[str] = []
    printed = ""
    for output in found:
        if output["output_type"] == "stream":
            printed += _text(output["text"])
            continue
        if printed.strip():
            parts.append(markup.fenced(_plain(printed)))
        printed = ""
        parts.append(_output(output, shown))
    if printed.strip():
        parts.append(markup.fenced(_plain(printed)))
    return "\n\n".join(part for part in parts if part)


def _output(output: dict[str, Any], shown: Shown) -> str:
    if output["output_type"] == "error":
        lines = output.get("traceback") or [f"{output['ename']}: {output['evalue']}"]
        return markup.fenced(_plain("\n".join(lines)))
    data = output["data"]
    if "text/html" in data:
        return shown.html(_text(data["text/html"]))
    if "text/markdown" in data:
        return markup.fenced(_text(data["text/markdown"]), "markdown")
    for mime in (name for name in SUFFIX if name in data):
        text = _text(data[mime])
        raw = text.encode() if mime == "image/svg+xml" else b64decode(text)
        alt = output.get("metadata", {}).get(mime, {}).get("alt") or ""
        alt = alt or output.get("metadata", {}).get("alt") or _text(data["text/plain"])
        said = markup.SPECIAL.sub(r"\\\1", alt.replace("\n", " "))
        return f"![{said}]({shown.kept(raw, mime)})"
    if MIME in data:
        said = f"{data[MIME]['name']} = {data[MIME]['value']}"
        return markup.fenced(f"recorded {said}")
    return markup.fenced(_plain(_text(data.get("text/plain", ""))))


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _plain(text: str) -> str:
    """Return what a terminal shows: no colors, and of a redrawn line its last state."""
    lines = COLOR.sub("", text).rstrip("\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
