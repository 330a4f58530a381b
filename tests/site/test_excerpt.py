"""An excerpt is found exactly once, or the reader of the log learns why not."""

import pytest

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
