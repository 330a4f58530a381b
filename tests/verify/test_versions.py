"""A run rests on the locked versions of what it imports, and on nothing less."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from verify import versions

ROOT = Path(__file__).resolve().parents[2]


def test_what_a_package_asks_for_counts_with_it():
    found = versions.locked(ROOT, ["transformers"])
    assert {"tokenizers", "safetensors", "huggingface-hub", "ipykernel"} <= set(found)
    assert "mlflow" not in found


def test_the_lock_knows_every_requirement_that_is_installed():
    """The graph is uv's; each package's own metadata must not know an edge more."""
    pinned = versions.locked(ROOT, _installed())
    names = {name for name, version in pinned.items() if version != "not locked"}
    for name in sorted(names & set(_installed()) - {"torch"}):
        under = set(versions.locked(ROOT, [name]))
        asked = [Requirement(line) for line in metadata.requires(name) or []]
        here = [
            r for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})
        ]
        wanted = {canonicalize_name(r.name) for r in here}
        assert wanted & names <= under, name


def test_import_names_are_put_into_distributions():
    names = ["PIL", "yaml", "instructlab", "training_hub", "IPython"]
    assert [versions.distribution(name) for name in names] == [
        "pillow",
        "pyyaml",
        "instructlab-training",
        "training-hub",
        "ipython",
    ]


def test_every_alias_names_a_package_of_the_lock_or_of_nothing():
    locked = versions.locked(ROOT, versions.DISTRIBUTIONS)
    absent = {name for name, version in locked.items() if version == "not locked"}
    assert not absent


def test_another_version_than_the_locked_one_is_named():
    have = metadata.version("nbformat")
    wanted = {
        "nbformat": "1.0",
        "no-such-package": "2.0",
        "only-elsewhere": "1 ; sys_platform == 'x'",
    }
    found, differing = versions.installed({**wanted, "packaging": "not locked"})
    assert found["nbformat"] == have
    assert found["packaging"]
    assert differing == [
        f"nbformat {have} is installed, 1.0 is locked",
        "no-such-package 2.0 is locked and not installed",
    ]


def test_this_environment_is_the_locked_one():
    assert versions.installed(versions.locked(ROOT, _installed()))[1] == []


def _installed() -> list[str]:
    return [canonicalize_name(d.metadata["Name"]) for d in metadata.distributions()]
