"""OSFT protects the matrices of the model, wherever its folder lies."""

import shutil

import pytest
from transformers import AutoModelForCausalLM

from snippets import osft, tiny

LAYERS, LINEAR = 4, 7


@pytest.fixture
def in_opt(tmp_path):
    """The tiny Qwen3 model in a folder whose path contains ``opt``."""
    folder = tmp_path / "opt" / "models" / "qwen3"
    shutil.copytree(tiny.BASE, folder)
    return str(folder)


def test_the_path_of_a_model_does_not_decide_what_is_protected(in_opt):
    model = AutoModelForCausalLM.from_pretrained(in_opt)
    patterns = osft.target_patterns(in_opt)
    assert len(osft.matched(model, patterns)) == LAYERS * LINEAR


def test_without_the_cure_mini_trainer_takes_a_folder_named_opt_for_a_model(in_opt):
    from mini_trainer.osft_utils import get_model_patterns

    model = AutoModelForCausalLM.from_pretrained(in_opt)
    by_path = get_model_patterns(in_opt)
    names = [name for name, _ in model.named_parameters()]
    protected = [n for n in names if any(p in n for p in by_path)]
    assert "fc1" in by_path and len(protected) < LAYERS * LINEAR
    with pytest.raises(ValueError, match="matches no matrix"):
        osft.matched(model, by_path)


@pytest.mark.parametrize("pattern", ["attention", "*mlp*"])
def test_a_pattern_that_protects_nothing_is_named(pattern):
    model = AutoModelForCausalLM.from_pretrained(tiny.BASE)
    with pytest.raises(ValueError, match="would protect nothing"):
        osft.matched(model, [pattern])
