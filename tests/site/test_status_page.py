"""The status page is right, for people and programs, in each state of a checkout."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from verify import receipts
from verify.sphinx_ext import render, words
from verify.sphinx_ext.timeline import timeline

TODAY = datetime.datetime.now(datetime.UTC).date()
SOON = TODAY + datetime.timedelta(days=30)
PAST = TODAY - datetime.timedelta(days=1)
ERROR = {"kind": "error", "cell": 2, "source": "boom()", "tail": ["ValueError: no"]}
SLOW = {"kind": "cell-timeout", "cell": 2, "source": "wait()", "tail": []}
DEAD = {"kind": "kernel-died", "cell": 2, "source": "end()", "tail": ["Killed"]}
VALIDATE = (
    "import json, jsonschema, sys; "
    "jsonschema.validate(*(json.load(open(name)) for name in sys.argv[1:]))"
)


def make(new_book, skip: datetime.date | None = None):
    """Return a book with one notebook to break, one that is left alone, and a page."""
    book = new_book()
    profile = {"skip": skip_of(skip)} if skip else {}
    cell = book.code("from snippets.greet import hello\nprint('an output')")
    judged = {"match": {"min": 0.5}}
    book.notebook("tiny", cell, expect=judged, profiles={"cpu": profile})
    cuda = {"needs": ["cuda"]}
    steady = book.code("x = 1")
    book.notebook("steady", steady, profiles={"cpu": {}, "cuda": cuda})
    book.page("status", "# Status\n\n```{verified}\n```\n\n```{receipts}\n```\n")
    book.page("numbers", "# Numbers\n\nIt is {outcome}`tiny:match`.\n")
    return book


def skip_of(expires: datetime.date) -> dict:
    return {
        "probe": {"cpu_lacks": "no_such_feature"},
        "reason": "the kernel crashes without it",
        "owner": "the maintainers",
        "expires": expires.isoformat(),
    }


def run_all(book, **facts):
    """Let both notebooks pass; ``facts`` change the run of the one to break."""
    book.ran("tiny", [book.outcome("match", 0.9), book.text("an output")], **facts)
    book.ran("steady")


def fresh_clone(new_book):
    return make(new_book)


def unchanged(new_book):
    book = make(new_book)
    run_all(book)
    return book


def one_edit(new_book):
    book = make(new_book)
    run_all(book, commit=book.commit())
    book.write("snippets/greet.py", "def hello():\n    return 'changed'\n")
    book.edit = book.commit()
    return book


def one_failure(new_book):
    book = make(new_book)
    run_all(book)
    reason = "cell 2: ValueError: no"
    book.ran("tiny", status="failed", reason=reason, failure=ERROR)
    return book


def one_timeout(new_book):
    book = make(new_book)
    run_all(book)
    reason = "cell 2 ran into its limit of 60 s"
    book.ran("tiny", status="timeout", reason=reason, failure=SLOW)
    return book


def one_crash(new_book):
    book = make(new_book)
    run_all(book)
    reason = "the kernel died in cell 2"
    book.ran("tiny", status="crashed", reason=reason, failure=DEAD)
    return book


def one_skip(new_book):
    book = make(new_book, SOON)
    run_all(book)
    book.skipped("tiny")
    return book


def one_expired_skip(new_book):
    book = make(new_book, PAST)
    run_all(book)
    book.skipped("tiny")
    return book


@dataclass(frozen=True)
class Expected:
    """What a state must show: of the broken notebook, and of the whole."""

    status: str
    word: str
    says: tuple[str, ...]
    sums: tuple[str, ...]
    red: bool


STATES: dict[Callable, Expected] = {
    fresh_clone: Expected(
        "never run",
        "Never run",
        ("No run is on record; run python3 noxfile.py -s book.",),
        ("0 of 3 runs are verified.", "Not verified"),
        True,
    ),
    unchanged: Expected(
        "passed", "Verified", (), ("2 of 3 runs are verified.",), False
    ),
    one_edit: Expected(
        "stale",
        "Stale",
        ("is stale since EDIT", "snippets/greet.py changed; run", "<code>EDIT</code>"),
        ("1 of 3 runs is verified.", "Not verified"),
        True,
    ),
    one_failure: Expected(
        "failed",
        "Failed",
        ("Cell 2: ValueError: no.",),
        ("1 of 3 runs is verified.", "Not verified"),
        True,
    ),
    one_timeout: Expected(
        "timeout",
        "Timed out",
        ("Cell 2 ran into its limit of 60 s.",),
        ("1 of 3 runs is verified.", "Not verified"),
        True,
    ),
    one_crash: Expected(
        "crashed",
        "Crashed",
        ("The kernel died in cell 2.",),
        ("1 of 3 runs is verified.", "Not verified"),
        True,
    ),
    one_skip: Expected(
        "skipped",
        "Skipped",
        (
            "until SOON: the kernel crashes without it.",
            "The probe saw: the test's machine has none.",
            "Owner: the maintainers.",
        ),
        ("1 of 3 runs is verified. 1 of 3 runs is skipped.", "1 of 2 skipped"),
        False,
    ),
    one_expired_skip: Expected(
        "failed",
        "Failed",
        ("Its skip expired on PAST: the maintainers must mend the cause",),
        ("1 of 3 runs is verified.", "Not verified"),
        True,
    ),
}


@pytest.fixture(scope="module", params=STATES, ids=lambda make: make.__name__)
def state(request, new_book):
    """Build one book for each state of a checkout."""
    book = request.param(new_book)
    return request.param, book, book.build(), STATES[request.param]


class Text(HTMLParser):
    """The words of each row of the table of runs, and of the whole page."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.rows: list[tuple[str, str]] = []
        self.all = ""
        self.row: str | None = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Begin a row."""
        if tag == "tbody":
            self.rows.append((dict(attrs).get("data-status", ""), ""))
            self.row = tag

    def handle_endtag(self, tag):
        """End a row."""
        self.row = None if tag == "tbody" else self.row

    def handle_data(self, data):
        """Keep the words."""
        self.all += data
        if self.row:
            status, text = self.rows[-1]
            self.rows[-1] = status, f"{text} {' '.join(data.split())}".strip()


def filled(text: str, book) -> str:
    """Put a state's own dates and commits into what is expected of it."""
    day = words.day(SOON)
    edit = getattr(book, "edit", "")
    return text.replace("SOON", day).replace("PAST", f"{PAST}").replace("EDIT", edit)


def test_the_build_is_red_unless_all_passed_or_was_skipped_in_time(state):
    _, book, built, expected = state
    assert (built.code != 0) == expected.red, built.log
    said = [line for line in built.lines("tiny") if "WARNING" in line]
    if expected.red:
        assert any("tiny on cpu: " in line for line in said), built.log
    else:
        assert "WARNING" not in built.log and "ERROR" not in built.log


def test_the_page_names_the_status_and_why(state):
    _, book, built, expected = state
    html = built.html("docs/status").replace("&#39;", "'")
    page = Text(html)
    status, row = page.rows[0]
    assert status == expected.status.replace(" ", "-")
    assert row.startswith(f"Notebook tiny cpu {expected.word} ")
    for text in expected.says:
        assert filled(text, book) in html
    for text in expected.sums:
        assert text in page.all
    assert f'data-status="{status}" aria-pressed="false"' in html


def test_the_machine_form_says_the_same_and_is_valid(state):
    make_state, book, built, expected = state
    found = json.loads((built.site / "status.json").read_text(encoding="utf-8"))
    published = json.loads((built.site / "status.schema.json").read_text("utf-8"))
    checker = jsonschema.FormatChecker()
    jsonschema.validate(found, published, format_checker=checker)
    run = found["runs"][0]
    assert (run["notebook"], run["profile"]) == ("tiny", "cpu")
    assert run["status"] == expected.status
    assert (run["reason"] is None) == (expected.status == "passed")
    assert run["since"] == getattr(book, "edit", None)
    skipped = make_state in (one_skip, one_expired_skip)
    assert (run["skip"] is not None) == skipped
    steady = "never run" if make_state is fresh_clone else "passed"
    states = [run["status"] for run in found["runs"]]
    assert states == [expected.status, steady, "never run"]
    assert found["counts"] == {n: states.count(n) for n in receipts.STATUSES}


def test_the_evidence_lies_beside_the_pages(state):
    make_state, book, built, expected = state
    page = built.html("notebooks/tiny")
    has_receipt = make_state not in (fresh_clone, one_expired_skip)
    receipt = built.site / "receipts/tiny.cpu.json"
    assert receipt.is_file() == has_receipt
    assert ("../receipts/tiny.cpu.json" in page) == has_receipt
    if has_receipt:
        written = receipts.receipt_path(book.root, "tiny", "cpu")
        assert receipt.read_bytes() == written.read_bytes()
    passed = expected.status == "passed"
    assert (built.site / "executed/tiny.cpu.ipynb").is_file() == passed
    assert ("../executed/tiny.cpu.ipynb" in page) == passed


def test_each_published_receipt_is_valid_by_the_published_schema(state, book_python):
    built = state[2]
    schema = built.site / "receipts/receipt.schema.json"
    pairs = [(built.site / "status.json", built.site / "status.schema.json")]
    for receipt in sorted((built.site / "receipts").glob("*.json")):
        pairs += [(receipt, schema)] if receipt != schema else []
    for file, by in pairs:
        told, rules = (json.loads(path.read_text("utf-8")) for path in (file, by))
        jsonschema.validate(told, rules, format_checker=jsonschema.FormatChecker())
        command = [book_python, "-W", "error", "-c", VALIDATE, str(file), str(by)]
        subprocess.run(command, check=True)


def test_outputs_are_shown_of_a_passed_run_only(state):
    _, _, built, expected = state
    page = built.html("notebooks/tiny")
    shown = page[page.index("</section>", page.index('id="receipt"')) :]
    assert ("an output\n" in shown) == (expected.status == "passed")
    assert "hello" in shown  # the source is there in any case


def test_the_box_under_the_title_has_the_status(state):
    _, book, built, expected = state
    page = built.html("notebooks/tiny")
    box = page[page.index('id="receipt"') : page.index("</section>")]
    status = expected.status.replace(" ", "-")
    assert f'<span class="hb-pill hb-pill-{status}">{expected.word}' in box
    if expected.status == "skipped":
        assert f"Skipped until {words.day(SOON)}: the kernel crashes without it." in box
        assert "the test&#39;s machine has none" in box
        assert "<dd>the maintainers</dd>" in box
    if expected.status == "stale":
        assert f"Stale since {book.edit}</span>" in box


def test_a_number_of_a_skipped_run_is_called_unmeasured(state):
    make_state, _, built, expected = state
    page = built.html("docs/numbers")
    assert (">not measured, its run is skipped<" in page) == (make_state is one_skip)
    assert (">0.9<" in page) == (expected.status == "passed")


def test_an_expired_skip_of_another_profile_stops_the_build_too(new_book):
    book = new_book()
    profiles = {"cpu": {}, "cuda": {"needs": ["cuda"], "skip": skip_of(PAST)}}
    book.notebook("tiny", book.code("x = 1"), profiles=profiles)
    book.ran("tiny")
    built = book.build()
    assert built.code != 0
    assert f"tiny on cuda: its skip expired on {PAST}" in built.log


def test_a_kept_receipt_without_its_executed_copy_stops_the_build(new_book):
    book = new_book()
    book.notebook("tiny", book.code("x = 1"))
    book.ran("tiny")
    kept = receipts.committed_path(book.root, "tiny", "cpu")
    kept.parent.mkdir(parents=True)
    receipts.receipt_path(book.root, "tiny", "cpu").rename(kept)
    built = book.build()
    assert built.code != 0
    assert "tiny on cpu: its receipt was kept without executed copy" in built.log


def test_a_published_parameter_that_no_run_proves_stops_the_build(new_book):
    book = new_book()
    cells = [book.code("rank = 16", "parameters"), book.code("x = rank")]
    profiles = {"cpu": {"parameters": {"rank": 4}}}
    book.notebook("tiny", *cells, profiles=profiles)
    book.ran("tiny")
    built = book.build()
    assert built.code != 0
    assert "tiny: the published parameter rank = 16 was never proven" in built.log
    book.entries["tiny"]["unproven"] = {"rank": "it needs a GPU"}
    book.write("notebooks/catalog.yml", json.dumps({"notebooks": book.entries}))
    built = book.build()
    assert built.code == 0, built.log
    assert "not proven: it needs a GPU" in built.html("notebooks/tiny")


def test_a_run_on_other_hardware_proves_the_published_parameter(new_book):
    book = new_book()
    cells = [book.code("rank = 16", "parameters"), book.code("x = rank")]
    profiles = {"cpu": {"parameters": {"rank": 4}}, "cuda": {"needs": ["cuda"]}}
    book.notebook("tiny", *cells, profiles=profiles)
    book.ran("tiny")
    book.ran("tiny", profile="cuda")
    built = book.build()
    assert built.code == 0, built.log
    note = "the published value is proven on cuda"
    assert note in built.html("notebooks/tiny")


def test_the_same_input_gives_the_same_site(good_book, good_site):
    first = digest_of(good_site.site)
    shutil.rmtree(good_site.site.parents[1])
    assert digest_of(good_book.build().site) == first


def digest_of(site: Path) -> dict[str, str]:
    files = sorted(path for path in site.rglob("*") if path.is_file())
    return {
        path.relative_to(site).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_the_machines_page_names_machine_runs_and_versions(good_site):
    page = Text(good_site.html("docs/machines")).all
    for said in (
        "Test CPU, 2 cores",
        "avx2",
        "8.0 GiB",
        "Linux x86_64",
        "Notebook tiny",
        "No run on a CUDA device is on record",
        "2 packages:",
    ):
        assert said in page


def test_the_machines_page_flags_versions_that_differ(new_book):
    book = new_book()
    book.page("machines", "# Machines\n\n```{machines}\n```\n")
    for name, version in (("one", "2.13.0"), ("two", "2.12.0")):
        book.notebook(name, book.code("x = 1"))
        book.ran(name, packages={"numpy": "2.4.0", "torch": version})
    built = book.build()
    assert built.code == 0, built.log
    page = " ".join(Text(built.html("docs/machines")).all.split())
    assert "1 package of 2 differ between runs" in page
    assert re.search(r"torch ?differs 2\.12\.0 ?two on cpu", page)


def run_of(day: int, status: str = "passed", seconds: float = 104.0) -> dict:
    started = f"2026-11-{day:02}T10:00:00Z"
    return {"started": started, "status": status, "seconds": seconds}


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "No run is remembered."),
        ([run_of(20)], "One run so far: 20 Nov 2026, passed, 1 min 44 s."),
        ([run_of(20, "skipped")], "One run so far: 20 Nov 2026, skipped."),
        (
            [run_of(20), run_of(21, "failed", 3), run_of(22, seconds=129)],
            "3 runs since 20 Nov 2026, 2 passed; 1 min 44 s to 2 min 9 s",
        ),
        (
            [run_of(20, seconds=41), run_of(21, seconds=44)],
            "2 runs since 20 Nov 2026, 2 passed; 41 to 44 s",
        ),
        (
            [run_of(20, "failed"), run_of(21, "crashed")],
            "2 runs since 20 Nov 2026, none passed",
        ),
    ],
)
def test_the_history_line_says_in_words_what_it_draws(runs, said):
    assert timeline(runs).words == said


def test_the_history_line_gives_each_status_its_own_shape(new_book):
    book = make(new_book)
    book.ran("tiny", started="2026-11-20T08:00:00Z")
    book.ran("tiny", started="2026-11-21T08:00:00Z", status="failed", reason="no")
    run_all(book)
    page = book.build().html("docs/status")
    start = page.index('<svg class="hb-timeline"')
    drawing = page[start : page.index("</svg>", start)]
    assert 'role="img" aria-label="3 runs since 20 Nov 2026, 2 passed; 41 s"' in drawing
    assert drawing.count("<circle") == 2 and drawing.count("<path") == 1
    assert "<title>21 Nov 2026, failed, 41 s</title>" in drawing


def test_only_the_newest_runs_are_drawn():
    runs = [run_of(1 + number % 28) for number in range(40)]
    assert len(timeline(runs).marks) == 16


@pytest.fixture(scope="module")
def three_statuses(new_book):
    """Build a book with a skipped run, a passed one and one that never ran."""
    return one_skip(new_book).build()


@pytest.fixture
def open_page(browser, three_statuses):
    """Return a function that opens the status page of that book."""
    contexts = []

    def open_at(target: str = "", now: str | None = None, **settings):
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        if now:
            page.clock.set_fixed_time(now)
        page.goto(three_statuses.site.as_uri() + "/docs/status.html" + target)
        return page

    yield open_at
    for context in contexts:
        context.close()


def visible(page) -> list[str]:
    """Return the status of each row that can be seen."""
    rows = page.locator("tbody[data-status]").all()
    return [row.get_attribute("data-status") for row in rows if row.is_visible()]


def test_the_filter_works_from_a_folder_with_mouse_and_keyboard(open_page):
    page = open_page()
    assert visible(page) == ["skipped", "passed", "never-run"]
    page.get_by_role("button", name="Skipped 1").click()
    assert visible(page) == ["skipped"]
    assert page.url.endswith("#status=skipped")
    assert page.get_by_role("status").inner_text() == "1 of 3 runs shown"
    page.get_by_role("button", name="Verified 1").focus()
    page.keyboard.press("Enter")
    assert visible(page) == ["passed"]
    pressed = page.locator('.hb-choice[aria-pressed="true"]').all_inner_texts()
    assert pressed == ["Verified 1"]
    page.get_by_role("button", name="All 3").click()
    assert len(visible(page)) == 3
    assert page.problems == []


def test_an_address_can_ask_for_one_status(open_page):
    page = open_page("#status=never-run")
    assert visible(page) == ["never-run"]
    page.evaluate("location.hash = '#status=failed'")
    page.wait_for_function("document.querySelector('.hb-shown').textContent[0] === '0'")
    assert visible(page) == []
    assert page.problems == []


def test_a_date_says_how_long_ago_it_was(open_page):
    page = open_page(now="2026-11-26T12:00:00Z")
    assert page.locator("time").first.inner_text() == "23 Nov 2026"
    assert page.locator(".hb-ago").first.inner_text() == "2 days ago"


def test_without_scripts_every_run_is_shown(open_page):
    page = open_page("#status=failed", java_script_enabled=False)
    assert len(visible(page)) == 3
    assert not page.locator(".hb-filter").is_visible()


@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_of_runs_does_not_scroll_sideways(open_page, width):
    page = open_page(viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    frame = page.locator(".hb-runs .hb-scroll")
    assert frame.evaluate("it => it.scrollWidth - it.clientWidth") == 0


SANDBOX = {
    "versions": {"mlflow": "3.17.2", "oidc-provider": "9.13.3", "node": "20.20.2"},
    "doubles": ["oauth2-proxy-compatible proxy (double)", "Dex-like login (double)"],
}
ALONE = {
    "runs": 2,
    "seconds": [100.0, 40.0],
    "first_cell_seconds": [0.2, 0.1],
    "installed": 117,
    "installed_by": "other",
    "again": {"max_minutes": 0.01},
    "moved": [],
    "kib": 280.5,
    "left": ["outputs"],
    "left_in_tmp": [],
    "network": "none",
}


def test_a_sandbox_beside_a_run_is_named_with_what_of_it_is_a_double(new_book):
    book = new_book()
    needs = {"needs": ["sandbox"]}
    profiles = {"cpu": needs, "sso": needs}
    book.notebook("tiny", book.code("x = 1"), profiles=profiles)
    book.page("status", "# Status\n\n```{receipts}\n```\n")
    book.ran("tiny", sandbox=SANDBOX)
    built = book.build()
    assert built.code == 0, built.log
    page, status = built.html("notebooks/tiny"), built.html("docs/status")
    box = page[page.index('id="receipt"') : page.index("</section>")]
    assert "<dt>Beside it</dt><dd>MLflow sandbox</dd>" in box
    assert "<code>oidc-provider 9.13.3</code>" in box
    assert "Stand-ins, written for these tests: oauth2-proxy-compatible proxy" in box
    assert "<b>sso</b> <span" in box and "<code>sso</code>" in status
    assert "Needs the MLflow sandbox; no run on such a machine is on record." in status


def test_the_row_of_a_download_says_what_its_two_runs_prove():
    template = render.html("receipts.html", **one_row(ALONE))
    said = re.sub(r"<[^>]+>|\s+", " ", template)
    assert "added 117 packages, installed once for this run and that of other" in said
    assert "The second run, in the folder as the first had left it" in said
    assert "max_minutes = 0.01" in said
    plain = {k: v for k, v in ALONE.items() if k not in ("installed_by", "again")}
    said = render.html("receipts.html", **one_row(plain))
    assert "installed once" not in said and "second run" not in said


def one_row(alone: dict) -> dict:
    """Return what the template of all runs needs, for one download."""
    facts = {"seconds": 140.0, "peak_rss_gib": 1.0, "peak_vram_gib": None}
    facts |= {"started": "2026-11-23T20:50:00Z", "alone": alone, "outcomes": ()}
    receipt = SimpleNamespace(**facts, device={"kind": "cpu", "name": "x"})
    verdict = SimpleNamespace(since=None)
    entry = SimpleNamespace(title="T")
    told = {"state": "passed", "word": "Verified", "profile": "standalone"}
    proof = SimpleNamespace(
        entry=entry, verdict=verdict, ran=True, judged=0, held=0, runs=[], **told
    )
    files = {"receipt": "r.json", "executed": None}
    row = {"proof": proof, "receipt": receipt, "url": "x", "files": files, "why": None}
    row["history"] = timeline([])
    links = dict.fromkeys(("status_url", "schema_url", "receipt_schema_url"), "x")
    return {"rows": [row], "choices": [], "sum": "", **links}
