"""A table of verdicts that reads by its words, and by its colors at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from snippets.figure import Figure, style_tag

STYLE = """
.hb-verdicts{overflow-x:auto}
.hb-verdicts table{border-collapse:collapse;font-size:.86em;line-height:1.3}
.hb-verdicts th,.hb-verdicts td{border:1px solid #d0d7de;padding:.3rem .5rem;
text-align:left;vertical-align:top;background:none;color:inherit;font-weight:400}
.hb-verdicts thead th,.hb-verdicts tbody th{font-weight:600}
.hb-verdicts td.good{background:#dff3ea;color:#00553e;font-weight:600}
.hb-verdicts td.bad{background:#fdeadf;color:#8a3500}
"""
DARK = """
PAGE .hb-verdicts th,PAGE .hb-verdicts td{border-color:#3d444d}
PAGE .hb-verdicts td.good{background:#0d3b2e;color:#7fe3c4}
PAGE .hb-verdicts td.bad{background:#43260f;color:#ffb68f}
"""


# region: verdicts
def verdicts(
    table: Mapping[str, Mapping[str, object]], title: str, good: str = "good"
) -> Figure:
    """Show what was found for each row and column, in words.

    Parameters
    ----------
    table
        For each row label the verdict of each column; ``str`` of it is shown.
    title
        Shown above the table.
    good
        The verdict that is colored as good; every other one is not.
    """
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(_cell(str(row.get(name, "")), good) for name in columns)
        + "</tr>"
        for label, row in table.items()
    )
    said = [
        f"{label}: " + ", ".join(f"{name} {verdict}" for name, verdict in row.items())
        for label, row in table.items()
    ]
    html = (
        f"{style_tag(STYLE, DARK)}"
        '<div class="hb-verdicts" tabindex="0"><table>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    return Figure(title, f"{title}. {'; '.join(said)}.", html)


def _cell(verdict: str, good: str) -> str:
    kind = "good" if verdict == good else "bad"
    return f'<td class="{kind}">{escape(verdict)}</td>'


# endregion: verdicts
