"""Checks YAML blocks: they parse, repeat no key, and leave nothing out silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from verify.blocks.found import Block, Problem, Setting

COMMENT = "write a comment in its place: # more settings"


def parses(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find what is no YAML, keys given twice, and an ellipsis as a value."""
    for block in blocks:
        try:
            nodes = list(yaml.compose_all(block.code, Loader=yaml.SafeLoader))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            said = getattr(error, "problem", None) or str(error).splitlines()[0]
            place = block.line(mark.line + 1 if mark else 1)
            what = f"is no YAML: {said}"
            yield Problem(place, "yaml", what, _instead(block.code), block)
            continue
        for node in nodes:
            for line, what, instead in _slips(node):
                yield Problem(block.line(line), "yaml", what, instead, block)


def documents(code: str) -> list[tuple[Any, yaml.Node]]:
    """Return each document as data and as nodes; none where it does not parse."""
    try:
        data = list(yaml.load_all(code, Loader=PlainLoader))
        return list(zip(data, yaml.compose_all(code, PlainLoader), strict=True))
    except (yaml.YAMLError, ValueError):
        return []


def line_of(node: yaml.Node, path: list[str | int]) -> int:
    """Return the line, from 1, of what a path leads to, or of as much as exists."""
    line = node.start_mark.line + 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == str(step)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            if step >= len(node.value):
                break
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


class PlainLoader(yaml.SafeLoader):
    """Reads times as text, as JSON does and Kubernetes expects."""


PlainLoader.yaml_implicit_resolvers = {
    sign: [pair for pair in pairs if not pair[0].endswith(":timestamp")]
    for sign, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _slips(
    node: yaml.Node | None, seen: set[int] | None = None
) -> Iterator[tuple[int, str, str]]:
    seen = set() if seen is None else seen
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if node.value in ("...", "…") and not node.style:
            line = node.start_mark.line + 1
            yield line, f"{node.value} is a value here, not an omission", COMMENT
    elif isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _slips(inner, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if name in keys and name != "<<":
                yield line, f"the key {name!r} is given twice", "keep one of them"
            keys.add(name)
            yield from _slips(value, seen)


def _instead(code: str) -> str:
    if "<<" in code.split("\n", 1)[0] or code.lstrip().startswith(("kubectl ", "$ ")):
        return "tag a command with its here-document bash"
    if any(line.strip() in ("...", "…") for line in code.splitlines()):
        return COMMENT
    return "write YAML that parses, or tag the fence text"
