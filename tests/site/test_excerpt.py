"""An excerpt is found exactly once, or the reader of the log learns why not."""

import hashlib
import json
from pathlib import Path

import pytest

from verify import covered
from verify.sphinx_ext import excerpt
from verify.sphinx_ext.excerpt import SnippetError, find, regions

MODULE = """
LIMIT = 3

# region: head
def head():
    # region: tail-part
    return 1
    # endregion: tail-part
# endregion: head

class Door:
    @property
    def open(self):
        return True

if LIMIT:
    def hidden():
        return 2

def predict():
    return 3
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "mod.py").write_text(MODULE)
    return tmp_path


def complaint(root, target):
    with pytest.raises(SnippetError) as caught:
        find(root, target)
    return str(caught.value)


def test_a_region_is_shown_without_markers_and_dedented(root):
    found = find(root, "mod.py#tail-part")
    assert (found.kind, found.first, found.last) == ("region", 7, 7)
    assert found.code == "return 1"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("LIMIT", "LIMIT = 3"),
        ("Door.open", "@property\ndef open(self):\n    return True"),
        ("hidden", "def hidden():\n    return 2"),
    ],
)
def test_an_object_is_shown_with_its_decorators(root, name, code):
    assert find(root, f"mod.py#{name}").code == code


def test_a_part_of_a_name_matches_nothing(root):
    message = complaint(root, "mod.py#pre")
    assert "no region or object 'pre' in mod.py" in message


def test_a_near_miss_is_pointed_out(root):
    assert "did you mean 'predict'?" in complaint(root, "mod.py#predikt")


def test_a_region_that_is_named_like_an_object_is_ambiguous(root):
    message = complaint(root, "mod.py#head")
    assert (
        "'head' is ambiguous in mod.py: region at line 5, object at line 5" in message
    )
    assert "write region:head or object:head" in message
    assert find(root, "mod.py#region:head").kind == "region"
    assert find(root, "mod.py#object:head").kind == "object"


def test_two_regions_of_one_name_are_ambiguous(root):
    part = "# region: a\nx = 1\n# endregion: a\n"
    (root / "two.py").write_text(part + part)
    message = complaint(root, "two.py#a")
    assert "region at line 2, region at line 5" in message


def test_a_missing_file_is_named(root):
    assert "there is no file gone.py" in complaint(root, "gone.py#x")


def test_a_file_outside_the_project_is_refused(root):
    assert "is outside the project" in complaint(root, "../mod.py#head")


def test_a_target_without_a_name_is_refused(root):
    assert "write path#region-or-object" in complaint(root, "mod.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# region: a\n", "f.py:1: region 'a' is never closed"),
        ("\n# endregion: a\n", "f.py:2: endregion 'a' closes nothing"),
        ("# region: a\n# region: a\n", "f.py:2: region 'a' opens again"),
    ],
)
def test_a_marker_without_its_partner_is_an_error_with_its_line(text, message):
    with pytest.raises(SnippetError, match=message):
        regions("f.py", text)


def test_a_module_that_is_not_python_is_an_error_with_its_line(root):
    (root / "bad.py").write_text("x = 1\ndef f(:\n")
    assert "bad.py:2: not valid Python" in complaint(root, "bad.py#f")


def test_a_region_of_another_kind_of_file_is_found(root):
    (root / "a.yml").write_text("# region: top\nkey: 1\n# endregion: top\n")
    assert find(root, "a.yml#top").code == "key: 1"


ROOT = Path(__file__).resolve().parents[2]
TESTS = "def test_a():\n    pass\n\n\ndef test_b():\n    pass\n"


def covers(*names):
    return [f"tests/test_{one.replace('::', '.py::test_')}" for one in names]


@pytest.fixture
def measured(root):
    (root / "receipts").mkdir()
    (root / "tests").mkdir()
    for name in ("one", "two"):
        (root / f"tests/test_{name}.py").write_text(TESTS)
    many = covers("one::a", "one::b", "two::a", "two::c")
    rows = [
        {"first": 7, "last": 7, "tests": covers("one::a")},
        {"first": 21, "last": 21, "tests": many},
    ]
    digest = hashlib.sha256((root / "mod.py").read_bytes()).hexdigest()
    record = {"schema": 1, "files": {"mod.py": {"digest": digest, "lines": rows}}}
    (root / covered.KEPT).write_text(json.dumps(record))
    return root


def ran_by(root, target):
    return excerpt.tested_by(root, find(root, target))


def test_a_caption_counts_the_tests_that_ran_the_lines(measured):
    found = ran_by(measured, "mod.py#object:head")
    assert (found.words, found.others) == ("1 test in tests/test_one.py", "")
    found = ran_by(measured, "mod.py#predict")
    assert found.words == "2 tests in tests/test_one.py"
    first = found.first
    assert (first.path, first.name, first.first) == ("tests/test_one.py", "test_a", 1)
    assert found.others == "1 in 1 other file"  # test_c stands in no file any more


def test_code_that_no_test_ran_has_no_caption_about_tests(measured):
    assert ran_by(measured, "mod.py#hidden") is None


def test_a_file_that_changed_since_is_not_said_to_be_tested(measured):
    file = measured / "mod.py"
    file.write_text(file.read_text() + "\n")
    assert ran_by(measured, "mod.py#predict") is None


def test_a_record_of_an_earlier_file_is_named_as_stale(measured):
    (measured / "docs").mkdir()
    (measured / "docs/a.md").write_text("```{snippet} mod.py#head\n```\n")
    assert covered.stale(covered.load(measured), measured) == []
    (measured / "mod.py").write_text("x = 1\n")
    assert covered.stale(covered.load(measured), measured) == ["mod.py"]


def test_a_changed_file_is_measured_with_the_tests_that_ran_it(measured):
    record = covered.load(measured)
    ran = covered.ran_before(record, measured, ["mod.py"])
    assert ran == ["tests/test_one.py", "tests/test_two.py"]
    (measured / "tests/test_two.py").unlink()
    assert covered.ran_before(record, measured, ["mod.py"]) == ["tests/test_one.py"]


def test_a_file_that_is_not_on_record_is_measured_with_all_tests(measured):
    record = covered.load(measured)
    assert covered.ran_before(record, measured, ["new.py"]) == [*covered.TESTS]


def test_only_lines_inside_functions_count_and_imports_do_not():
    text = "A = 1\n\n\ndef f(x):\n    y = x\n    return y\n"
    assert covered.body_lines(text) == {5, 6}


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ("tests.a.test_b.test_c", "tests/a/test_b.py::test_c"),
        ("tests.test_b.TestX.test_c", "tests/test_b.py::TestX::test_c"),
        ("", None),
    ],
)
def test_a_context_of_coverage_names_its_test(context, name):
    assert covered.test_id(context) == name


def test_neighboring_lines_of_the_same_tests_are_one_range():
    a, b = frozenset({"a"}), frozenset({"b"})
    rows = covered.ranges({1: a, 2: a, 3: b, 5: b, 6: frozenset()})
    assert [(row["first"], row["last"]) for row in rows] == [(1, 2), (3, 3), (5, 5)]


def test_the_record_of_coverage_is_of_the_files_that_pages_show():
    record = covered.load(ROOT)
    if not record:
        pytest.skip("no coverage is on record: run python3 noxfile.py -s covered")
    stale = covered.stale(record, ROOT)
    assert stale == [], "run python3 noxfile.py -s covered and commit its file"
