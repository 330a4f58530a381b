"""Pages show what the checks of blocks found, and where a newer Trainer refuses."""

import json

from verify.blocks.kubernetes import digest

JOB = "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\n"
NOTE = {
    "place": {"page": "docs/a.md", "line": 4, "cell": None},
    "digest": digest(JOB),
    "name": "TrainJob job",
    "old": "2.1.0",
    "new": "2.3.0",
    "fields": ["spec.x is not known"],
}
EXEMPT = {"place": NOTE["place"], "check": "placeholder", "reason": "it is the topic"}
FOUND = {
    "pages": 2,
    "blocks": 3,
    "run": 1,
    "objects": 1,
    "commands": {"all": 9, "run": 5, "elsewhere": 3, "not run": 1, "unknown": 0},
    "languages": {"yaml": {"blocks": 3, "exempt": 1, "how": "parses"}},
    "exemptions": [EXEMPT],
    "upgrades": [NOTE],
}
PAGE = (
    f"# A\n\n```{{blocks}}\n```\n\n```yaml\n{JOB}```\n\n```yaml\na: 1\n```\n\n"
    '```python run exempt="python-names: it is made here"\nx = 1\n```\n'
)


def test_a_page_shows_counts_exemptions_and_an_upgrade_note(new_book):
    book = new_book()
    book.page("a", PAGE)
    book.write("_build/blocks.json", json.dumps(FOUND))
    built = book.build()
    assert built.code == 0, built.log
    html = built.html("docs/a")
    assert "3 blocks on 2 pages, 1 of them run, 1 Kubernetes object." in html
    assert "9 commands in shell blocks: 5 executed by the test" in html
    assert "3 by another test or a step of CI, 1 by none" in html
    assert "it is the topic" in html
    assert html.count("When the platform moves to Trainer 2.3.0") == 1
    assert html.index("trainer.kubeflow.org") < html.index("When the platform moves")
    assert "spec.x is not known" in html
    assert "highlight-python" in html and "python-names" not in html


def test_a_trainer_block_that_was_never_checked_fails_the_build(new_book):
    book = new_book()
    book.page("a", PAGE)
    built = book.build()
    assert built.code != 0
    assert built.lines("blocks with Trainer objects were not checked")
    assert "were not checked before this build" in built.html("docs/a")
