"""Figures say their numbers in words and show the right image on every page."""

import base64
import json
import re
from xml.etree import ElementTree

import pytest

from snippets.figure import DARK, LIGHT, log_ticks, short
from snippets.memory import Breakdown
from snippets.plots import bars, curves, fronts, lengths, masks, outcomes
from snippets.schedule import plan

GIB = 1024**3
LIMIT = 150 * 1024  # bytes of one output


def falling(steps, start=4.0, end=0.5):
    """Make the log of a run whose loss falls."""
    return [
        {"step": step, "loss": end + (start - end) / step, "learning_rate": 1e-3}
        for step in range(1, steps + 1)
    ]


def bytes_of(*gib):
    return Breakdown(*[int(size * GIB) for size in gib])


FIGURES = {
    "loss": lambda: curves.loss({"a": falling(60), "b": falling(60, 5)}, "Two runs"),
    "long loss": lambda: curves.loss({"long": falling(20_000)}),
    "learning rate": lambda: curves.learning_rate(plan(64, 4, 3, 2e-4, 5), falling(48)),
    "missed peak": lambda: curves.learning_rate(plan(30, 1, 1, 2e-5, 100)),
    "one step": lambda: curves.learning_rate(plan(3, 8, 1, 2e-5)),
    "before and after": lambda: outcomes.before_after(
        {"Tickets": (0.0, 0.98), "Chat": (1.0, 0.85)}, "exact match"
    ),
    "far apart": lambda: outcomes.before_after({"Domain": (382.0, 6.8)}, "perplexity"),
    "memory": lambda: bars.memory_bars(
        {
            "LoRA": bytes_of(14.2, 0.2, 0.2, 0.3, 1, 3, 0),
            "QLoRA": bytes_of(5.2, 0.2, 0.2, 0.3, 1, 3, 0.1),
        },
        measured={"QLoRA": 9.5 * GIB},
    ),
    "forgetting": lambda: fronts.forgetting(
        [
            {"kind": "prose", "label": "0 %", "domain": 6.8, "general": 223},
            {"kind": "prose", "label": "25 %", "domain": 7.3, "general": 10.5},
            {"kind": "chat", "label": "25 %", "domain": 7.2, "general": 110},
        ],
        before=7.8,
    ),
    "histogram": lambda: lengths.histogram([10, 30, 40, 40, 50, 130, 128, 127], 128),
}


@pytest.fixture(params=FIGURES, scope="module")
def figure(request):
    return FIGURES[request.param]()


class Letters:
    """Stands in for a tokenizer: one id a byte."""

    @staticmethod
    def decode(ids, **_):
        return bytes(ids).decode("utf-8", errors="replace")


def letters(text, trained):
    ids = list(text.encode())
    start = text.encode().index(trained.encode())
    end = start + len(trained.encode())
    return ids, [one if start <= i < end else -100 for i, one in enumerate(ids)]


# ------------------------------------------------------------------ every figure
def test_an_output_is_html_with_words_for_readers_without_images(figure):
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == figure.alt
    assert figure.alt.endswith(".")
    assert bundle["text/html"] == figure.html()


def test_an_output_stays_small(figure):
    assert len(figure.html().encode()) < LIMIT


def test_there_is_one_image_a_theme_with_the_same_words(figure):
    tags = re.findall(r"<img [^>]*>", figure.html())
    assert ["hb-light" in tag for tag in tags] == [True, False]
    assert ["hb-dark" in tag for tag in tags] == [False, True]
    assert all("alt=" in tag and "base64," in tag for tag in tags)


def test_the_images_are_whole_transparent_and_alike_every_time(figure):
    sources = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', figure.html())
    for source, theme in zip(sources, (LIGHT, DARK), strict=True):
        text = base64.b64decode(source).decode()
        ElementTree.fromstring(text)
        assert "<dc:date>" not in text
        assert theme.muted in text
    light = base64.b64decode(sources[0]).decode()
    background = re.search(r'<g id="patch_1">\s*<path [^>]*style="([^"]*)"', light)
    assert "opacity: 0" in background.group(1) or "fill: none" in background.group(1)


def test_the_same_numbers_make_the_same_bytes():
    assert FIGURES["loss"]().html() == FIGURES["loss"]().html()


def luminance(color):
    def linear(part):
        value = int(part, 16) / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(color[i : i + 2]) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("theme", "page"),
    [(LIGHT, "#ffffff"), (DARK, "#14181e"), (DARK, "#111111"), (DARK, "#1f1f1f")],
)
def test_every_color_of_words_has_the_contrast_that_wcag_asks_for(theme, page):
    for color in (theme.ink, theme.muted, *theme.hues):
        assert contrast(color, page) >= 4.5, (color, page)


# ------------------------------------------------------------------ loss
def test_a_resumed_run_that_logged_steps_twice_is_drawn_once(tmp_path):
    log = tmp_path / "training_metrics.jsonl"
    rows = falling(6)[:4] + [{"step": 3, "loss": 9.0}, {"step": 4, "loss": 8.0}]
    rows += [{"step": 4, "train_runtime": 3.0}]
    log.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    said = curves.loss({"run": log}, "Loss").alt
    assert said == "Loss: run 4 at step 1, 8 at step 4."
    assert len(curves.read_log(log)) == 7


def test_a_log_without_a_loss_is_refused():
    with pytest.raises(ValueError, match='no record has both "step" and "loss"'):
        curves.loss({"run": [{"step": 1, "accuracy": 1}]})


def test_given_words_replace_those_made_from_the_numbers():
    assert curves.loss({"run": falling(3)}, alt="It falls.").alt == "It falls."


# ------------------------------------------------------------------ the others
def test_a_missed_peak_is_said():
    said = FIGURES["missed peak"]().alt
    assert "highest 5.8e-6, 29% of the 2e-5 asked for" in said


def test_before_and_after_are_said():
    said = FIGURES["before and after"]().alt
    assert "Tickets 0 before, 0.98 after; Chat 1 before, 0.85 after" in said


def test_measured_memory_is_said():
    said = FIGURES["memory"]().alt
    assert "LoRA 18.9 GiB, most of it weights (14.2 GiB);" in said
    assert "QLoRA 10 GiB, most of it weights (5.2 GiB), measured 9.5 GiB." in said


def test_dropped_rows_are_said():
    said = FIGURES["histogram"]().alt
    assert "5 of 8 rows are kept: 20 to 127 tokens." in said
    assert "1 are too short and 2 too long" in said


def test_one_row_and_equal_rows_can_be_drawn():
    assert "1 of 1 rows" in lengths.histogram([40], 128).note
    point = {"label": "only", "domain": 5.0, "general": 5.0}
    assert "only" in fronts.forgetting([point]).alt
    assert outcomes.before_after({"same": (0.0, 0.0)}, "exact match").alt


def test_numbers_are_short():
    assert [short(n) for n in (0, 0.03117, 13.84, 1240.4)] == [
        "0",
        "0.0312",
        "13.8",
        "1,240",
    ]


@pytest.mark.parametrize(("low", "high"), [(5, 300), (0.01, 1e6), (9, 45)])
def test_a_logarithmic_axis_has_a_few_round_marks(low, high):
    marks = log_ticks(low, high)
    assert 2 <= len(marks) <= 6 or high / low > 1e6
    assert all(low <= mark <= high for mark in marks)


# ------------------------------------------------------------------ mask
def test_trained_tokens_stand_in_brackets_and_in_bold():
    shown = masks.mask(Letters, *letters("user: a b\nYES", "YES"))
    assert shown.alt.endswith("user: a b\n[YES]")
    assert shown.note == "3 of 13 tokens are trained (23%)."
    html = shown.html()
    assert "<b>Y</b><wbr><b>E</b>" in html
    assert "<i>\u00b7</i>" in html
    assert "<i>\u21b5</i><wbr><br>" in html


def test_a_character_of_several_tokens_stays_whole():
    shown = masks.mask(Letters, *letters("caf\u00e9 <b>", "\u00e9"))
    assert "<b>\u00e9</b>" in shown.html()
    assert "&lt;" in shown.html()
    assert shown.alt.endswith("caf[\u00e9] <b>")


def test_a_long_row_is_cut_and_the_rest_is_counted():
    shown = masks.mask(Letters, *letters("x" * 500 + "y", "y"), limit=100)
    assert shown.alt.endswith("x and 401 more tokens")
    assert shown.note == "1 of 501 tokens are trained (0%)."


# ------------------------------------------------------------------ in a browser
# What pydata-sphinx-theme does to outputs and images on a dark page.
PYDATA = """<style>
html[data-theme=dark] .bd-content div.cell_output .text_html:not(:has(table.dataframe)),
html[data-theme=dark] .bd-content div.cell_output img{background-color:#ced6dd;
color:#222832;padding:.5rem}
html[data-theme=dark] img:not(.only-dark,.dark-light){filter:brightness(.8)}
</style>"""


@pytest.mark.parametrize(
    ("html", "body", "shown"),
    [
        ("data-theme='light'", "", "hb-light"),
        ("data-theme='dark'", "", "hb-dark"),
        ("", "data-jp-theme-light='true'", "hb-light"),
        ("", "data-jp-theme-light='false'", "hb-dark"),
        ("theme='dark'", "", "hb-dark"),
        ("", "class='vscode-dark'", "hb-dark"),
        ("", "", "hb-light"),
    ],
)
def test_a_page_shows_the_image_of_its_theme(browser, html, body, shown):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    figure = FIGURES["loss"]().html()
    page.set_content(
        f"<html {html}>{PYDATA}<body {body}><div class='bd-content'>"
        f"<div class='cell_output'><div class='output text_html'>{figure}</div></div>"
    )
    seen = page.eval_on_selector_all(
        ".hb-figure img",
        """all => all.filter(i => i.offsetParent).map(i => ({
            name: i.classList[0], width: i.naturalWidth, shown: i.clientWidth,
            filter: getComputedStyle(i).filter,
            back: getComputedStyle(i).backgroundColor,
            around: getComputedStyle(i.closest('.text_html')).backgroundColor}))""",
    )
    page.close()
    assert [image["name"] for image in seen] == [shown]
    (image,) = seen
    assert image["width"] > 0
    assert image["shown"] <= 390
    assert image["filter"] == "none"
    assert image["around"] == "rgba(0, 0, 0, 0)"
    white, clear = "rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"
    assert image["back"] == (white if shown == "hb-light" else clear)
