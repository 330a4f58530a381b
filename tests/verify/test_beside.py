"""A notebook that needs the MLflow sandbox has one beside it; no other knows of it."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import psutil
import pytest

from verify import beside, catalog, digest, leaks, machine, receipts, reuse

if TYPE_CHECKING:
    from tests.verify.conftest import Done, Handbook

REPOSITORY = Path(__file__).resolve().parents[2]
NEEDS = {"profiles": {"cpu": {"needs": ["sandbox"]}}}
PATIENCE = 300  # seconds, on a machine that does other things too
MISSING = machine.lacks("sandbox")
real = pytest.mark.skipif(MISSING is not None, reason=f"no sandbox: {MISSING}")
SKIP = {
    "probe": {"lacks": "sandbox"},
    "reason": "the sandbox needs Node.js",
    "owner": "the maintainers",
    "expires": "2027-11-01",
}
ASKS = """
import json, os
from verify.sandbox import Sandbox
from snippets.proof import record
box = Sandbox.read()
record("user", os.environ["MLFLOW_SSO_USERNAME"])
record("uri", os.environ["MLFLOW_TRACKING_URI"] == box.mlflow)
record("bob", box.environment("bob")["MLFLOW_SSO_USERNAME"])
record("restarted", box.stop("proxy") is None and box.start("proxy") is None)
record("lives", len(json.dumps(box.control("requests"))) > 2)
"""
NONE = """
import os
from snippets.proof import record
ours = [k for k in os.environ if k.startswith("MLFLOW_") or k == "HANDBOOK_SANDBOX"]
record("ours", str(ours))
"""
READS = """
from verify.sandbox import Sandbox
box = Sandbox.read()
secret, key = box.secret("alice.password"), box.secret("control.key")
"""
BASIC = """
import base64
print("Basic", base64.b64encode(f"alice:{secret}".encode()).decode())
"""
# Made of an empty object each, so that no real token stands in this file.
TOKEN = 'print("eyJhbGciOiJub25lIn0" + "." + "eyJzdWIiOiJub2JvZHkifQ" + "." + "c2ln")'


def parts(folder: Path) -> list[psutil.Process]:
    """Return every process of the sandbox in a folder."""
    from verify.sandbox import processes

    return [p for some in processes.living(folder).values() for p in some]


def fake(folder: Path, name: str, says: str) -> None:
    """Put a program in a folder that says one thing."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("node", "npm", "place", "told"),
    [
        (None, True, True, "this machine has no node"),
        ("v18.20.0", True, True, "node is v18.20.0, and 20 or newer is needed"),
        ("v22.1.0", False, True, "this machine has no npm"),
        (
            "v22.1.0",
            True,
            False,
            "HANDBOOK_SANDBOX_NODE names no place: run it through",
        ),
        ("v22.1.0", True, True, None),
    ],
)
def test_the_probe_says_what_the_sandbox_lacks(
    node, npm, place, told, tmp_path, monkeypatch
):
    if node:
        fake(tmp_path, "node", node)
    if npm:
        fake(tmp_path, "npm", "10.0.0")
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.setenv("HANDBOOK_SANDBOX_PYTHON", str(tmp_path))
    monkeypatch.setenv("HANDBOOK_SANDBOX_NODE", str(tmp_path) if place else "")
    found = machine.lacks("sandbox")
    assert (found is None) if told is None else (told in found)


def test_a_machine_without_node_skips_with_the_reason(handbook, tmp_path, monkeypatch):
    handbook.notebook("one", "x = 1")
    handbook.catalog(one={"profiles": {"cpu": {"needs": ["sandbox"], "skip": SKIP}}})
    for name in ("git", "uname"):
        if found := shutil.which(name):
            (tmp_path / name).symlink_to(found)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    done = handbook.verify("run")
    assert done.code == 77, done.text
    assert "this machine has no node" in handbook.receipt("one")["reason"]


def test_without_a_skip_the_command_says_what_is_missing(handbook, monkeypatch):
    handbook.notebook("one", "x = 1")
    handbook.catalog(one=NEEDS)
    monkeypatch.delenv("HANDBOOK_SANDBOX_NODE", raising=False)
    done = handbook.verify("run")
    assert done.code == 1
    assert "one: profile 'cpu' needs sandbox, and" in done.text


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
@pytest.mark.parametrize("coded", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_is_found_in_base64_wherever_it_begins(before, after, coded):
    secret = "s3cret?>with~~signs"
    text = coded(f"{before}{secret}{after}".encode()).decode()
    assert any(one in text for one in leaks.in_base64(secret))
    other = coded(f"{before}another?>with~~sign{after}".encode()).decode()
    assert not any(one in other for one in leaks.in_base64(secret))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", True),
        ("eyJhbGciOiJkaXIiLCJlbmMiOiJB..aXZpdml2aXY.Y2lwaGVy.dGFndGFndGFn", True),
        ("eyJhbGciOi… is how a token begins, eyJhbGciOi.", False),
        ("iVBORw0KGgoAAAANSUhEUgAA.eyJ", False),
    ],
)
def test_a_token_is_known_by_its_form(text, found):
    assert (leaks.TOKEN in leaks.names(text, ())) == found


@pytest.fixture
def entry(handbook: Handbook) -> catalog.Entry:
    """Return an entry with one profile that needs the sandbox and one that does not."""
    handbook.notebook("one", "x = 1")
    handbook.write("verify/sandbox/node/proxy.mjs", "// 1")
    handbook.write("verify/sandbox/node/node_modules/jose/index.js", "// noise")
    handbook.write(".ci/locks/sandbox.txt", "mlflow-kubernetes-plugins==2.1.0\n")
    profiles = {"cpu": {}, "sso": {"needs": ["sandbox"]}}
    handbook.catalog(one={"profiles": profiles})
    return catalog.load(handbook.root).entry("one")


def test_a_need_that_is_no_device_leaves_the_run_on_the_cpu(entry):
    assert machine.device(entry.profiles["sso"])["kind"] == "cpu"
    assert receipts.remedy("sso") == "run python3 noxfile.py -s sso"


@pytest.mark.parametrize(
    "path", ["verify/sandbox/node/proxy.mjs", ".ci/locks/sandbox.txt"]
)
def test_the_key_covers_the_sandbox_where_it_is_needed(entry, handbook, path):
    before = {name: digest.key(entry.path, entry, name) for name in entry.profiles}
    handbook.write(path, "// 2")
    after = {name: digest.key(entry.path, entry, name) for name in entry.profiles}
    assert after["cpu"] == before["cpu"]
    assert digest.changed(before["sso"].parts, after["sso"].parts) == [path]
    assert not any("node_modules" in name for name in after["sso"].parts["sandbox"])
    assert after["sso"].parts["versions"]["mlflow"] == "not locked"


def test_why_names_the_file_of_the_sandbox_that_changed(entry, handbook):
    receipt = reuse.blank(entry, "sso")
    receipts.write(receipts.receipt_path(entry.root, "one", "sso"), receipt)
    handbook.write("verify/sandbox/node/new.mjs", "// 1")
    text = handbook.verify("why", "one", "--profile", "sso").text
    assert "sandbox file verify/sandbox/node/new.mjs changed" in text


def test_a_receipt_from_before_there_was_a_sandbox_is_read(entry):
    receipt = reuse.blank(entry, "cpu")
    path = receipts.receipt_path(entry.root, "one", "cpu")
    receipts.write(path, receipt)
    assert "sandbox" not in json.loads(path.read_text())
    assert receipts.read(path).sandbox is None


@pytest.fixture(scope="module")
def ran(make_handbook: Callable[[], Handbook]) -> Iterator[tuple[Handbook, Done]]:
    """Notebooks beside one sandbox, good ones and ones that give secrets away."""
    if MISSING:
        pytest.skip(f"no sandbox: {MISSING}")
    book = make_handbook()
    (book.root / "verify").symlink_to(REPOSITORY / "verify")
    sick = {
        "prints": READS + "print('it is', secret)",
        "raises": READS + "raise ValueError(secret)",
        "pictures": READS + "{'kept': [1, {'deep': key}]}",
        "header": READS + BASIC,
        "logs": READS + "import os; os.write(1, key.encode())",
        "token": TOKEN,
    }
    for name, last in sick.items():
        book.notebook(name, "# Title\n\nText.", "x = 1", last)
    book.notebook("asks", ASKS)
    book.notebook("none", NONE)
    needy = {name: NEEDS for name in (*sick, "asks")}
    book.catalog(none={}, **needy)
    yield book, book.verify("run", "--jobs", "2")


@real
def test_a_notebook_finds_its_sandbox_and_what_it_needs_to_break_it(ran):
    receipt = ran[0].receipt("asks")
    assert receipt["status"] == "passed", ran[1].text
    values = {one["name"]: one["value"] for one in receipt["outcomes"]}
    assert values["user"] == "alice" and values["bob"] == "bob"
    assert values["uri"] and values["lives"]
    assert ran[1].text.count("the MLflow sandbox is up after") == 1


@real
def test_other_notebooks_of_the_command_are_told_nothing(ran):
    receipt = ran[0].receipt("none")
    assert [one["value"] for one in receipt["outcomes"]] == ["[]"]
    assert "sandbox" not in receipt and "sandbox" not in receipt["key_parts"]


@real
def test_the_receipt_names_versions_and_doubles(ran):
    receipt = ran[0].receipt("asks")
    schema = json.loads(receipts.SCHEMA_FILE.read_text())
    jsonschema.validate(receipt, schema)
    assert receipt["device"]["kind"] == "cpu"
    versions = receipt["sandbox"]["versions"]
    assert set(versions) == {*beside.PACKAGES, *beside.NODE_PACKAGES, "node"}
    assert all(version[0].isdigit() for version in versions.values())
    assert "Dex-like login (double)" in receipt["sandbox"]["doubles"]


@real
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("prints", "cell 3 shows alice.password"),
        ("raises", "cell 3 shows alice.password"),
        ("pictures", "cell 3 shows control.key"),
        ("header", "cell 3 shows alice.password"),
        ("logs", "shows control.key"),
        ("token", "cell 3 shows a JSON web token"),
    ],
)
def test_a_secret_in_an_output_or_a_log_fails_the_run_and_is_taken_out(
    ran, name: str, where: str
):
    book, done = ran
    receipt = book.receipt(name)
    assert receipt["status"] == "failed" and receipt["failure"] == {"kind": "secret"}
    assert where in receipt["reason"] and f"{name} failed: " in done.text
    jsonschema.validate(receipt, json.loads(receipts.SCHEMA_FILE.read_text()))
    kept = book.failed(name).read_text()
    assert ("[secret]" in kept) == (name != "logs")
    assert "eyJhbGciOiJub25lIn0.eyJ" not in kept


@real
def test_the_sandbox_is_down_afterwards_and_its_logs_stay(ran):
    folder = ran[0].root / "_build" / "jobs" / "sandbox.cpu"
    assert parts(folder) == [] and not (folder / "secrets").exists()
    assert (folder / "logs" / "mlflow.log").is_file()


@real
def test_an_unchanged_notebook_starts_no_sandbox(ran):
    again = ran[0].verify("run", "asks")
    assert again.code == 0 and "unchanged" in again.text
    assert "sandbox is up" not in again.text


@real
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_sandbox_outlives_the_command(handbook: Handbook, number: signal.Signals):
    handbook.notebook("long", "import time; time.sleep(900)")
    handbook.catalog(long={**NEEDS, "time_limit": 900})
    process = handbook.start("run")
    folder = handbook.root / "_build" / "jobs" / "sandbox.cpu"
    events = handbook.root / "_build" / "jobs" / "long.cpu" / "events.jsonl"
    wait_for(lambda: events.is_file() and "sleep" in events.read_text())
    assert len(parts(folder)) >= 3
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    wait_for(lambda: parts(folder) == [])


def wait_for(true: Callable[[], Any]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"it did not come to that in {PATIENCE} s"
        time.sleep(0.1)
