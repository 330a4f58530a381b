"""The API tour prints what it printed when it was stored (pytest-notebook)."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
TOURS = sorted(ROOT.glob("docs/reference/tour/*.ipynb"))
STORED = "The outputs below are stored in this notebook. `tests/golden` runs it again"

# What another machine, or the next run, would print differently.
UNSTEADY = {
    "a float with a tail": re.compile(r"\d\.\d{7,}"),
    "an address in memory": re.compile(r"\b0x[0-9a-f]{6,}"),
    "a path of one machine": re.compile(r"(?<![\w.])/\w+/\w+"),
    "a progress bar": re.compile(r"\r|%\|"),
    "a duration": re.compile(r"\d\s?(ms|s|sec|seconds|it/s)\b"),
}


def named(path):
    return path.stem


@pytest.mark.parametrize("path", TOURS, ids=named)
def test_a_tour_prints_what_it_printed(regression, rewrite, path):
    if regression.force_regen:  # python3 noxfile.py -s regen
        rewrite(path)
    else:
        regression.check(str(path))


def test_the_tour_is_not_empty():
    assert len(TOURS) >= 4


@pytest.mark.parametrize("path", TOURS, ids=named)
def test_a_tour_is_stored_in_the_shape_that_regen_writes(tidy, path):
    assert path.read_text(encoding="utf-8") == tidy(path), "run noxfile.py -s regen"


@pytest.mark.parametrize("path", TOURS, ids=named)
def test_a_tour_says_under_its_title_that_its_outputs_are_stored(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert STORED in "".join(cells[0]["source"])


# ---------------------------------------------------------------------------
# Outputs are the same on every machine
# ---------------------------------------------------------------------------


def unsteady(outputs):
    """Return what is wrong with the outputs of a cell, as one sentence each."""
    found = []
    for output in outputs:
        if output["output_type"] not in ("stream", "display_data", "execute_result"):
            found.append(f"an {output['output_type']} is stored")
            continue
        data = output.get("data", {})
        if output.get("name") == "stderr":
            found.append("something is written to stderr")
        found += [f"{mime} is stored" for mime in data if mime.startswith("image/")]
        text = "".join(output.get("text", data.get("text/plain", "")))
        found += [f"{what} is printed" for what, sign in UNSTEADY.items()
                  if sign.search(text)]  # fmt: skip
    return found


@pytest.mark.parametrize("path", TOURS, ids=named)
def test_a_tour_stores_only_what_every_machine_prints(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    found = {cell["id"]: unsteady(cell.get("outputs", [])) for cell in cells}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.30000000000000004", "a float with a tail is printed"),
        ("<object at 0x7f3a2b1c>", "an address in memory is printed"),
        ("saved in /" + "srv/run", "a path of one machine is printed"),
        ("50%|#####", "a progress bar is printed"),
        ("took 1.2 s", "a duration is printed"),
    ],
)
def test_an_output_that_another_machine_would_not_print_is_found(text, words):
    stream = {"output_type": "stream", "name": "stdout", "text": [text]}
    assert unsteady([stream]) == [words]


def test_a_warning_and_an_image_in_a_tour_are_found():
    stream = {"output_type": "stream", "name": "stderr", "text": ["careful"]}
    image = {"output_type": "display_data", "data": {"image/png": "iVBO"}}
    found = ["something is written to stderr", "image/png is stored"]
    assert unsteady([stream, image]) == found


# ---------------------------------------------------------------------------
# Canaries: a small notebook, quick to run
# ---------------------------------------------------------------------------

SOURCE = 'from snippets import memory\n\nprint(f"{memory.nf4_bits():.4f} bits")'


@pytest.fixture
def small(tmp_path):
    """Write a notebook of one cell with a stored output."""

    def write(printed, source=SOURCE):
        output = nbformat.v4.new_output("stream", text=printed)
        cell = nbformat.v4.new_code_cell(source, outputs=[output], id="bits")
        path = tmp_path / "stored" / "small.ipynb"
        path.parent.mkdir()
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
        return path

    return write


def test_a_changed_output_turns_a_tour_red(regression, small):
    with pytest.raises(Exception, match="4.5000 bits"):
        regression.check(str(small("4.5000 bits\n")))


def test_regen_stores_the_new_output_and_the_second_time_changes_nothing(
    rewrite, regression, small
):
    path = small("4.5000 bits\n")
    assert rewrite(path)
    stored = path.read_bytes()
    assert b"4.1270 bits" in stored
    assert not rewrite(path)
    assert path.read_bytes() == stored
    regression.force_regen = False
    regression.check(str(path))


def test_regen_of_a_notebook_that_raises_fails_and_leaves_the_file(rewrite, small):
    path = small("4.5000 bits\n", source="raise ValueError('no bits')")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="no bits"):
        rewrite(path)
    assert path.read_bytes() == before
