"""Names are found in the source of releases, and their coming and going by halves."""

import zipfile

import pytest

from verify.reference import history
from verify.reference.renames import Name

OLD = "class SFTConfig(Base):\n    max_seq_length: int = 1\n    other = 2\n"
NEW = "class SFTConfig(Base):\n    max_length: int = 1\n"
BASE = "class Base:\n    kept: int = 0\n"
TRAINER = "class SFTTrainer:\n    def __init__(self, model, *, tokenizer=None): ...\n"
POPPED = (
    "class PreTrainedModel:\n"
    "    def from_pretrained(cls, path, **kwargs):\n"
    "        dtype = kwargs.pop('torch_dtype', None)\n"
)


def wheel(folder, package, version, **files):
    """Write a wheel of a few source files; stands in for a download."""
    path = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{package}/{name}.py", text)
    return path


@pytest.fixture
def shelf(tmp_path):
    """Return a shelf with ten releases of a package; the name moves in the seventh."""
    for number in range(10):
        text = OLD if number < 6 else NEW
        wheel(tmp_path, "trl", f"0.{number}.0", sft_config=text + BASE, t=TRAINER)
    return history.Shelf(tmp_path)


RELEASES = {"trl": [f"0.{number}.0" for number in range(10)]}


def test_a_name_that_goes_is_found_between_two_neighbours(shelf):
    found = history.span(shelf, RELEASES, Name("trl", "SFTConfig", "max_seq_length"))
    assert found == {"came": [None, "0.0.0"], "went": ["0.5.0", "0.6.0"]}


def test_a_name_that_comes_is_found_between_two_neighbours(shelf):
    found = history.span(shelf, RELEASES, Name("trl", "SFTConfig", "max_length"))
    assert found == {"came": ["0.5.0", "0.6.0"], "went": ["0.9.0", None]}


def test_a_name_that_no_release_has_is_an_error_and_no_row(shelf):
    with pytest.raises(history.HistoryError, match="no release that was looked at"):
        history.span(shelf, RELEASES, Name("trl", "SFTConfig", "max_lenght"))


@pytest.mark.parametrize("came", range(8))
@pytest.mark.parametrize("lasts", range(1, 8))
def test_any_span_of_releases_is_found_again(monkeypatch, came, lasts):
    there = range(came, min(came + lasts, 8))
    versions = [f"0.{number}.0" for number in range(8)]
    has = lambda shelf, name, version: versions.index(version) in there  # noqa: E731
    monkeypatch.setattr(history, "has", has)
    found = history.span(None, {"trl": versions}, Name("trl", "X"))
    assert versions.index(found["came"][1]) == there[0]
    assert versions.index(found["went"][0]) == there[-1]


def test_fields_of_a_base_count_and_plain_attributes_do_not(tmp_path):
    known = history.definitions(wheel(tmp_path, "trl", "1", a=OLD + BASE))
    assert history.members(known, "SFTConfig") == {"max_seq_length", "kept"}


def test_parameters_and_names_taken_out_of_kwargs_count(tmp_path):
    path = wheel(tmp_path, "transformers", "1", modeling_utils=POPPED)
    known = history.definitions(path)
    owner = "PreTrainedModel.from_pretrained"
    assert {"path", "torch_dtype"} <= history.members(known, owner)


def test_a_package_that_no_index_has_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(history.HistoryError, match="pip index versions trl: "):
        history.Shelf(tmp_path).releases("trl")
