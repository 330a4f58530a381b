"""Fills the extension's HTML templates; every value is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from verify.sphinx_ext import words

FILTERS = ("value", "shortened", "limit", "duration", "date", "day", "gib", "device")
FILTERS += ("plural", "listed", "issue")


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    for name in FILTERS:
        environment.filters[name] = getattr(words, name)
    return environment


def html(template: str, **values: Any) -> str:
    """Return one template, filled.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a name that was not given.
    """
    return _templates().get_template(template).render(**values)
