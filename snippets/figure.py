"""A figure is painted twice, once for a light page and once for a dark one."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# region: theme
@dataclass(frozen=True)
class Theme:
    """The colors of one theme; every one reads on that theme's background.

    ``hues`` follow Okabe and Ito's palette for color-blind readers
    (jfly.uni-koeln.de/color), darker for a light page and lighter for a dark one:
    blue, vermilion, bluish green, purple, orange, sky blue.
    """

    name: str
    ink: str
    muted: str
    grid: str
    paper: str
    hues: tuple[str, ...]


LIGHT = Theme(
    name="light",
    ink="#1f2328",
    muted="#57606a",
    grid="#d0d7de",
    paper="#ffffff",
    hues=("#0072b2", "#c04a00", "#007a5a", "#a3467d", "#8f6000", "#2478a8"),
)
DARK = Theme(
    name="dark",
    ink="#e6edf3",
    muted="#9ea7b3",
    grid="#3d444d",
    paper="#14181e",
    hues=("#4fb0ee", "#ff8a4c", "#2cc295", "#e59fc6", "#e6a71e", "#9fd3f5"),
)
DARK_PAGES = (
    "html[data-theme=dark]",  # Jupyter Book and other pydata themes
    "[data-jp-theme-light=false]",  # JupyterLab
    "html[theme=dark]",  # Colab
    ".vscode-dark",
)
DASHED = {"linestyle": (0, (4, 3)), "linewidth": 1.5}  # a bound, not data

STYLE = """
.hb-figure{margin:.5rem 0 1rem;max-width:640px;color:inherit}
.hb-figure figcaption{font-weight:600;text-align:left;margin:0 0 .4rem;color:inherit;
font-size:1em;line-height:1.35}
.hb-figure figcaption small{display:block;font-weight:400;font-size:.9em;opacity:.8}
.hb-figure img{width:100%;max-width:100%;height:auto;margin:0!important;
padding:0!important;filter:none!important;border-radius:0}
.hb-figure img.hb-light{display:block;background:#fff!important}
.hb-figure img.hb-dark{background:none!important}
"""
DARK_STYLE = """
PAGE .hb-figure img.hb-light{display:none}
PAGE .hb-figure img.hb-dark{display:block!important}
PAGE .text_html:has(>.hb-figure){background:none!important;color:inherit!important;
padding:0!important}
"""


def style_tag(style: str, dark: str) -> str:
    """Return a ``<style>`` whose second part holds on every dark page we know."""
    rules = style + "".join(dark.replace("PAGE", page) for page in DARK_PAGES)
    return f"<style>{rules.replace(chr(10), '')}</style>"


# endregion: theme


# region: figure
@dataclass(frozen=True)
class Figure:
    """One figure for every viewer; a notebook shows it as the last line of a cell.

    ``body`` is HTML, ``alt`` is what the figure says in words.
    """

    title: str
    alt: str
    body: str
    note: str = ""

    def html(self) -> str:
        """Return a ``<figure>`` that needs no file and no script beside it."""
        note = f"<small>{escape(self.note)}</small>" if self.note else ""
        caption = f"<figcaption>{escape(self.title)}{note}</figcaption>"
        style = style_tag(STYLE, DARK_STYLE)
        return f'{style}<figure class="hb-figure">{caption}{self.body}</figure>'

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": self.alt}


Painter = Callable[["Axes", Theme], None]


def draw(
    painter: Painter, title: str, alt: str, height: float, note: str = ""
) -> Figure:
    """Paint a figure once for each theme; the page shows the one that fits.

    Parameters
    ----------
    painter
        Draws on the axes with the colors of the theme.
    title, note
        Shown above the image in the font of the page.
    alt
        What the figure says, for readers who do not see it.
    height
        Inches. The width is 6.4, which becomes 640 pixels or the whole phone.
    """
    images = []
    for theme in (LIGHT, DARK):
        source = base64.b64encode(_svg(painter, theme, height)).decode()
        hidden = ' style="display:none"' if theme is DARK else ""
        images.append(
            f'<img class="hb-{theme.name} dark-light" alt="{escape(alt)}"{hidden} '
            f'src="data:image/svg+xml;base64,{source}">'
        )
    return Figure(title, alt, "".join(images), note)


def _svg(painter: Painter, theme: Theme, height: float) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context(_settings(theme)):
        canvas = Canvas(figsize=(6.4, height), layout="constrained")
        painter(canvas.subplots(), theme)
        out = io.BytesIO()
        canvas.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()


def _settings(theme: Theme) -> dict[str, Any]:
    return {
        "svg.fonttype": "path",
        "svg.hashsalt": theme.name,
        "font.family": "DejaVu Sans",
        "font.size": 12.5,
        "text.color": theme.ink,
        "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.grid,
        "axes.linewidth": 1.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "grid.alpha": 0.7,
        "xtick.color": theme.grid,
        "ytick.color": theme.grid,
        "xtick.labelcolor": theme.muted,
        "ytick.labelcolor": theme.muted,
        "ytick.major.size": 0,
        "lines.linewidth": 2.4,
        "lines.solid_capstyle": "round",
    }


# endregion: figure


# region: words
def write_beside(
    axes: Axes, x: float, y: float, text: str, way: int, color: str, bold: bool = False
) -> None:
    """Write to the right (1) or to the left (-1) of a place."""
    axes.annotate(
        text,
        (x, y),
        xytext=(11 * way, 0),
        textcoords="offset points",
        ha="left" if way > 0 else "right",
        va="center",
        color=color,
        fontweight="bold" if bold else "normal",
        annotation_clip=False,
    )


def write_above(axes: Axes, x: float, y: float, text: str, color: str, ha: str) -> None:
    """Write above a place: from it (left), over it (center) or up to it (right)."""
    axes.annotate(
        text,
        (x, y),
        xytext=({"left": 6, "center": 0, "right": -6}[ha], 7),
        textcoords="offset points",
        ha=ha,
        va="bottom",
        color=color,
        fontweight="bold",
    )


def name_lines(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Name every line at its end; names that would touch are moved apart.

    ``ends`` holds x, y, name and color of each line.
    """
    gap = 0.085 * axes.get_ylim()[1]
    last = -gap
    for x, y, text, color in sorted(ends, key=lambda end: end[1]):
        last = max(y, last + gap)
        write_beside(axes, x, last, text, 1, color, bold=True)


def add_legend(axes: Axes, colors: Mapping[str, str]) -> None:
    """Name the colors below the axes."""
    from matplotlib.patches import Patch

    if not colors:
        return
    axes.figure.legend(
        handles=[Patch(color=color, label=name) for name, color in colors.items()],
        loc="outside lower center",
        ncols=3,
        frameon=False,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.4,
    )


def rows_only(axes: Axes, rows: int) -> None:
    """Use the vertical axis for named rows, from the top down, without numbers."""
    axes.set_ylim(-rows + 0.42, 0.68)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")


def round_ticks(count: int, whole: bool = False):
    """Return a locator of about ``count`` round numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, integer=whole, steps=[1, 2, 5, 10])


def log_ticks(low: float, high: float) -> list[float]:
    """Pick round numbers between two bounds of a logarithmic axis, at most six."""
    for digits in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        marks = [digit * 10.0**power for power in range(-6, 13) for digit in digits]
        inside = [mark for mark in marks if low <= mark <= high]
        if len(inside) <= 6:
            break
    return inside


def short(value: float) -> str:
    """Write a number with three digits: 0.0312, 13.8, 1,240."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# endregion: words
