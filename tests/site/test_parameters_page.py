"""The pages of parameters are drawn from committed answers, and change with them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from verify.reference import store

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("index", *store.ALGORITHMS, "names")
WRONG = """# Wrong

```{parameters} sftt parameters
```

```{parameters} sft params
```

```{library-names} field
```
"""


def book_of(new_book, change=None, pages=PAGES):
    """Return a book with the pages of parameters and answers, changed or not."""
    book = new_book()
    book.write("notebooks/catalog.yml", "notebooks: {}\n")
    for subject in store.SUBJECTS:
        data = store.load(REPOSITORY, subject)
        if change:
            change(subject, data)
        book.write(str(store.path(Path(), subject)), json.dumps(data))
    for name in pages:
        book.page(f"reference/parameters/{name}", "# A page\n")
        source = REPOSITORY / "docs/reference/parameters" / f"{name}.md"
        shutil.copy(source, book.root / "docs/reference/parameters")
    book.write("docs/how-to/qlora.mdx", "# QLoRA\n\nThe index leads here.\n")
    book.pages.append("docs/how-to/qlora")
    return book


@pytest.fixture(scope="module")
def site(new_book):
    """The pages of this repository, built from its answers."""
    built = book_of(new_book).build()
    assert built.code == 0, built.log
    return built


def row(page: str, anchor: str) -> str:
    return page[page.index(f'<tr id="{anchor}"') :].split("</tr>")[0]


def test_each_parameter_has_an_anchor_and_a_verdict_of_each_backend(site):
    for algorithm in store.ALGORITHMS:
        page = site.html(f"docs/reference/parameters/{algorithm}")
        data = store.load(REPOSITORY, algorithm)
        for name in data["signature"]:
            if name != "backend":
                assert f'<a href="#{algorithm}-{name}">' in page
                found = row(page, f"{algorithm}-{name}")
                for backend in data["backends"]:
                    assert f'data-label="{backend}"' in found


def test_what_is_ignored_is_marked_and_listed(site):
    page = site.html("docs/reference/parameters/sft")
    found = row(page, "sft-seed")
    assert '<div class="hb-verdict-of" data-ignored>' in found
    assert '<span class="hb-pill hb-pill-ignored">ignored</span>' in found
    listed = page[page.index('class="hb-jumps"') :].split("</p>")[0]
    assert (
        '<a href="#sft-seed">' in listed and '<a href="#sft-num_epochs">' not in listed
    )


def test_a_renamed_parameter_shows_its_new_name_and_its_default(site):
    found = row(site.html("docs/reference/parameters/osft"), "osft-use_liger")
    assert "hb-pill-renamed" in found and "<code>use_liger_kernels</code>" in found
    assert "Without it: <code>False</code>" in found


def test_versions_and_stand_ins_are_named(site):
    page = site.html("docs/reference/parameters/lora_sft")
    version = store.load(REPOSITORY, "lora_sft")["versions"]["training-hub"]
    assert f"training-hub&nbsp;<b>{version}</b>" in page
    assert "Stood in for: unsloth itself (it needs CUDA)" in page


def test_renames_say_in_which_releases_a_name_is_there(site):
    page = site.html("docs/reference/parameters/names")
    found = page[page.index("TrainingArguments(<wbr>evaluation_strategy=)") :]
    assert "4.36.0 or earlier to 4.50.3" in found.split("</tr>")[0]
    assert "gone in 4.51.0" in found.split("</tr>")[0]


def test_the_search_leads_to_a_parameter(site):
    index = (site.site / "searchindex.js").read_text(encoding="utf-8")
    assert "sft-accelerate_full_state_at_epoch" in index


def test_changed_answers_change_the_page(new_book):
    def change(subject, data):
        if subject == "sft":
            told = data["backends"]["instructlab-training"]["other names"]
            told["seed"] = [{"status": "renamed", "value": "1", "as": ["a_new_name"]}]
            data["versions"]["training-hub"] = "99.9"

    built = book_of(new_book, change).build()
    assert built.code == 0, built.log
    page = built.html("docs/reference/parameters/sft")
    found = row(page, "sft-seed")
    assert "<code>a_new_name</code>" in found
    ignored = re.findall(r'<td data-label="instructlab-training">.*?</td>', found, re.S)
    assert "hb-pill-ignored" not in ignored[0] and "<b>99.9</b>" in page


def test_what_there_is_not_is_an_error_at_its_line(new_book):
    book = book_of(new_book, pages=())
    book.page("wrong", WRONG)
    built = book.build()
    assert built.code != 0
    found = " ".join(built.lines("docs/wrong.md:"))
    assert "docs/wrong.md:3: " in found and "no algorithm 'sftt'" in found
    assert "docs/wrong.md:6: " in found and "there is no part 'params'" in found
    assert "docs/wrong.md:9: " in found and "there is no part 'field'" in found


def test_missing_answers_stop_the_build_and_say_what_to_run(new_book):
    book = book_of(new_book, pages=("sft",))
    store.path(book.root, "sft").unlink()
    built = book.build()
    assert built.code != 0 and "python3 noxfile.py -s reference makes it" in built.log


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_a_page_without_sideways_scrolling(site, browser, theme):
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, color_scheme=theme
    )
    page = context.new_page()
    page.goto((site.site / "docs/reference/parameters/sft.html").as_uri())
    overflow = "document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(overflow) <= 0
    box = "[...document.querySelectorAll('.hb-parameters')].every(t =>"
    box += "t.getBoundingClientRect().right <= innerWidth + 1)"
    assert page.evaluate(box)
    context.close()
