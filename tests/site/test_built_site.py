"""A real browser opens every page of the built site and finds nothing to complain of.

The site is the one in HANDBOOK_SITE, or a small book that is built for these tests.
"""

from __future__ import annotations

import functools
import http.server
import itertools
import os
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

WIDTHS = (1400, 390)
THEMES = ("light", "dark")
NOT_PAGES = {"_static", "downloads", "index.html"}  # the last one only leads on

WITHOUT_TEXT = """() => [...document.images]
  .filter(image => !image.alt.trim() && image.getAttribute("role") !== "presentation")
  .map(image => image.src.slice(0, 80))"""

# Contrast by WCAG 2: text against the first opaque background behind it.
LOW_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d",
    {willReadFrequently: true});
  const drawn = new Map();
  const rgba = color => {
    if (drawn.has(color)) return drawn.get(color);
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    drawn.set(color, canvas.getImageData(0, 0, 1, 1).data);
    return drawn.get(color);
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] > 250) return color;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    if (!element.getClientRects().length || element.closest("svg, dialog")) continue;
    const pair = [light(rgba(style.color)), light(behind(element))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.005) {
      const text = walker.currentNode.data.trim().slice(0, 40);
      found.add(`${ratio.toFixed(2)} ${element.className || element.tagName}: ${text}`);
    }
  }
  return [...found];
}"""


@pytest.fixture(scope="session")
def site(request) -> Path:
    """Return the folder of the built site."""
    given = os.environ.get("HANDBOOK_SITE")
    if given:
        folder = Path(given).resolve()
        assert (folder / "index.html").is_file(), f"HANDBOOK_SITE has no site: {given}"
        return folder
    built = request.getfixturevalue("good_site")
    assert built.code == 0, built.log
    return built.site


@pytest.fixture(scope="session")
def pages(site) -> list[str]:
    """Return the address of every page, relative to the site."""
    found = [path.relative_to(site) for path in sorted(site.rglob("*.html"))]
    return [path.as_posix() for path in found if path.parts[0] not in NOT_PAGES]


@pytest.fixture(scope="session")
def server(site):
    """Serve the site as any static server would, and return its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def visit(browser, base: str, pages: list[str], width: int, theme: str) -> list[str]:
    """Open pages one after another and return everything that is wrong with them."""
    size = {"width": width, "height": 900}
    calm = {"color_scheme": theme, "reduced_motion": "reduce"}  # no half-faded colors
    context = browser.new_context(viewport=size, **calm)
    problems: list[str] = []
    context.route("**/*", lambda route: _only_local(route, base, problems))
    page = context.new_page()
    page.on("console", lambda said: _console(said, page, problems))
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda it: problems.append(f"{page.url}: lost {it.url}"))
    for name in pages:
        page.goto(base + name, wait_until="load")
        page.wait_for_timeout(100)
        problems += [f"{name}: {problem}" for problem in look(page, width, theme)]
    context.close()
    return problems


def _only_local(route, base: str, problems: list[str]) -> None:
    url = route.request.url
    if url.startswith((base, "data:")):
        route.continue_()
    else:
        problems.append(f"asks for {url}")
        route.abort()


def _console(said, page, problems: list[str]) -> None:
    if said.type in ("error", "warning"):
        problems.append(f"{page.url}: {said.text}")


def look(page, width: int, theme: str) -> list[str]:
    """Return what is wrong with one open page."""
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = []
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        found.append(f"scrolls sideways, {wide} px in a window of {width} px")
    found += [f"image without text: {src}" for src in page.evaluate(WITHOUT_TEXT)]
    found += [f"low contrast: {text}" for text in page.evaluate(LOW_CONTRAST)]
    shown = page.evaluate("document.documentElement.dataset.theme || ''")
    if shown and shown != theme:
        found.append(f"is shown in {shown}")
    # What was opened above may ask for a font; to leave now would lose it.
    page.evaluate("document.fonts.ready.then(() => 0)")
    return found


def in_turn(pages: list[str], turn: int) -> list[str]:
    """Return all pages, but of the listings of files, which look alike, each fourth."""
    listings = [page for page in pages if page.startswith("source/")]
    return [p for p in pages if p not in listings] + listings[turn::4]


@pytest.mark.parametrize(
    ("turn", "width", "theme"),
    [(n, *view) for n, view in enumerate(itertools.product(WIDTHS, THEMES))],
)
def test_every_page_is_complete_and_readable(
    browser, server, pages, turn, width, theme
):
    assert visit(browser, server, in_turn(pages, turn), width, theme) == []


def test_every_listing_has_its_turn():
    pages = ["a.html", *(f"source/{n}.py.html" for n in range(6))]
    turns = [in_turn(pages, turn) for turn in range(len(WIDTHS) * len(THEMES))]
    assert {page for turn in turns for page in turn} == set(pages)
    assert all(turn[0] == "a.html" for turn in turns)


def test_every_page_opens_from_a_folder_without_a_server(browser, site, pages):
    rooted = {"404.html"}  # it is shown for any address, so it names its files from /
    local = [page for page in in_turn(pages, 0) if page not in rooted]
    assert visit(browser, site.as_uri() + "/", local, 1400, "light") == []


def test_the_visit_sees_what_is_wrong(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<!DOCTYPE html><title>x</title><p style='color:#999'>faint</p>"
        "<div style='width:2000px'>wide</div><img src='data:,'>"
        "<script src='https://example.com/x.js'></script>"
    )
    base = tmp_path.as_uri() + "/"
    found = " ".join(visit(browser, base, ["bad.html"], 390, "light"))
    for wrong in (
        "asks for https://example.com/x.js",
        "scrolls sideways, 20",
        "image without text",
        "low contrast: 2.85",
    ):
        assert wrong in found


def test_focus_is_visible_from_the_first_tab(browser, server, pages):
    page = browser.new_page()
    page.goto(server + pages[-1])
    for _ in range(8):
        page.keyboard.press("Tab")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) != "none"
    page.close()


def test_search_finds_a_word_of_a_page(browser, server):
    page = browser.new_page()
    page.goto(server + "search.html?q=notebook")
    page.wait_for_selector("#search-results li a", timeout=60_000)
    page.close()


def test_the_first_address_leads_to_the_landing(browser, server):
    page = browser.new_page()
    page.goto(server)
    page.wait_for_url(server + "docs/index.html", timeout=60_000)
    page.close()


class Links(HTMLParser):
    """Collects the addresses and the targets of one page."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.addresses: list[str] = []
        self.targets: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Keep what links and what can be linked to."""
        given = dict(attrs)
        self.targets.add(given.get("id") or "")
        address = given.get("href") or given.get("src")
        if address:
            self.addresses.append(address)


def test_every_local_address_leads_somewhere(site, pages):
    read = {page: Links((site / page).read_text(encoding="utf-8")) for page in pages}
    broken = []
    for page, links in read.items():
        for address in links.addresses:
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            path, target = urldefrag(address.partition("?")[0])
            start = site if path.startswith("/") else (site / page).parent
            file = (
                (start / unquote(path).lstrip("/")).resolve() if path else site / page
            )
            name = file.relative_to(site.resolve()).as_posix() if path else page
            if not file.exists():
                broken.append(f"{page}: {address}")
            elif name in read and unquote(target) not in read[name].targets:
                broken.append(f"{page}: {address} has no such place")
    assert broken == []


CAPTION = re.compile(r'hb-snippet-(?:lines|test)">[^<]*<a [^>]*href="([^"]+)"')
LISTED = re.compile(r"\.\./source/.+\.html#L\d+(-L\d+)?$")


def lost_captions(site: Path, pages: list[str]) -> tuple[int, list[str]]:
    """Return how many links captions have, and those without their lines."""
    links = [
        (page, link)
        for page in pages
        for link in CAPTION.findall((site / page).read_text(encoding="utf-8"))
    ]
    targets: dict[Path, set[str]] = {}
    lost = []
    for page, link in links:
        path, target = urldefrag(link)
        file = ((site / page).parent / unquote(path)).resolve()
        if file not in targets:
            read = Links(file.read_text("utf-8")).targets if file.is_file() else set()
            targets[file] = read
        if not LISTED.search(link) or target not in targets[file]:
            lost.append(f"{page}: {link}")
    return len(links), lost


def test_every_caption_leads_to_its_lines_and_its_tests(site, pages):
    count, lost = lost_captions(site, pages)
    assert count >= 5 and lost == []


def test_a_caption_that_leads_nowhere_is_found(tmp_path):
    link = '<span class="hb-snippet-lines"><a class="x" href="../source/{}">l</a>'
    (tmp_path / "docs").mkdir()
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.py.html").write_text('<i id="L7"></i><i id="L7-L9"></i>')
    places = ("a.py.html#L7", "a.py.html#L7-L9", "a.py.html#L8", "a.py.html", "b#L7")
    text = "".join(link.format(place) for place in places)
    (tmp_path / "docs/a.html").write_text(text)
    count, lost = lost_captions(tmp_path, ["docs/a.html"])
    assert count == 5
    assert lost == [f"docs/a.html: ../source/{place}" for place in places[2:]]


def test_every_notebook_page_shows_its_receipt_and_its_download(site, pages):
    for page in (page for page in pages if page.startswith("notebooks/")):
        text = (site / page).read_text(encoding="utf-8")
        assert 'id="receipt"' in text, page
        assert "hb-pill-passed" in text, page
        notebook = Path(page).with_suffix(".ipynb").name
        assert (site / "downloads/notebooks" / notebook).is_file()
