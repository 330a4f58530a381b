"""A book in which everything holds is built, and shows what stands behind it."""

import json
import zipfile

import pytest

GPU = {"name": "H1", "driver": "580", "memory": "1 MiB", "compute_capability": "9.0"}
CUDA = {"kind": "cuda", "name": "C", "cores": 4, "memory_gib": 9.0, "gpus": [GPU]}


def test_a_book_in_which_everything_holds_builds_without_a_warning(good_site):
    assert good_site.code == 0, good_site.log
    assert "WARNING" not in good_site.log


def test_the_page_shows_the_outputs_of_the_run(good_site):
    assert "Hello, you" in good_site.html("notebooks/tiny")


def test_the_receipt_stands_under_the_title(good_site):
    page = good_site.html("notebooks/tiny")
    title, receipt = page.index("<h1>Notebook tiny"), page.index('id="receipt"')
    assert title < receipt < page.index("Prose, and")


@pytest.mark.parametrize(
    "shown",
    [
        "Verified",
        "CPU, 2 cores",
        "41 s",
        "1.25 GiB",
        "2 of 2 hold",
        "23 Nov 2026",
        "torch 2.13.0",
        "≥ 0.95",
        "it learned",
        "Never run",
        "all 2 packages",
        "numpy 2.4.0",
        "not proven: a small one stands in for it",
        "old name: use the new one",
        "the library warns itself",
        "2 runs since 20 Nov 2026, 2 passed; 41 s to 1 min 44 s",
        "work()",
    ],
)
def test_the_receipt_names(good_site, shown):
    assert shown in good_site.html("notebooks/tiny")


def test_parameters_proven_stand_beside_the_published_ones(good_site):
    page = good_site.html("notebooks/tiny")
    row = page[page.index("hb-differs") :]
    published, proven = row.index("<code>16</code>"), row.index("<code>4</code>")
    assert published < proven
    assert "some parameters other than the published ones" in page


def test_a_recorded_outcome_shows_the_limit_that_judged_it(good_site):
    page = good_site.html("notebooks/tiny")
    assert "<code>match</code> <b>0.9876</b>" in page
    assert "required ≥ 0.95" in page


def test_an_image_of_a_notebook_has_its_text(good_site):
    assert 'alt="A single pixel"' in good_site.html("notebooks/tiny")


def test_a_number_in_prose_leads_to_its_receipt(good_site):
    guide = good_site.html("docs/guide")
    assert 'href="../notebooks/tiny.html#receipt"' in guide
    assert ">0.99</span>" in guide and ">41 s</span>" in guide
    assert ">0.988</span>" in good_site.html("notebooks/tiny")


def test_a_snippet_names_its_file_its_lines_and_its_test(good_site):
    guide = good_site.html("docs/guide")
    assert "Greet someone" in guide
    assert 'href="../downloads/snippets/greet.py"' in guide
    assert "lines 7–10" in guide
    assert guide.count("tests/snippets/test_greet.py</a>") == 1


def test_the_status_table_and_the_line_of_the_landing_are_drawn(good_site):
    guide = good_site.html("docs/guide")
    assert "1 notebook ran for this build" in guide
    assert "<b>2 of 2</b> outcomes hold" in guide
    assert "Needs cuda; no run on such a machine is on record." in guide


def test_the_offered_notebook_is_the_clean_source(good_book, good_site):
    offered = (good_site.site / "downloads/notebooks/tiny.ipynb").read_bytes()
    assert offered == (good_book.root / "notebooks/tiny.ipynb").read_bytes()
    cells = json.loads(offered)["cells"]
    assert not any(cell.get("outputs") for cell in cells)


def test_the_offered_modules_can_be_imported_beside_the_notebook(good_site, tmp_path):
    with zipfile.ZipFile(good_site.site / "downloads/snippets.zip") as archive:
        assert sorted(archive.namelist()) == [
            "snippets/__init__.py",
            "snippets/greet.py",
        ]


def test_prose_is_shown_as_it_is_now_without_another_run(new_book):
    book = new_book()
    book.notebook("tiny", book.prose("Old words."), book.code("x = 1"))
    book.ran("tiny", [book.text("an output")])
    source = book.root / "notebooks/tiny.ipynb"
    source.write_text(source.read_text().replace("Old words", "New words"))
    built = book.build()
    assert built.code == 0, built.log
    page = built.html("notebooks/tiny")
    assert "New words." in page and "an output" in page


def test_a_changed_snippet_is_shown_by_the_next_build(new_book):
    book = new_book()
    book.page("guide", "# Guide\n\n```{snippet} snippets/greet.py#LIMIT\n```\n")
    assert book.build().code == 0
    book.write("snippets/greet.py", "LIMIT = 77\n")
    assert "77" in book.build().html("docs/guide")


def test_a_run_on_other_hardware_of_an_earlier_version_says_so(new_book):
    book = new_book()
    profiles = {"cpu": {}, "cuda": {"needs": ["cuda"]}}
    book.notebook("tiny", book.code("x = 1"), profiles=profiles)
    book.ran("tiny", profile="cuda", device=CUDA, peak_vram_gib=20.5)
    kept = book.root / "receipts/tiny/cuda.json"
    kept.parent.mkdir(parents=True)
    (book.root / "_build/receipts/tiny.cuda.json").rename(kept)
    source = book.root / "notebooks/tiny.ipynb"
    source.write_text(source.read_text().replace("x = 1", "x = 2"))
    book.ran("tiny")
    book.page("status", "# Status\n\n```{receipts}\n```\n")
    built = book.build()
    assert built.code == 0, built.log
    assert "hb-pill-stale" in built.html("notebooks/tiny")
    reason = "is stale since a commit after abc1234"
    assert reason in built.html("docs/status")
    assert "the notebook&#39;s code cells changed" in built.html("docs/status")
    assert "H1" in built.html("docs/status")
    assert "GPU 20.50 GiB" in built.html("docs/status")


def test_a_book_without_a_notebook_says_so(new_book):
    book = new_book()
    book.write("notebooks/catalog.yml", "notebooks: {}\n")
    book.page("status", "# Status\n\n```{verified}\n```\n\n```{receipts}\n```\n")
    built = book.build()
    assert built.code == 0, built.log
    assert "No notebook is published yet." in built.html("docs/status")
