"""A receipt says all that a sceptic asks, in a published shape, and is not edited."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from verify import catalog, history, receipts

if TYPE_CHECKING:
    from tests.verify.conftest import Handbook

SCHEMA = json.loads(receipts.SCHEMA_FILE.read_text(encoding="utf-8"))
RECORD = "from snippets.proof import record\nrecord('score', 1)"


def valid(receipt: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(receipt)


@pytest.fixture(scope="module")
def ran(make_handbook: Callable[[], Handbook]) -> Handbook:
    """Return a handbook with one notebook of each status, under version control."""
    book = make_handbook()
    book.notebook("good", ("parameters", "steps = 3"), RECORD)
    book.notebook("bad", "1 / 0")
    book.notebook("slow", "import time; time.sleep(30)")
    book.notebook("dead", "import os; os._exit(1)")
    book.notebook("left-out", "x = 1")
    skip = {
        "probe": {"lacks": "npu"},
        "reason": "needs an NPU",
        "owner": "us",
        "expires": f"{receipts_year()}-12-31",
    }
    book.catalog(
        good={"expect": {"score": {"equals": 1}}, "packages": ["nbformat"]},
        bad={},
        slow={"cell_time_limit": 1},
        dead={},
        left_out={"profiles": {"cpu": {"skip": skip}}},
    )
    git(book, "init", "-q")
    git(book, "add", "notebooks", "snippets", ".ci")
    git(book, "commit", "-qm", "one")
    assert book.verify("run").code == 1
    return book


def receipts_year() -> int:
    from verify.skips import _today

    return _today().year


def git(book: Handbook, *words: str) -> str:
    who = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(book.root), *who, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("good", "passed"),
        ("bad", "failed"),
        ("slow", "timeout"),
        ("dead", "crashed"),
        ("left-out", "skipped"),
    ],
)
def test_every_ending_has_its_status_and_a_receipt_of_the_published_shape(
    ran: Handbook, name: str, status: str
):
    receipt = ran.receipt(name)
    assert receipt["status"] == status
    valid(receipt)


def test_a_receipt_names_what_a_sceptic_asks_for(ran: Handbook):
    receipt = ran.receipt("good")
    assert receipt["commit"] == git(ran, "rev-parse", "--short", "HEAD")
    assert receipt["key_parts"]["profile"] == "cpu"
    assert len(receipt["key_parts"]["code"]) == 2
    assert set(receipt["key_parts"]["snippets"]) == {
        "snippets/__init__.py",
        "snippets/proof.py",
    }
    assert receipt["packages"]["nbformat"]
    assert receipt["device"]["cores"] >= 1
    assert receipt["device"]["flags"]
    assert receipt["peak_rss_gib"] > 0.01
    assert receipt["slowest_cells"][0]["seconds"] > 0
    assert receipt["parameters"] == {"published": {"steps": 3}, "injected": {}}
    assert receipt["outcomes"][0]["expect"] == {"equals": 1}


@pytest.mark.parametrize(
    "edit",
    [
        {"seconds": -1.0},  # what no run could have written: a run may take 1.0 s
        {"commit": "abc1234"},
        {"peak_rss_gib": -0.01},
        {"packages": {"nbformat": "9"}},
        {"started": "2030-01-01T00:00:00Z"},
        {"seal": "0" * 64},
    ],
)
def test_a_receipt_edited_by_hand_is_no_pass(ran: Handbook, edit: dict[str, Any]):
    entry = catalog.load(ran.root).entry("good")
    path = receipts.receipt_path(ran.root, "good", "cpu")
    before = path.read_text("utf-8")
    path.write_text(json.dumps({**json.loads(before), **edit}), "utf-8")
    try:
        verdict = receipts.verdict(entry)
    finally:
        path.write_text(before, "utf-8")
    assert verdict.status == "never run"
    assert "receipt good.cpu.json was edited after its run" in verdict.reason
    assert receipts.verdict(entry).status == "passed"


def test_a_stale_run_names_the_commit_that_made_it_stale(ran: Handbook):
    entry = catalog.load(ran.root).entry("good")
    proof = ran.root / "snippets" / "proof.py"
    proof.write_text(proof.read_text("utf-8") + "\n# a thought\n", "utf-8")
    verdict = receipts.verdict(entry)
    assert (verdict.status, verdict.since) == ("stale", None)
    assert (
        "stale since uncommitted changes: snippets/proof.py changed" in verdict.reason
    )
    git(ran, "commit", "-qam", "two")
    guilty = git(ran, "rev-parse", "--short", "HEAD")
    (ran.root / "README.md").write_text("later\n", "utf-8")
    git(ran, "add", "README.md")
    git(ran, "commit", "-qm", "three")
    verdict = receipts.verdict(entry)
    assert (verdict.status, verdict.since) == ("stale", guilty)
    assert f"stale since {guilty}: snippets/proof.py changed" in verdict.reason
    git(ran, "reset", "-q", "--hard", "HEAD~2")
    assert receipts.verdict(entry).status == "passed"


def test_a_run_of_a_commit_that_is_not_in_the_clone_says_so(ran: Handbook):
    entry = catalog.load(ran.root).entry("good")
    path = receipts.receipt_path(ran.root, "good", "cpu")
    before = path.read_text("utf-8")
    receipt = receipts.read(path)
    parts = {**receipt.key_parts, "code": []}
    changes = {"commit": "abc1234", "key": "0" * 64, "key_parts": parts}
    receipts.write(path, receipts.replace(receipt, **changes))
    verdict = receipts.verdict(entry)
    path.write_text(before, "utf-8")
    assert "since a commit after abc1234, which is not in this clone" in verdict.reason


def test_history_remembers_every_run_and_the_repository_keeps_it(ran: Handbook):
    assert ran.verify("run", "good", "--force").code == 0
    runs = history.read(ran.root, "good", "cpu")
    assert [run["status"] for run in runs] == ["passed"] * len(runs)
    assert len(runs) >= 2
    assert [r["status"] for r in history.read(ran.root, "dead", "cpu")] == ["crashed"]
    done = ran.verify("keep", "good", "--profile", "cpu")
    assert done.code == 0
    kept = history.committed_path(ran.root, "good", "cpu")
    assert len(kept.read_text("utf-8").splitlines()) == len(runs)
    history.path(ran.root, "good", "cpu").unlink()
    assert history.read(ran.root, "good", "cpu") == runs
    with history.path(ran.root, "good", "cpu").open("w") as file:
        file.write('{"started": "cut o')
    assert history.read(ran.root, "good", "cpu") == runs


def test_only_a_passed_run_is_kept(ran: Handbook):
    entries = {"bad": {"profiles": {"cpu": {}, "cuda": {}}}}
    ran.notebook("bad", "1 / 0")
    source = receipts.receipt_path(ran.root, "bad", "cpu")
    target = receipts.receipt_path(ran.root, "bad", "cuda")
    receipt = receipts.read(source)
    receipts.write(target, receipts.replace(receipt, profile="cuda"))
    before = (ran.root / catalog.CATALOG).read_text("utf-8")
    for path in (ran.root / "notebooks").glob("*.ipynb"):
        entries.setdefault(path.stem.replace("-", "_"), {})
    ran.catalog(**entries)
    done = ran.verify("keep", "bad")
    (ran.root / catalog.CATALOG).write_text(before, "utf-8")
    target.unlink()
    assert done.code == 1
    assert "receipt bad.cuda.json says failed; only a pass is kept" in done.text


def test_why_names_the_cell_the_module_and_the_way_to_it(ran: Handbook):
    assert "nothing under it changed" in ran.verify("why", "good").text
    proof = ran.root / "snippets" / "proof.py"
    before = proof.read_text("utf-8")
    ran.write("snippets/side.py", "x = 1\n")
    ran.write("snippets/proof.py", before + "\nfrom snippets import side\n")
    ran.notebook("good", ("parameters", "steps = 3"), RECORD.replace("1)", "2)"))
    text = ran.verify("why", "good").text
    git(ran, "checkout", "-q", ".")
    assert "good [cpu]: stale" in text
    assert "    -record('score', 1)\n    +record('score', 2)" in text
    way = "the notebook > snippets/proof.py"
    assert f"module snippets/proof.py changed: {way}" in text
    assert f"module snippets/side.py is reached now: {way} > snippets/side.py" in text
    assert "why NAME" not in text


def test_why_names_versions_parameters_and_an_unknown_profile(ran: Handbook):
    lock = ran.root / ".ci" / "locks" / "notebooks.txt"
    version = receipts.read(receipts.receipt_path(ran.root, "good", "cpu")).packages[
        "nbformat"
    ]
    ran.write(".ci/locks/notebooks.txt", "nbformat==4.0\n")
    text = ran.verify("why", "good").text
    git(ran, "checkout", "-q", str(lock))
    assert f"locked version of nbformat changed: {version} to 4.0" in text
    done = ran.verify("why", "good", "--profile", "tpu")
    assert done.code == 1
    assert "good has no profile 'tpu'; it has: cpu" in done.text


def test_a_published_parameter_that_no_run_proves_fails(handbook: Handbook):
    handbook.notebook("one", ("parameters", "steps = 300\nrate = 0.1"), "steps")
    small = {"profiles": {"cpu": {"parameters": {"steps": 3}}}}
    handbook.catalog(one=small)
    done = handbook.verify("run")
    assert "1 of 1 passed" in done.text
    assert done.code == 1
    assert "one: the published parameter steps = 300 was never proven" in done.text
    assert "rate" not in done.text
    why = {"unproven": {"steps": "an hour on a CPU"}}
    handbook.catalog(one={**small, **why})
    assert handbook.verify("run").code == 0
    handbook.catalog(one={**small, "unproven": {**why["unproven"], "rate": "?"}})
    done = handbook.verify("run")
    assert done.code == 1
    assert "rate is declared unproven, and a run has proven it" in done.text


def test_a_run_with_the_published_value_proves_it_for_every_profile(handbook: Handbook):
    handbook.notebook("one", ("parameters", "steps = 300"), "steps")
    profiles = {"cpu": {"parameters": {"steps": 3}}, "full": {}}
    handbook.catalog(one={"profiles": profiles})
    assert handbook.verify("run").code == 1
    assert handbook.verify("run", "--profile", "full").code == 0
    assert handbook.verify("run").code == 0
