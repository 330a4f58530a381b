"""Builds the copy of a notebook that runs alone, in an empty folder without network."""

from __future__ import annotations

import hashlib
import json
import textwrap
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from verify import imports, versions
from verify.catalog import Entry
from verify.source import CatalogError, code_cells, read_notebook, source_of

HERE = Path(__file__).parent
MODEL = "fine-tuning-handbook-tiny-base"
LARGEST = 300 * 1024  # bytes: what one download may weigh
WIDTH = 88
REGISTRY = "snippets/backends/__init__.py"
# Training Hub's algorithms, and the module of our backend for each.
TRAINERS = {
    "lora_sft": "peft_lora",
    "sft": "transformers_sft",
    "osft": "mini_trainer_osft",
}
# Without it, `jupyter nbconvert --to script` writes a .txt and leaves %pip as it is.
LANGUAGE = {
    "name": "python",
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "nbconvert_exporter": "python",
}


class StandaloneError(CatalogError):
    """A notebook cannot be made to run alone; the sentence says why."""


@dataclass(frozen=True)
class Provenance:
    """Where a download comes from.

    Attributes
    ----------
    commit : str or None
        The short commit of the checkout, with ``+`` where files differ from it.
    receipt : str or None
        The sha256 of the receipt of the published run; None where none is at hand.
    page : str
        The address of the page, or where it stands in the site.
    """

    commit: str | None = None
    receipt: str | None = None
    page: str = ""


# region: build
def build(entry: Entry, provenance: Provenance) -> dict[str, Any]:
    """Return the notebook that runs alone: checks, modules, then the source's cells.

    Parameters
    ----------
    entry : Entry
        The catalog's entry; its packages count as imported. ``snippets/``, the locks
        and ``pyproject.toml`` are looked up in its root.
    provenance : Provenance
        What the header says. It stands in text only, so it is no part of a run's key.

    Raises
    ------
    StandaloneError
        If a module cannot be carried, or the file is larger than 300 KiB.
    """
    root, notebook = entry.root, read_notebook(entry.path)
    title, *rest = notebook["cells"]
    carried = modules(root, notebook)
    cells = [
        title,
        _markdown("standalone", _header(root, entry, provenance)),
        _code("standalone-packages", first_cell(entry, notebook)),
        _markdown("standalone-modules-text", _modules_text(carried), collapsed=True),
        _code(
            "standalone-modules", _template("modules_cell.ipy", PACKAGE=imports.PACKAGE)
        ),
        *(_module_cell(root, name) for name in carried),
        *rest,
    ]
    # One text a cell: a list of lines is a tenth larger.
    cells = [{**cell, "source": source_of(cell)} for cell in cells]
    metadata = {**notebook["metadata"], "language_info": LANGUAGE}
    made = {**notebook, "metadata": metadata, "cells": cells}
    size = len(text(made).encode())
    if size > LARGEST:
        raise StandaloneError(
            f"{entry.relative_path}: the file that runs alone has {size:,} bytes, more "
            f"than {LARGEST:,}: import fewer modules, or split one"
        )
    return made


# endregion: build


def code(entry: Entry) -> list[str]:
    """Return the code of the standalone copy, cell by cell: what a run depends on."""
    return _code_of(build(entry, Provenance()))


def text(notebook: dict[str, Any]) -> str:
    """Return the notebook as a file holds it: a key a line, not indented (1 % less)."""
    return json.dumps(notebook, indent=0, ensure_ascii=False) + "\n"


def modules(root: Path, notebook: dict[str, Any]) -> list[str]:
    """Return the modules that a notebook reaches, in order of their names.

    The registry of backends reaches all of them. A backend whose algorithm nothing in
    the notebook calls stays away, and the registry passes it over.
    """
    code = _code_of(notebook)
    return sorted(imports.reach(root, code, _spare(root, code)).modules)


def _spare(root: Path, code: list[str]) -> set[str]:
    """Find the backends that neither the code nor a module that it reaches names."""
    backends = {f"snippets/backends/{name}.py": of for of, name in TRAINERS.items()}
    reached = imports.reach(root, code, backends).modules.keys() - {REGISTRY}
    texts = [(root / name).read_text(encoding="utf-8") for name in reached]
    named = set().union(*map(imports.names, [*code, *texts]))
    return {
        path
        for path, algorithm in backends.items()
        if f"training_hub.{algorithm}" not in named
        and not any(name.startswith(_dotted(path)) for name in named)
    }


def _dotted(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def requirements(entry: Entry, notebook: dict[str, Any]) -> dict[str, str]:
    """Return the pins of all that a notebook rests on, torch among them.

    Where a version depends on the system, all are given with their conditions.
    """
    reached = imports.reach(entry.root, _code_of(notebook)).packages
    pins = versions.locked(entry.root, reached | set(entry.packages))
    return {k: v for k, v in pins.items() if v != versions.NOT_LOCKED}


def version(root: Path) -> str:
    """Return the version of the handbook."""
    return project(root)["project"]["version"]


def model_wheel(root: Path) -> str:
    """Return the file name of the tiny model's wheel."""
    return f"{MODEL.replace('-', '_')}-{version(root)}-py3-none-any.whl"


def site(root: Path) -> str:
    """Return the address that ``book.yml`` gives the site, ``""`` where it has none."""
    path = root / "book.yml"
    known = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}
    return str(known.get("html", {}).get("baseurl") or "").rstrip("/")


def first_cell(entry: Entry, notebook: dict[str, Any]) -> str:
    """Return the cell that checks Python and packages, with the pins filled in."""
    root = entry.root
    pins = requirements(entry, notebook)
    torch = pins.pop("torch")
    oldest = project(root)["tool"]["handbook"]["oldest"]
    lines = [
        f"{name}=={pin}" for name, found in pins.items() for pin in found.split(" | ")
    ]
    floors = [f"{name}=={pin}" for name, pin in oldest.items() if name in pins]
    return _template(
        "first_cell.ipy",
        TORCH=torch,
        PROVEN=_wrapped(lines),
        OLDEST=_wrapped(floors),
        MODEL=f"{MODEL}=={version(root)}",
        SITE=f"{site(root)}/downloads/wheels" if site(root) else "",
    )


def project(root: Path) -> dict[str, Any]:
    """Return what ``pyproject.toml`` says."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def _code_of(notebook: dict[str, Any]) -> list[str]:
    return [source for source, _ in code_cells(notebook)]


def _wrapped(pins: Iterable[str]) -> str:
    """Set pins in lines that are not too long; no line break falls inside a pin."""
    joined = ", ".join(pin.replace(" ", "\0") for pin in pins)
    lines = textwrap.wrap(joined, WIDTH, break_on_hyphens=False, break_long_words=False)
    return "\n".join(lines).replace("\0", " ")


def _template(name: str, **values: str) -> str:
    found = (HERE / name).read_text(encoding="utf-8").rstrip("\n")
    for key, value in values.items():
        found = found.replace(f"@{key}@", value)
    return found


def _header(root: Path, entry: Entry, provenance: Provenance) -> str:
    receipt = provenance.receipt or "none: not run on the machine that built this file"
    page = provenance.page or f"notebooks/{entry.name}.html"
    return "\n".join(
        [
            "**This file runs alone.** It carries the modules that it imports, and its "
            "first cell checks the packages. Put it in any folder and run all cells.",
            "",
            "| | |",
            "|---|---|",
            f"| Handbook | {version(root)}, commit {provenance.commit or 'unknown'} |",
            f"| Receipt, SHA-256 | `{receipt}` |",
            f"| Page | {page} |",
        ]
    )


def _modules_text(carried: list[str]) -> str:
    return (
        "## The modules of this notebook\n\n"
        f"{len(carried)} modules of the handbook, each in a cell of its own. You need "
        "not read them: run them and go on. To change one, open its cell, edit it, and "
        "run it and what follows. A line then says that it is not the published one."
    )


def _module_cell(root: Path, name: str) -> dict[str, Any]:
    source = (root / name).read_text(encoding="utf-8")
    if "'''" in source or "\r" in source or source.endswith("'"):
        raise StandaloneError(
            f"{name}: a module that notebooks carry may not contain three single "
            "quotes: use double quotes"
        )
    digest = hashlib.sha256(source.encode()).hexdigest()
    cell = f"module({name!r}, {digest!r}, r'''\n{source}''')"
    slug = name.removesuffix(".py").replace("/", "-").replace("_", "-").strip("-")
    return _code(f"module-{slug}", cell, hidden=True)


def _code(cell_id: str, source: str, hidden: bool = False) -> dict[str, Any]:
    metadata = {"jupyter": {"source_hidden": True}} if hidden else {}
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id[:64],
        "metadata": metadata,
        "outputs": [],
        "source": source,
    }


def _markdown(cell_id: str, source: str, collapsed: bool = False) -> dict[str, Any]:
    metadata = {"jp-MarkdownHeadingCollapsed": True} if collapsed else {}
    return {
        "cell_type": "markdown",
        "id": cell_id,
        "metadata": metadata,
        "source": source,
    }
