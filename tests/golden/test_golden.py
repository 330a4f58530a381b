"""Formulas print what they printed when the guides quoted them (pytest-notebook)."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHANGES_EVERY_RUN = (
    "/metadata/language_info",
    "/cells/*/metadata/execution",
    "/cells/*/execution_count",
)


@pytest.fixture
def regression(nb_regression, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    nb_regression.diff_ignore = CHANGES_EVERY_RUN
    return nb_regression


def test_the_golden_notebook_prints_what_it_printed(regression):
    regression.check(str(HERE / "formulas.ipynb"))


def test_a_changed_output_turns_the_golden_notebook_red(regression, tmp_path):
    text = (HERE / "formulas.ipynb").read_text(encoding="utf-8")
    changed = tmp_path / "formulas.ipynb"
    changed.write_text(text.replace("4.1270 bits", "4.5000 bits"), encoding="utf-8")
    with pytest.raises(Exception, match="4.5000 bits"):
        regression.check(str(changed))
