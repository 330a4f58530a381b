"""Says what the checks found: a table for people, JSON for pages and machines."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from verify.blocks import commands
from verify.blocks.checking import Result
from verify.blocks.table import LANGUAGES

SCHEMA = 1


def summary(result: Result) -> str:
    """Return the counts by language, and every exemption with its reason."""
    count = Counter(block.language for block in result.blocks)
    exempt = Counter(one.language for one in result.exempt)
    rows = [("language", "blocks", "exempt", "checked how")]
    for language in sorted(count, key=lambda name: (-count[name], name)):
        known = LANGUAGES.get(language)
        how = known.how if known else "not at all: see the problem above"
        row = (language or "(none)", str(count[language]), str(exempt[language]), how)
        rows.append(row)
    lines = [f"{a:<10} {b:>6} {c:>6}  {d}" for a, b, c, d in rows]
    lines += [f"exempt: {e.place}: {e.check}: {e.reason}" for e in result.exempt]
    objects = result.objects
    if objects.checked:
        left = f", {len(objects.unchecked)} without a schema at hand"
        lines.append(f"Kubernetes objects: {objects.checked}{left}")
    lines += [f"not checked: {place}: {kind}" for place, kind in objects.unchecked]
    lines += [
        f"upgrade: {note.place}: {note.name}, Trainer {note.old} to {note.new}: "
        + "; ".join(note.fields)
        for note in objects.upgrades
    ]
    run = sum(block.run for block in result.blocks)
    problems = len(result.problems)
    lines.append(
        f"{len(result.blocks)} blocks on {result.pages} pages, {run} of them run, "
        f"{len(result.exempt)} exemptions, {problems} "
        f"problem{'' if problems == 1 else 's'}"
    )
    return "\n".join(lines)


def as_data(result: Result) -> dict[str, Any]:
    """Return everything as JSON data; the same pages give the same data."""
    count = Counter(block.language for block in result.blocks)
    exempt = Counter(one.language for one in result.exempt)
    return {
        "schema": SCHEMA,
        "pages": result.pages,
        "blocks": len(result.blocks),
        "run": sum(block.run for block in result.blocks),
        "languages": {
            language: {
                "blocks": count[language],
                "exempt": exempt[language],
                "how": LANGUAGES[language].how if language in LANGUAGES else None,
            }
            for language in sorted(count)
        },
        "commands": commands.counted(result.blocks),
        "exemptions": [asdict(one) for one in result.exempt],
        "objects": result.objects.checked,
        "unchecked": [
            {**asdict(place), "object": kind}
            for place, kind in result.objects.unchecked
        ],
        "upgrades": [asdict(note) for note in result.objects.upgrades],
        "problems": [
            {
                **asdict(problem.place),
                "check": problem.check,
                "what": problem.what,
                "instead": problem.instead,
            }
            for problem in result.problems
        ],
    }


def write(path: Path, data: dict[str, Any]) -> None:
    """Write beside, then move into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)
