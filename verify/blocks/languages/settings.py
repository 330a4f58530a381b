"""Checks the small languages that settings are written in: TOML and INI."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterator

from verify.blocks.found import Block, Problem, Setting


def toml(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find what is no TOML."""
    for block in blocks:
        try:
            tomllib.loads(block.code)
        except tomllib.TOMLDecodeError as error:
            match = re.search(r"at line (\d+)", str(error))
            what = f"is no TOML: {error}"
            place = block.line(int(match[1]) if match else 1)
            instead = "write TOML that parses, or tag the fence text"
            yield Problem(place, "toml", what, instead, block)


def ini(blocks: list[Block], setting: Setting) -> Iterator[Problem]:
    """Find what is no INI file."""
    for block in blocks:
        try:
            configparser.ConfigParser(interpolation=None).read_string(block.code)
        except configparser.Error as error:
            rows = getattr(error, "errors", None)
            number = rows[0][0] if rows else getattr(error, "lineno", None) or 1
            said = str(error).splitlines()[0]
            instead = "write INI that parses, or tag the fence text"
            place = block.line(number)
            yield Problem(place, "ini", f"is no INI: {said}", instead, block)
