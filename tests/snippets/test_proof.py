"""Every assertion can fail, and says why."""

import json
import math

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from snippets import proof


def test_record_outside_a_notebook_prints_one_line(capsys):
    proof.record("x", 0.5)
    assert capsys.readouterr().out == "recorded x = 0.5\n"


def test_record_takes_numpy_and_torch_scalars_and_refuses_objects(capsys):
    proof.record("x", torch.tensor(2.0))
    assert capsys.readouterr().out == "recorded x = 2\n"
    with pytest.raises(TypeError, match='outcome "x" is a dict'):
        proof.record("x", {})


def test_record_in_a_notebook_writes_the_outcome_as_data():
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        with capture_output() as got:
            shell.run_cell("from snippets import proof; proof.record('x', [1, 2])")
    finally:
        InteractiveShell.clear_instance()
    (output,) = [o for o in got.outputs if proof.OUTCOME in o.data]
    assert json.loads(json.dumps(output.data[proof.OUTCOME])) == {
        "name": "x",
        "value": [1, 2],
    }


def test_fails_shows_the_message_and_cannot_hide_a_working_call(capsys):
    with proof.fails(ValueError, saying="bad"):
        raise ValueError("bad thing")
    assert capsys.readouterr().out == "ValueError: bad thing\n"
    worked = pytest.raises(AssertionError, match="the call worked")
    with worked, proof.fails(ValueError, saying=""):
        pass
    other = pytest.raises(AssertionError, match="does not contain")
    with other, proof.fails(ValueError, saying="good"):
        raise ValueError("bad thing")
    with pytest.raises(KeyError), proof.fails(ValueError, saying=""):
        raise KeyError("other")


def test_fingerprints_ignore_the_float_dtype_and_see_every_value():
    weight = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    a = proof.fingerprint({"w": weight})
    assert a == proof.fingerprint({"w": weight.float()})
    assert a != proof.fingerprint({"w": torch.tensor([1.0, 2.015625])})


def test_weights_changed_and_base_unchanged_are_opposites():
    old, new = {"a": "1", "b": "2"}, {"a": "1", "b": "3"}
    assert proof.weights_changed(old, new) == 1
    assert proof.base_unchanged(old, dict(old)) == 2
    with pytest.raises(AssertionError, match="none of the 2 tensors"):
        proof.weights_changed(old, dict(old))
    with pytest.raises(AssertionError, match='the first is "b"'):
        proof.base_unchanged(old, new)
    with pytest.raises(AssertionError, match="same tensors"):
        proof.base_unchanged(old, {"a": "1"})


class Model(torch.nn.Module):
    def __init__(self, moved):
        super().__init__()
        self.base = torch.nn.Linear(2, 2).requires_grad_(False)
        self.lora_A = torch.nn.Parameter(torch.ones(2, 1))
        self.lora_B = torch.nn.Parameter(torch.full((1, 2), float(moved)))


def test_only_adapters_changed_sees_foreign_and_still_parameters():
    assert proof.only_adapters_changed(Model(moved=1)) == 4
    with pytest.raises(AssertionError, match="never moved"):
        proof.only_adapters_changed(Model(moved=0))
    foreign = Model(moved=1)
    foreign.base.requires_grad_(True)
    with pytest.raises(AssertionError, match="is no adapter"):
        proof.only_adapters_changed(foreign)


def test_lr_reached_fails_for_a_warm_up_that_is_too_long():
    log = [{"learning_rate": 0.0}, {"learning_rate": 2e-5}]
    assert proof.lr_reached(log, 2e-5) == 2e-5
    with pytest.raises(AssertionError, match="10% of 0.0002"):
        proof.lr_reached(log, 2e-4)
    with pytest.raises(AssertionError, match="no learning rate"):
        proof.lr_reached([{"loss": 1}], 2e-4)


def test_loss_dropped_fails_for_a_flat_a_missing_and_a_broken_loss():
    assert proof.loss_dropped([{"loss": 2.0}, {"loss": 0.5}], by=0.5) == 0.25
    with pytest.raises(AssertionError, match="not down by 50%"):
        proof.loss_dropped([{"loss": 2.0}, {"loss": 1.9}], by=0.5)
    with pytest.raises(AssertionError, match="two are needed"):
        proof.loss_dropped([{"loss": 2.0}], by=0.5)
    with pytest.raises(AssertionError):
        proof.loss_dropped([{"loss": 2.0}, {"loss": math.nan}], by=0.5)


def test_loss_ratio_measures_a_rising_loss_and_refuses_one_that_is_no_number():
    log = [{"loss": 2.0}, {"loss": 3.0}]
    assert proof.loss_ratio(log) == 1.5
    with pytest.raises(AssertionError, match="training fell apart"):
        proof.loss_ratio([*log, {"loss": math.nan}])
    with pytest.raises(AssertionError, match="two are needed"):
        proof.loss_ratio(log[:1])


def test_masked_fraction_fails_for_all_and_for_none():
    assert proof.masked_fraction([[-100, 1], [2, -100]]) == 0.5
    with pytest.raises(AssertionError, match="every token is masked"):
        proof.masked_fraction([[-100, -100]])
    with pytest.raises(AssertionError, match="no token is masked"):
        proof.masked_fraction([[1, 2]])


def test_a_merge_that_moves_the_logits_is_refused():
    a, b = torch.zeros(1, 2, 3), torch.full((1, 2, 3), 0.3)
    assert proof.adapter_equals_merged(a, a, tolerance=0.1) == 0.0
    with pytest.raises(AssertionError, match="not the model that was trained"):
        proof.adapter_equals_merged(a, b, tolerance=0.1)


def test_documents_are_isolated_only_with_reset_positions():
    from transformers import AutoModelForCausalLM

    from snippets import tiny

    model = AutoModelForCausalLM.from_pretrained(tiny.BASE, dtype=torch.float32)
    first, second = [5, 6, 7, 8, 9], [300, 301, 302, 303]
    assert proof.documents_isolated(model, first, second, reset=True) < 1e-3
    assert proof.documents_isolated(model, first, second, reset=False) > 1e-2
