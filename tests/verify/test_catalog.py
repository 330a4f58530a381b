"""A slip in the catalog is an error that names the place."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verify import catalog, skips
from verify.catalog import CatalogError, Expectation

if TYPE_CHECKING:
    from tests.verify.conftest import Handbook


ROOT = Path(__file__).resolve().parents[2]
GOOD = {"title": "One", "time_limit": 5, "profiles": {"cpu": {}}, "expect": {}}


def test_a_notebook_that_is_not_in_the_catalog_stops_the_run(handbook: Handbook):
    handbook.notebook("listed", "x = 1")
    handbook.notebook("stray", "x = 1")
    handbook.catalog(listed={})
    for command in (["run"], ["run", "listed"], ["status"], ["check-catalog"]):
        done = handbook.verify(*command)
        assert done.code == 1
        assert "stray.ipynb is not in notebooks/catalog.yml" in done.text
    handbook.catalog(listed={}, stray={})
    assert handbook.verify("check-catalog").code == 0


def test_an_entry_without_a_notebook_is_an_error(handbook: Handbook):
    handbook.catalog(ghost={})
    with pytest.raises(CatalogError, match=r"notebooks\.ghost: .*ghost.ipynb is miss"):
        catalog.load(handbook.root)


def test_a_missing_fixture_is_an_error(handbook: Handbook):
    handbook.notebook("one", "x = 1")
    handbook.catalog(one={"fixtures": ["snippets/fixtures/none"]})
    with pytest.raises(CatalogError, match="fixtures: no file snippets/fixtures/none"):
        catalog.load(handbook.root)


@pytest.mark.parametrize(
    ("slip", "message"),
    [
        ({"titel": "x"}, "notebooks.one: unknown key 'titel'; known keys: title"),
        ({"time_limit": 0}, "notebooks.one.time_limit: must be a number above 0"),
        ({"time_limit": True}, "notebooks.one.time_limit: must be a number above 0"),
        ({"title": 3}, "notebooks.one.title: must be a text"),
        ({"packages": "torch"}, "notebooks.one.packages: must be a list of texts"),
        ({"limits": {"peak": 1}}, "notebooks.one.limits: unknown key 'peak'"),
        ({"profiles": []}, "notebooks.one.profiles: must be a mapping"),
        (
            {"profiles": {"cpu": {"need": ["cuda"]}}},
            "notebooks.one.profiles.cpu: unknown key 'need'",
        ),
        (
            {"profiles": {"cpu": {"needs": ["tpu"]}}},
            "notebooks.one.profiles.cpu.needs: unknown need 'tpu'",
        ),
        (
            {"profiles": {"cpu": {"needs": ["sandbox"], "alone": True}}},
            "notebooks.one.profiles.cpu: a copy that runs alone has no network",
        ),
        (
            {"profiles": {"cpu": {"again": {"steps": 1}}}},
            "notebooks.one.profiles.cpu.again: only a profile with alone: true",
        ),
        (
            {"profiles": {"cpu": {"parameters": {"x": float("nan")}}}},
            "notebooks.one.profiles.cpu.parameters: is not plain JSON",
        ),
        (
            {"expect": {"loss": {"maximum": 1}}},
            "notebooks.one.expect.loss: unknown key 'maximum'",
        ),
        ({"expect": {"loss": {}}}, "notebooks.one.expect.loss: give min, max"),
        (
            {"expect": {"loss": {"min": "1"}}},
            "notebooks.one.expect.loss.min: must be a number, not '1'",
        ),
        (
            {"expect": {"loss": {"min": 2, "max": 1}}},
            "notebooks.one.expect.loss: min 2 is above max 1",
        ),
        (
            {"expect": {"loss": {"equals": 2, "max": 1}}},
            "notebooks.one.expect.loss: equals stands alone",
        ),
    ],
)
def test_a_slip_is_named_with_its_key_path(handbook: Handbook, slip, message):
    handbook.notebook("one", "x = 1")
    handbook.catalog(one=slip)
    with pytest.raises(CatalogError) as caught:
        catalog.load(handbook.root)
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["title", "time_limit", "profiles", "expect"])
def test_a_missing_key_is_named(handbook: Handbook, key: str):
    entry = {name: value for name, value in GOOD.items() if name != key}
    handbook.notebook("one", "x = 1")
    handbook.write("notebooks/catalog.yml", f"notebooks: {{one: {entry}}}")
    with pytest.raises(CatalogError, match=f"notebooks.one: key '{key}' is missing"):
        catalog.load(handbook.root)


def test_a_key_given_twice_is_an_error_with_its_line(handbook: Handbook):
    handbook.write("notebooks/catalog.yml", "notebooks:\n  one: {}\n  one: {}\n")
    with pytest.raises(CatalogError, match=r"catalog.yml:3: key 'one' is given twice"):
        catalog.load(handbook.root)


def test_a_parameters_cell_that_is_not_python_is_an_error(handbook: Handbook):
    handbook.notebook("one", ("parameters", "%%bash\nx=1"))
    handbook.catalog(one={})
    done = handbook.verify("run")
    assert done.code == 1
    assert "one.ipynb: the cell tagged 'parameters' is not plain Python" in done.text


def test_judging_receipts_imports_nothing_heavy():
    code = (
        "import sys; from verify import catalog, digest, executed, outcomes, receipts\n"
        "heavy = {'torch', 'nbformat', 'papermill', 'psutil', 'ipykernel'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_broken_yaml_and_a_missing_catalog_are_one_sentence(handbook: Handbook):
    with pytest.raises(CatalogError, match="catalog.yml is missing"):
        catalog.load(handbook.root)
    handbook.write("notebooks/catalog.yml", "notebooks: [")
    with pytest.raises(CatalogError, match="is not valid YAML"):
        catalog.load(handbook.root)


def test_an_unknown_notebook_or_profile_is_an_error_not_an_empty_success(
    handbook: Handbook,
):
    handbook.notebook("one", "x = 1")
    handbook.catalog(one={"profiles": {"cpu": {}, "cuda": {"needs": ["cuda"]}}})
    for command, message in [
        (["run", "two"], "no notebook 'two'; it lists: one"),
        (["run", "--profile", "npu"], "no notebook of the catalog has a profile 'npu'"),
        (["run", "one", "--profile", "npu"], "no profile 'npu'; it has: cpu, cuda"),
    ]:
        done = handbook.verify(*command)
        assert done.code == 1
        assert message in done.text


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ({"min": 0.95}, 0.95, True),
        ({"min": 0.95}, 0.94, False),
        ({"max": 1}, 1.01, False),
        ({"min": 1, "max": 2}, 3, False),
        ({"min": 0}, True, False),
        ({"min": 0}, "1", False),
        ({"min": 0}, [1, 2], True),
        ({"min": 0}, [1, -2], False),
        ({"min": 0}, [], False),
        ({"equals": True}, True, True),
        ({"equals": True}, 1, False),
        ({"equals": 1}, True, False),
        ({"equals": 1}, 1.0, True),
        ({"equals": "cpu"}, "cpu", True),
        ({"equals": [1, 2]}, [1, 2], True),
    ],
)
def test_an_expectation_holds_only_for_what_it_says(rule, value, holds):
    assert Expectation(rule).holds(value) is holds


def test_the_words_of_an_expectation_read_as_a_sentence():
    assert Expectation({"min": 1, "max": 2}).words() == "between 1 and 2"
    assert Expectation({"max": 2}).words() == "at most 2"
    assert Expectation({"equals": True}).words() == "exactly true"


@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        ("noise", "must be a list of match and why"),
        ([{"match": "x"}], "allow_stderr.0: key 'why' is missing"),
        ([{"match": "(", "why": "?"}], "is no regular expression"),
        ([{"match": "x", "why": " "}], "must be a text"),
    ],
)
def test_a_slip_in_what_stderr_may_say_is_named(
    handbook: Handbook, allowed: object, message: str
):
    handbook.notebook("one", "x = 1")
    handbook.catalog(one={"allow_stderr": allowed})
    with pytest.raises(CatalogError, match=re.escape(message)):
        catalog.load(handbook.root)


def test_the_entry_that_contributors_copy_is_valid(handbook: Handbook):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(  my-notebook:.+?)```", text, re.DOTALL)
    handbook.notebook("my-notebook", ("parameters", "steps = 300"))
    handbook.write("notebooks/catalog.yml", f"notebooks:\n{block}")
    handbook.write("snippets/fixtures/tiny-base/x", "")
    entry = catalog.load(handbook.root).entry("my-notebook")
    assert entry.profiles["npu"].skip.owner == "the training group"
    for probe in skips.PROBES:
        assert f"`{probe}`" in text


@pytest.mark.skipif(
    not (ROOT / catalog.CATALOG).exists(), reason="the repository has no catalog yet"
)
def test_the_catalog_of_this_repository_has_no_slip():
    assert catalog.load(ROOT).entries
