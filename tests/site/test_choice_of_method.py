"""Each leaf of the flow chart that trains leads to a notebook and to its settings."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAINING = (3, 4, 5, 6)


def lacking(page: str) -> list[str]:
    """Return one sentence for each leaf that leads to nothing to run."""
    chart = page.split("{div} hb-decide", 1)[1].split("\n::::", 1)[0]
    items = re.split(r"^\d+\. ", chart, flags=re.MULTILINE)[1:]
    said = []
    for number, item in enumerate(items, start=1):
        pages = re.findall(r"\{doc\}`[^<`]+<(/[^>]+)>`", item)
        gone = [p for p in pages if not list(ROOT.glob(f"{p.lstrip('/')}.*"))]
        said += [f"{number} leads to {page}, which is not there" for page in gone]
        for kind in ("/notebooks/", "/docs/how-to/") if number in TRAINING else ():
            if not any(page.startswith(kind) for page in pages):
                said.append(f"{number} leads to no page in {kind}")
    return said


def test_every_leaf_that_trains_leads_to_a_notebook_and_its_settings():
    page = (ROOT / "docs/explanation/which-method.md").read_text(encoding="utf-8")
    assert lacking(page) == []
    broken = page.replace("/notebooks/cpt-comprehensive-tutorial", "/docs/how-to/cpt")
    assert "3 leads to no page in /notebooks/" in lacking(broken)
    broken = page.replace("/docs/how-to/sft", "/docs/how-to/no-such-page")
    assert "5 leads to /docs/how-to/no-such-page, which is not there" in lacking(broken)
