"""Makes the two wheels of a release: the snippets, and the tiny model alone.

Both are pure and the same, byte for byte, wherever they are made from the same files.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from email.policy import compat32
from pathlib import Path

from wheel.wheelfile import WheelFile

from verify import imports, versions
from verify.standalone import build

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS = "fine-tuning-handbook-snippets"
BASE = Path("snippets", "fixtures", "tiny-base")
TAG = "py3-none-any"
EPOCH = "315532800"  # 1980-01-01, the earliest time that a zip can hold
# Imported where it is at hand, and never needed.
OPTIONAL = {"torch-npu"}


def write(root: Path, folder: Path) -> list[Path]:
    """Write both wheels into a folder; return where they are."""
    return [tiny_base(root, folder), snippets(root, folder)]


def tiny_base(root: Path, folder: Path) -> Path:
    """Write the wheel that holds the tiny model and nothing else."""
    package = build.MODEL.replace("-", "_")
    files = {
        f"{package}/{path.name}": path.read_bytes()
        for path in sorted((root / BASE).iterdir())
        if path.is_file()
    }
    return _write(root, folder, build.MODEL, files, "The handbook's tiny base model")


def snippets(root: Path, folder: Path) -> Path:
    """Write the wheel of the modules; it requires what they import, and no more."""
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted((root / imports.PACKAGE).rglob("*.py"))
        if "__pycache__" not in path.parts
    }
    told = build.project(root)["project"]
    points = entry_points(told.get("entry-points", {}))
    return _write(
        root, folder, SNIPPETS, files, told["description"], required(root), points
    )


def entry_points(groups: Mapping[str, Mapping[str, str]]) -> str:
    """Return ``entry_points.txt``: through it MLflow finds the plugins of a wheel.

    Parameters
    ----------
    groups : mapping of str to mapping of str to str
        ``[project.entry-points]`` of ``pyproject.toml``: group, name, object.

    Returns
    -------
    str
        One section a group, empty where there is none. The format is that of the
        specification "Entry points" (packaging.python.org).
    """
    lines = []
    for group, names in sorted(groups.items()):
        lines += [f"[{group}]"]
        lines += [f"{name} = {place}" for name, place in sorted(names.items())]
    return "".join(f"{line}\n" for line in lines)


def required(root: Path) -> list[str]:
    """Return what the modules import, as requirements with the oldest that passes."""
    files = sorted((root / imports.PACKAGE).rglob("*.py"))
    sources = [path.read_text(encoding="utf-8") for path in files]
    names = map(versions.distribution, imports.reach(root, sources).packages)
    oldest = build.project(root)["tool"]["handbook"]["oldest"]
    floors = {name: f"{name}>={version}" for name, version in oldest.items()}
    return [floors.get(name, name) for name in sorted({*names} - OPTIONAL)]


def _write(
    root: Path,
    folder: Path,
    name: str,
    files: Mapping[str, bytes],
    summary: str,
    needs: Iterable[str] = (),
    points: str = "",
) -> Path:
    version = build.version(root)
    stem = f"{name.replace('-', '_')}-{version}"
    about = Message()
    about["Metadata-Version"], about["Name"], about["Version"] = "2.4", name, version
    about["Summary"], about["Requires-Python"] = summary, ">=3.11"
    about["License-Expression"] = "Apache-2.0"
    for need in needs:
        about["Requires-Dist"] = need
    about["License-File"] = "LICENSE"
    kind = Message()
    kind["Wheel-Version"], kind["Generator"] = "1.0", "fine-tuning-handbook"
    kind["Root-Is-Purelib"], kind["Tag"] = "true", TAG
    told = {
        "METADATA": about.as_bytes(policy=compat32.clone(max_line_length=0)),
        "WHEEL": kind.as_bytes(),
        "licenses/LICENSE": (root / "LICENSE").read_bytes(),
    }
    if points:
        told["entry_points.txt"] = points.encode()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{stem}-{TAG}.whl"
    with tempfile.TemporaryDirectory(dir=folder) as beside, _same_time():
        made = Path(beside, target.name)  # its name is how WheelFile knows its records
        with WheelFile(made, "w") as wheel:
            for path, content in files.items():
                wheel.writestr(path, content)
            for path, content in told.items():
                wheel.writestr(f"{stem}.dist-info/{path}", content)
        os.replace(made, target)
    return target


@contextlib.contextmanager
def _same_time() -> Iterator[None]:
    """Have every file of a wheel bear the same time, as reproducible builds ask for."""
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = EPOCH
    try:
        yield
    finally:
        del os.environ["SOURCE_DATE_EPOCH"]
        if before is not None:
            os.environ["SOURCE_DATE_EPOCH"] = before


if __name__ == "__main__":
    for made in write(ROOT, Path(sys.argv[1])):
        print(made.name)
