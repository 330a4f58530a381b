"""A skip is decided by a probe, explained to a reader, owned, and over on its day."""

from __future__ import annotations

import datetime
import sys
from typing import TYPE_CHECKING, Any

import pytest

from verify import catalog, skips

if TYPE_CHECKING:
    from tests.verify.conftest import Handbook


def day(number: int) -> str:
    """Return a date as seen from now: the tests may run past midnight."""
    today = datetime.datetime.now(datetime.UTC).date()
    return (today + datetime.timedelta(days=number)).isoformat()


SOON, YESTERDAY = day(30), day(-1)
TOO_OLD = {"cpu_lacks": "a_feature_of_2040"}
NEVER = {"cores_below": 1}


def skip(**changes: Any) -> dict[str, Any]:
    plain = {
        "probe": TOO_OLD,
        "reason": "the kernels need a newer processor",
        "owner": "the training group",
        "expires": SOON,
    }
    return {**plain, **changes}


def book_with(handbook: Handbook, declared: Any, *cells: str) -> Handbook:
    handbook.notebook("one", *(cells or ("x = 1",)))
    handbook.catalog(one={"profiles": {"cpu": {"skip": declared}}})
    return handbook


def test_a_skip_is_told_with_all_its_details_and_exit_code_77(handbook: Handbook):
    done = book_with(handbook, skip()).verify("run")
    assert done.code == 77
    assert "0 of 1 passed, 1 skipped" in done.text
    assert "one [cpu] skipped: the kernels need a newer processor" in done.text
    receipt = handbook.receipt("one")
    assert receipt["status"] == "skipped"
    assert receipt["failure"] is None
    assert receipt["skip"] == {
        "probe": "cpu_lacks: a_feature_of_2040",
        "observed": "the processor has no a_feature_of_2040",
        "reason": "the kernels need a newer processor",
        "owner": "the training group",
        "expires": SOON,
    }
    assert "one       cpu      skipped" in handbook.verify("status").text


def test_a_skip_beside_a_pass_is_exit_code_0_and_beside_a_failure_1(handbook: Handbook):
    for name, source in (("one", "x"), ("good", "x = 1"), ("bad", "1 / 0")):
        handbook.notebook(name, source)
    entries = {"one": {"profiles": {"cpu": {"skip": skip()}}}, "good": {}, "bad": {}}
    handbook.catalog(**entries)
    assert handbook.verify("run", "one", "good").code == 0
    assert handbook.verify("run", "one", "bad").code == 1


def test_an_expired_skip_fails_even_where_the_probe_still_holds(handbook: Handbook):
    done = book_with(handbook, skip(expires=YESTERDAY)).verify("run")
    assert done.code == 1
    assert f"one failed: its skip expired on {YESTERDAY}" in done.text
    assert "the training group must mend the cause" in done.text
    assert handbook.receipt("one")["failure"]["kind"] == "expired-skip"


def test_a_skip_holds_on_its_last_day_and_no_longer():
    begun, last = datetime.date(2030, 1, 1), datetime.date(2030, 1, 31)
    declared = skips.parse(skip(expires=last.isoformat()), begun)
    assert declared.expired(last) is None
    after = declared.expired(last + datetime.timedelta(days=1))
    assert "its skip expired on 2030-01-31" in after


def test_a_skip_that_expires_later_turns_red_without_a_run(handbook: Handbook):
    book_with(handbook, skip()).verify("run")
    book_with(handbook, skip(expires=YESTERDAY))
    status = handbook.verify("status").text
    assert "one       cpu      failed" in status
    assert f"its skip expired on {YESTERDAY}" in status


def test_where_the_probe_says_run_the_notebook_runs(handbook: Handbook):
    done = book_with(handbook, skip(probe=NEVER)).verify("run")
    assert done.code == 0
    assert handbook.receipt("one")["status"] == "passed"


def test_a_skip_that_is_gone_is_no_pass(handbook: Handbook):
    book_with(handbook, skip()).verify("run")
    handbook.catalog(one={})
    status = handbook.verify("status").text
    assert "never run" in status
    assert "it was skipped, and its skip is gone" in status


@pytest.mark.parametrize("part", skips.KEYS)
def test_a_skip_without_one_of_its_parts_stops_everything(
    handbook: Handbook, part: str
):
    declared = skip()
    del declared[part]
    done = book_with(handbook, declared).verify("run")
    assert done.code == 1
    words = {"owner": "an owner", "expires": "an expiry date"}.get(part, f"a {part}")
    assert f"a skip without {words}" in done.text
    assert "notebooks.one.profiles.cpu.skip" in done.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": "cuda"}, "probe must name one probe"),
        ({"probe": {"weather": "bad"}}, "unknown probe 'weather'"),
        ({"expires": "soon"}, "expires is no date such as 2027-01-31"),
        ({"expires": 7}, "expires must be a date"),
        ({"expires": "2999-01-01"}, "a skip may last a year at most"),
        ({"owner": 7}, "owner must be a text"),
        ({"until": SOON}, "unknown key 'until'"),
    ],
)
def test_a_slip_in_a_skip_is_named(handbook: Handbook, changes: dict, message: str):
    book_with(handbook, skip(**changes))
    with pytest.raises(catalog.CatalogError, match=message):
        catalog.load(handbook.root)


@pytest.mark.parametrize(
    ("probe", "seen"),
    [
        ({"lacks": "npu"}, "npu-smi"),
        ({"memory_below_gib": 10**6}, "GiB of memory"),
        ({"cores_below": 10**6}, "cores"),
        ({"not_installed": "no-such-package"}, "no-such-package is not installed"),
        ({"command": [sys.executable, "-c", "print('closed')"]}, "closed"),
        ({"memory_below_gib": 0}, None),
        ({"not_installed": "nbformat"}, None),
        ({"older_than": {"nbformat": "9999"}}, "9999 needed"),
        ({"older_than": {"nbformat": "1", "no-such-package": "1"}}, None),
        ({"command": [sys.executable, "-c", "raise SystemExit(1)"]}, None),
    ],
)
def test_a_probe_looks_at_the_machine(probe: dict[str, Any], seen: str | None):
    observed = skips.parse(skip(probe=probe)).observed()
    assert observed is None if seen is None else seen in observed


def test_a_probe_that_cannot_decide_fails_the_run(handbook: Handbook):
    broken = {"command": [sys.executable, "-c", "raise SystemExit(3)"]}
    done = book_with(handbook, skip(probe=broken)).verify("run")
    assert done.code == 1
    assert "ended with exit code 3; 0 means skip, 1 means run" in done.text
    assert handbook.receipt("one")["failure"]["kind"] == "probe"


def test_a_skipped_notebook_leaves_a_kept_receipt_in_force(handbook: Handbook):
    book_with(handbook, skip(probe=NEVER))
    assert handbook.verify("run").code == 0
    kept = handbook.root / "receipts" / "one" / "cpu.json"
    kept.parent.mkdir(parents=True)
    (handbook.root / "_build/receipts/one.cpu.json").rename(kept)
    book_with(handbook, skip())
    assert handbook.verify("run").code == 77
    assert "passed" in handbook.verify("status").text
