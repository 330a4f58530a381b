"""Reads one MDX file of the book with what the configuration says of its names."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sphinx.environment import BuildEnvironment
from sphinx.errors import ConfigError
from sphinx.util import logging

from verify.mdx import Components, Site, Translation, translate, vocabulary

NAMED = ("mdx_terms", "mdx_sites", "mdx_components", "mdx_aliases")
log = logging.getLogger(__name__)


def configured(config: Mapping[str, Any]) -> Components:
    """Return the names that the configuration gives a meaning in guides.

    Raises
    ------
    ConfigError
        If a site has no title or address, or a component is shown in no known way.
    """
    known: dict[str, Site] = {}
    for name, said in config.get("mdx_sites", {}).items():
        if not isinstance(said, dict) or not {"title", "url"} <= set(said):
            raise ConfigError(f"mdx_sites: give {name!r} a title and a url")
        known[str(name)] = Site(str(said["title"]), str(said["url"]))
    ways = {*vocabulary.WAYS, *vocabulary.BLOCKS, *vocabulary.WORDS}
    for name, way in config.get("mdx_components", {}).items():
        if way not in ways:
            cure = "write children, note, link, or a component of the subset"
            raise ConfigError(f"mdx_components: {name!r} is shown as {way!r}; {cure}")
    return Components(
        terms={
            str(name): str(text) for name, text in config.get("mdx_terms", {}).items()
        },
        sites=known,
        mapped=dict(config.get("mdx_components", {})),
        aliases=dict(config.get("mdx_aliases", {})),
    )


def read(
    env: BuildEnvironment, path: Path, text: str, props: dict[str, Any] | None = None
) -> Translation:
    """Translate a file of the book and report what is outside the subset."""
    folder = posixpath.dirname(from_root(env, path))
    said = {name: getattr(env.config, name) for name in NAMED}
    page = translate(
        text,
        path=path.name,
        components=configured(said),
        folder=folder,
        props=props,
    )
    for error in page.errors:
        report(path, (error.line, error.column), f"{error.what}; {error.instead}")
    for file in page.imports:
        if not (Path(env.srcdir) / file.path).is_file():
            what = f"there is no file {file.path}; write the path of one"
            report(path, (file.line, file.column), what)
    return page


def from_root(env: BuildEnvironment, path: Path) -> str:
    """Return the path of a file from the root of the repository."""
    return path.resolve().relative_to(Path(env.srcdir).resolve()).as_posix()


def report(path: Path, place: tuple[int, ...], message: str) -> None:
    """Warn of something in a file, at its line and, where it is known, its column."""
    where = ":".join(map(str, (path, *place)))
    log.warning("%s", message, location=where, type="mdx", subtype="subset")
