"""The probe never fails, imports little, and knows which GPU runs what."""

import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snippets import hardware
from snippets.hardware import (
    INT8_CAPABILITY,
    NF4_CAPABILITY,
    broken_torchvision,
    compute_dtype,
    cpu_flags,
    describe,
    one_thread,
    probe,
    quiet_libraries,
    wheel_supports,
)

ROOT = Path(__file__).parents[2]


def python(code, *flags, **environment):
    """Run code in a fresh process with the project on its path."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        check=True,
    )
    return done.stdout + done.stderr


def gpu(**changes):
    """Describe an A100 that this machine may not have."""
    return dataclasses.replace(
        probe(),
        **{
            "kind": "cuda",
            "name": "NVIDIA A100",
            "capability": (8, 0),
            "memory_bytes": 80 * hardware.GIB,
            "bf16_fast": True,
        }
        | changes,
    )


@pytest.mark.parametrize(
    ("gpu_name", "capability", "cuda", "runs"),
    [
        ("P100", (6, 0), "11.8", True),
        ("P100", (6, 0), "12.6", True),
        ("P100", (6, 0), "12.8", False),
        ("GTX 1080", (6, 1), "12.4", True),
        ("V100", (7, 0), "12.8", True),
        ("V100", (7, 0), "13.0", False),
        ("T4", (7, 5), "13.2", True),
        ("H200", (9, 0), "12.6", True),
        ("GTX 980", (5, 2), "11.8", False),
        ("P100", (6, 0), "11.7", False),
    ],
)
def test_the_wheels_drop_old_gpus_one_by_one(gpu_name, capability, cuda, runs):
    assert wheel_supports(capability, cuda) is runs


def test_four_bit_needs_less_than_eight_bit():
    assert NF4_CAPABILITY == (6, 0)
    assert INT8_CAPABILITY == (7, 5)


def test_the_probe_describes_this_machine():
    found = probe()
    assert found.kind in {"cuda", "npu", "cpu"}
    assert found.cores >= 1
    assert found.torch
    assert found.ram_bytes > 2**30
    if found.kind == "cpu":
        assert (found.nf4, found.bitsandbytes_library) == (True, "cpu")


def test_the_probe_does_not_import_bitsandbytes_or_transformers():
    code = (
        "import sys; from snippets.hardware import probe; probe(); "
        "print({'bitsandbytes', 'transformers'} & set(sys.modules))"
    )
    assert python(code).strip() == "set()"


def test_the_probe_works_where_no_package_is_installed():
    code = "from snippets.hardware import describe; print(describe())"
    # -S leaves site-packages out: nothing but the standard library is there.
    said = python(f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}", "-S")
    assert "torch         not installed" in said
    assert "NF4 (QLoRA)   no" in said
    assert "compute in    float32" in said


def test_a_cpu_computes_in_float32_even_with_fast_bfloat16():
    cpu = dataclasses.replace(probe(), kind="cpu", bf16_fast=True)
    assert compute_dtype(cpu) == "float32"


def test_a_gpu_computes_in_bfloat16_when_it_has_it():
    assert compute_dtype(gpu()) == "bfloat16"
    assert compute_dtype(gpu(capability=(7, 5), bf16_fast=False)) == "float16"


def test_the_description_names_a_gpu_with_its_capability():
    said = describe(gpu(count=2))
    assert "cuda (2 x NVIDIA A100), compute capability 8.0" in said
    assert "80.0 GiB" in said


def test_the_nearest_library_is_picked_as_bitsandbytes_picks_it():
    found = {"cuda118", "cuda126", "cuda128", "cuda130"}
    assert hardware._nearest(found, "126") == "cuda126"
    assert hardware._nearest(found, "129") == "cuda128"
    assert hardware._nearest(found, "120") == "cuda126"
    assert hardware._nearest(found, "140") is None


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="Linux only")
def test_the_cpu_flags_agree_with_torch():
    import torch

    flags = cpu_flags()
    assert ("avx2" in flags) == torch.cpu._is_avx2_supported()
    assert ("avx512_bf16" in flags) == torch.cpu._is_avx512_bf16_supported()


def test_a_container_limit_counts_as_the_memory(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(hardware, "CGROUP_LIMITS", (limit,))
    whole = probe().ram_bytes
    limit.write_text("1073741824\n")
    assert probe().ram_bytes == 2**30
    limit.write_text("max\n")
    assert probe().ram_bytes == whole


def test_one_thread_reaches_torch_and_the_children():
    code = (
        "import os, torch; torch.set_num_threads(2); "
        "from snippets.hardware import one_thread; one_thread(); "
        "print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])"
    )
    assert python(code, OMP_NUM_THREADS="2").split() == ["1", "1"]
    one_thread()


# ---------------------------------------------------------------- torchvision
def fake_site(folder, torch_cuda, torchvision_cuda, *others):
    """Make packages that hold only the version files their wheels carry."""
    versions = {"torch": torch_cuda, "torchvision": torchvision_cuda}
    for name, cuda in versions.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
        (folder / name / "version.py").write_text(cuda)
    for name in others:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    return folder


CPU_TORCH = "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n"
CUDA_TORCH = "__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n"
CPU_VISION = "__version__ = '0.28.0+cpu'\nif True:\n    cuda = None\n"
CUDA_VISION = "__version__ = '0.28.0+cu130'\ncuda = '13.0'\n"


def test_a_cuda_torchvision_beside_a_cpu_torch_is_found(tmp_path, monkeypatch):
    fake_site(tmp_path, CPU_TORCH, CUDA_VISION, "timm")
    monkeypatch.syspath_prepend(tmp_path)
    said = broken_torchvision()
    assert "torchvision is built for CUDA 13.0 and torch for CPU" in said
    assert said.endswith("python -m pip uninstall -y timm torchvision")


def test_without_timm_only_torchvision_is_to_go(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(fake_site(tmp_path, CPU_TORCH, CUDA_VISION))
    assert broken_torchvision().endswith("uninstall -y torchvision")


@pytest.mark.parametrize(
    ("torch", "vision"), [(CPU_TORCH, CPU_VISION), (CUDA_TORCH, CUDA_VISION)]
)
def test_builds_that_match_are_left_alone(tmp_path, monkeypatch, torch, vision):
    monkeypatch.syspath_prepend(fake_site(tmp_path, torch, vision))
    assert broken_torchvision() is None


def test_this_environment_has_no_broken_torchvision():
    assert broken_torchvision() is None


# ---------------------------------------------------------------- quiet
def test_bitsandbytes_says_nothing_at_import_after_quieting():
    quiet = "from snippets.hardware import quiet_libraries; quiet_libraries(); "
    assert "Failed to load" not in python(quiet + "import bitsandbytes")


def test_progress_bars_stay_off_whenever_the_libraries_are_imported():
    check = (
        "import datasets as d, transformers as t; {} "
        "print(d.are_progress_bars_disabled(), t.logging.is_progress_bar_enabled())"
    )
    quiet = "from snippets.hardware import quiet_libraries; quiet_libraries();"
    assert python(quiet + check.format("")).split() == ["True", "False"]
    assert python(check.format(quiet)).split() == ["True", "False"]


def test_errors_of_bitsandbytes_stay_audible():
    quiet_libraries()
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    assert logger.isEnabledFor(logging.ERROR)
    assert not logger.isEnabledFor(logging.WARNING)


def test_free_memory_is_what_linux_and_the_container_leave(tmp_path, monkeypatch):
    free = hardware.free_ram()
    assert 0 < free <= probe().ram_bytes
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    limit.write_text("5000\n")
    used.write_text("2000\n")
    monkeypatch.setattr(hardware, "CGROUP_LIMITS", (limit,))
    monkeypatch.setattr(hardware, "CGROUP_USED", (used,))
    assert hardware.free_ram() == 3000
    limit.write_text("max\n")
    assert hardware.free_ram() > 2**20


def test_memory_of_a_model_that_nothing_holds_is_given_back():
    import weakref

    class Model:
        pass

    model = Model()
    model.trainer = model  # a cycle: only the collector frees it
    gone = weakref.ref(model)
    del model
    hardware.release()
    assert gone() is None
