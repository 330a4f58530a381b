"""A fault in a page or under it stops the build, and the log says where and what."""

import json

import pytest

SNIPPETS = """# Snippets

```{snippet} snippets/greet.py#helo
```

```{snippet} snippets/gone.py#hello
```

```{snippet} snippets/greet.py#twice
```

```{snippet} snippets/greet.py#both
```

```{snippet} snippets/open.py#part
```

```{snippet} snippets/greet.py
```
"""
NUMBERS = """# Numbers

{outcome}`tiny:unknown`

{outcome}`nowhere:match`

{outcome}`tiny@cuda:match`

{outcome}`tiny:same|.2f`

{receipt}`tiny:weight`
"""
IMAGES = """# Images

![](pixel.png)

<img src="other.png">

![A pixel](pixel.png)
"""


ERROR = {"kind": "error", "cell": 3, "source": "boom()", "tail": ["ValueError: no"]}


@pytest.fixture(scope="module")
def faulty(new_book):
    """Build one book with many faults."""
    book = new_book()
    book.notebook("tiny", book.code("hello = 1"), expect={"match": {"min": 0.5}})
    seen = [book.outcome("match", 0.9), book.outcome("same", True)]
    book.ran("tiny", [*seen, book.image(None)])
    book.write("snippets/open.py", "# region: part\nx = 1\n")
    (book.root / "docs/pixel.png").write_bytes(b"no matter")
    book.page("snippets", SNIPPETS)
    book.page("numbers", NUMBERS)
    book.page("images", IMAGES)
    first = book.build()
    return first, book.build()


def complaints(built, page, line):
    """Return what the log says about one line of one page."""
    return " ".join(built.lines(f"docs/{page}.md:{line}: "))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (3, "no region or object 'helo' in snippets/greet.py; did you mean 'hello'?"),
        (6, "there is no file snippets/gone.py"),
        (9, "'twice' is ambiguous in snippets/greet.py: object at line 26, object"),
        (12, "'both' is ambiguous in snippets/greet.py: region at line 37, object"),
        (15, "snippets/open.py:1: region 'part' is never closed"),
        (18, "write path#region-or-object"),
    ],
)
def test_a_snippet_that_cannot_be_shown_is_an_error_at_its_line(faulty, line, message):
    assert message in complaints(faulty[0], "snippets", line)


def test_a_missing_region_stops_the_build(new_book):
    book = new_book()
    book.page("guide", "# Guide\n\n```{snippet} snippets/greet.py#gone\n```\n")
    built = book.build()
    assert built.code != 0
    assert "no region or object 'gone'" in complaints(built, "guide", 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (3, "tiny recorded no outcome 'unknown'; it has match, same"),
        (5, "no notebook 'nowhere'"),
        (7, "tiny has no profile 'cuda'"),
        (9, "format '.2f' does not fit True"),
        (11, "a receipt has no fact 'weight'"),
    ],
)
def test_a_number_without_evidence_is_an_error_at_its_line(faulty, line, message):
    assert message in complaints(faulty[0], "numbers", line)


def test_an_image_without_text_is_an_error_wherever_it_comes_from(faulty):
    built = faulty[0]
    assert "image docs/pixel.png has no alt text" in complaints(built, "images", 3)
    assert "image other.png has no alt text" in complaints(built, "images", 5)
    (line,) = [line for line in built.lines("no alt text") if "tiny.ipynb" in line]
    assert "of cell 2 has no alt text" in line
    assert built.log.count("has no alt text") == 3


def test_building_again_does_not_turn_a_failure_green(faulty):
    first, second = faulty
    assert first.code != 0 and second.code != 0
    assert first.log.count("ERROR: ") == second.log.count("ERROR: ") > 0


@pytest.fixture
def judged(new_book):
    """Return a book with one notebook that ran and holds."""
    book = new_book()
    cell = book.code("from snippets.greet import hello")
    book.notebook("tiny", cell, expect={"match": {"min": 0.5}})
    book.ran("tiny", [book.outcome("match", 0.9), book.text("an old output")])
    return book


def refused(book):
    """Build, and return the log of a build that did not show the outputs."""
    built = book.build()
    assert built.code != 0
    assert "an old output" not in built.html("notebooks/tiny")
    return built.log


def test_a_stale_copy_stops_the_build_and_names_what_changed(judged):
    assert judged.build().code == 0
    judged.write("snippets/greet.py", "def hello():\n    return 'changed'\n")
    log = refused(judged)
    assert "executed copy is stale since a commit after abc1234" in log
    assert "snippets/greet.py changed; run python3 noxfile.py -s book" in log


def test_a_changed_cell_makes_the_copy_stale(judged):
    source = judged.root / "notebooks/tiny.ipynb"
    text = source.read_text().replace("import hello", "import hello, LIMIT")
    source.write_text(text)
    assert "clone: the notebook's code cells changed; run" in refused(judged)


def test_a_notebook_without_a_receipt_stops_the_build(judged):
    (judged.root / "_build/receipts/tiny.cpu.json").unlink()
    assert "tiny on cpu: no run is on record" in refused(judged)


def test_a_notebook_without_an_executed_copy_stops_the_build(judged):
    (judged.root / "_build/executed/notebooks/tiny.ipynb").unlink()
    assert "tiny on cpu: the executed copy is missing" in refused(judged)


def test_a_failed_run_stops_the_build_with_its_reason(judged):
    judged.ran("tiny", status="failed", reason="cell 3: ValueError: no", failure=ERROR)
    built = judged.build()
    assert built.code != 0
    assert "tiny on cpu: cell 3: ValueError: no" in built.log
    assert "hb-pill-failed" in built.html("notebooks/tiny")


def test_an_expectation_that_cannot_hold_stops_the_build(judged):
    judged.entries["tiny"]["expect"]["match"] = {"min": 0.99, "why": "it learned"}
    catalog = json.dumps({"notebooks": judged.entries})
    judged.write("notebooks/catalog.yml", catalog)
    log = refused(judged)
    assert "outcome match = 0.9, expected at least 0.99 (it learned)" in log


def test_an_executed_copy_that_was_edited_stops_the_build(judged):
    copy = judged.root / "_build/executed/notebooks/tiny.ipynb"
    copy.write_text(copy.read_text().replace("an old output", "a nicer output"))
    assert "the executed copy was changed after its run" in refused(judged)


def test_a_broken_catalog_stops_the_build(judged):
    judged.write("notebooks/catalog.yml", "notebooks: {tiny: {titel: x}}\n")
    assert "unknown key 'titel'" in refused(judged)


def test_a_page_that_loads_from_elsewhere_stops_the_build(new_book):
    book = new_book()
    image = '<img alt="A logo" src="https://example.com/logo.png">'
    book.page("guide", f"# Guide\n\n{image}\n")
    built = book.build()
    assert built.code != 0
    assert "docs/guide.html: https://example.com/logo.png" in built.log
