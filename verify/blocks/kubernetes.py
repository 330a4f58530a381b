"""Holds the Kubernetes objects of all pages against the schemas of two platforms."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from verify.blocks.found import Block, Place, Problem, Setting, ToolError
from verify.blocks.languages import shell
from verify.blocks.languages.yaml import documents, line_of

TRAINER = ("trainer.kubeflow.org/", "jobset.x-k8s.io/")
INSTEAD = "write what the schema of that version has"


@dataclass(frozen=True)
class Upgrade:
    """Fields that hold on the platform, and no longer in a newer Trainer.

    Attributes
    ----------
    digest : str
        SHA-256 of the block's code, by which a page finds the note of a block.
    old, new : str
        The two versions of the Trainer API.
    """

    place: Place
    digest: str
    name: str
    old: str
    new: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Objects:
    """What was found out about all objects."""

    problems: list[Problem]
    upgrades: list[Upgrade]
    unchecked: list[tuple[Place, str]]
    checked: int


@dataclass(frozen=True)
class _Object:
    block: Block
    data: dict[str, Any]
    node: yaml.Node
    above: int  # lines of the block before the document's text
    path: tuple[str | int, ...] = ()

    @property
    def name(self) -> str:
        meta = self.data.get("metadata")
        named = meta.get("name", "") if isinstance(meta, dict) else ""
        return f"{self.data['kind']} {named}".strip()

    @property
    def is_trainer(self) -> bool:
        return self.data["apiVersion"].startswith(TRAINER)

    def place(self, path: Iterable[str | int] = ()) -> Place:
        line = line_of(self.node, [*self.path, *path])
        return self.block.line(line + self.above)


def digest(code: str) -> str:
    """Return the name of a block's code, whatever blank lines end it."""
    return hashlib.sha256(code.strip().encode()).hexdigest()


def validate(blocks: list[Block], setting: Setting) -> Objects:
    """Validate every object strictly; a Trainer object against both versions."""
    found = [thing for block in blocks for thing in _objects(block)]
    result = Objects([], [], [], len(found))
    if not found:
        return result
    newest = _ask(setting.tools, found, setting)
    trainers = [thing for thing in found if thing.is_trainer]
    platform = _ask(setting.platform, trainers, setting) if trainers else {}
    by_thing = dict(zip(map(id, trainers), platform.get("results", []), strict=True))
    for thing, now in zip(found, newest["results"], strict=True):
        if id(thing) not in by_thing:
            _judge(thing, now, f"Kubernetes {newest['kubernetes']}", result)
            continue
        then = by_thing[id(thing)]
        _judge(thing, then, f"Trainer {platform['trainer']}", result)
        if then["checked"] and not then["problems"] and now["problems"]:
            fields = tuple(row["what"] for row in now["problems"])
            versions = (platform["trainer"], newest["trainer"])
            named = digest(thing.block.code)
            note = Upgrade(thing.place(), named, thing.name, *versions, fields)
            result.upgrades.append(note)
    return result


def _judge(thing: _Object, answer: dict, schema: str, result: Objects) -> None:
    if not answer["checked"]:
        kind = f"{thing.data['apiVersion']} {thing.data['kind']}"
        result.unchecked.append((thing.place(), kind))
    for row in answer["problems"]:
        what = f"{thing.name} does not fit {schema}: {row['what']}"
        place = thing.place(row["path"])
        result.problems.append(Problem(place, "kubernetes", what, INSTEAD, thing.block))


def _objects(block: Block) -> Iterator[_Object]:
    """Find the objects of a YAML or JSON block, and of a shell's here-documents."""
    texts: list[tuple[int, str]] = []
    if block.language in ("yaml", "json"):
        texts = [(0, block.code)]
    elif block.language in ("bash", "sh", "console"):
        texts = list(shell.heredocs(block))
    for above, text in texts:
        for data, node in documents(text):
            for path, one in _of_list(data):
                if isinstance(one.get("apiVersion"), str) and "kind" in one:
                    yield _Object(block, one, node, above, path)


def _of_list(data: Any) -> Iterator[tuple[tuple[str | int, ...], dict]]:
    if not isinstance(data, dict):
        return
    items = data.get("items")
    if data.get("kind") == "List" and isinstance(items, list):
        for number, item in enumerate(items):
            if isinstance(item, dict):
                yield ("items", number), item
    else:
        yield (), data


def _ask(interpreter: str, things: list[_Object], setting: Setting) -> dict:
    """Let the Python that has the schemas judge the objects."""
    command = [interpreter, "-m", "verify.blocks.schemas"]
    given = json.dumps([thing.data for thing in things], default=str)
    try:
        done = subprocess.run(
            command,
            input=given,
            env=setting.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ToolError(f"{interpreter} cannot be started: {error}") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ToolError(
            f"{interpreter} cannot judge Kubernetes objects: {said}. Name one that can "
            "with HANDBOOK_TOOLS_PYTHON and HANDBOOK_TRAINER_PYTHON"
        )
    return json.loads(done.stdout)
