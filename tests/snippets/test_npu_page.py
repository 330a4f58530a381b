"""What the page on Ascend says of the handbook's own code holds, with a stand-in."""

from __future__ import annotations

import importlib.machinery
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from snippets import hardware
from snippets.backends import loop


@pytest.fixture(params=["Ascend910B3", "Ascend910A"])
def stand_in(request, monkeypatch):
    """Stand in for torch_npu: a device that has a name and memory, and no kernels."""
    module = ModuleType("torch_npu")
    module.__spec__ = importlib.machinery.ModuleSpec("torch_npu", None)
    module.npu = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 8,
        get_device_name=lambda index: request.param,
        get_device_properties=lambda index: SimpleNamespace(total_memory=64 * 2**30),
    )
    monkeypatch.setitem(sys.modules, "torch_npu", module)
    monkeypatch.setattr(hardware, "_cuda", lambda: None)
    return request.param


def test_the_probe_names_an_npu_and_promises_no_4_bits(stand_in):
    found = hardware.probe()
    assert (found.kind, found.name, found.count) == ("npu", stand_in, 8)
    assert (found.nf4, found.int8) == (False, False)
    assert found.bf16_fast is ("910A" not in stand_in)
    said = hardware.describe(found)
    assert "npu (8 x Ascend910" in said and "NF4 (QLoRA)   no" in said


def test_bfloat16_is_asked_for_on_cuda_only_unless_it_is_passed(stand_in, tmp_path):
    run = {"ckpt_output_dir": str(tmp_path), "effective_batch_size": 1}
    assert loop.arguments(run).bf16 is False


def test_a_quantized_model_is_never_put_on_an_npu(stand_in, monkeypatch):
    monkeypatch.setattr(loop.torch.cuda, "is_available", lambda: False)
    assert loop.device_map() == {"": "cpu"}


def test_the_wheel_of_bitsandbytes_holds_no_npu_backend():
    folder = Path(find_spec("bitsandbytes").origin).parent / "backends"
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    assert {"cpu", "cuda"} <= names, "the search for backends is broken"
    assert "npu" not in names, "bitsandbytes has an NPU backend now: mend the page"
