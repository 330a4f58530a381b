"""Makes the lock files, so that every machine installs the versions that were proven.

`python3 noxfile.py -s lock` runs this. uv resolves the dependency groups of
pyproject.toml for all platforms; what follows here takes out of its answer what must
not be installed, proves that the locks agree, and writes them to `.ci/locks/`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = Path(".ci", "locks")

# torch brings these itself, in the flavor of the index it came from.
TORCH_WHEELS = re.compile(r"torch|triton(-windows)?|(cuda|nvidia)-.+")

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "arm64"),
    ("win32", "AMD64"),
)


class LockError(Exception):
    """The locks cannot be made, or do not agree."""


@dataclass(frozen=True)
class Lock:
    """One lock file: what it resolves, what it builds on, what its header says."""

    name: str
    groups: tuple[str, ...]
    header: str
    on_top_of: str | None = None
    platforms: tuple[str, ...] = ("linux", "darwin", "win32")


PLAN = (
    Lock(
        "notebooks",
        ("notebooks",),
        """\
Everything the notebooks' kernel needs, on a CPU and on a GPU, but for torch. Install:
  pip install -r .ci/locks/torch.txt -c .ci/locks/notebooks.txt
  pip install --no-deps -r .ci/locks/notebooks.txt
Left out on purpose:
  torch, triton, cuda-*, nvidia-*  torch.txt installs torch with its own wheels, in
                                   the flavor (CPU or CUDA) of the index it comes from
  timm, torchvision                training-hub declares timm and never imports it; it
                                   brings torchvision, whose CUDA build beside a CPU
                                   torch breaks every import of a transformers model
  attr                             a namesake of attrs that training-hub declares and
                                   never imports; it can shadow attrs
Held against a declared need: datasets 4.8.5, where mini-trainer asks for 5 and unsloth
for less than 5. `pip check` names exactly attr, timm and datasets.""",
    ),
    Lock(
        "cuda",
        ("cuda",),
        """\
What a CUDA machine adds to notebooks.txt (unsloth, the default backend of lora_sft).
The versions in notebooks.txt are the same on CPU and CUDA: making this lock proves it.
  pip install --no-deps -r .ci/locks/cuda.txt
Left out on purpose: torch and its wheels (torch.txt), attr and timm (never imported),
everything for macOS and Windows.""",
        on_top_of="notebooks",
        platforms=("linux",),
    ),
    Lock(
        "test",
        ("notebooks", "test"),
        """\
What the test suite adds to notebooks.txt.
  pip install --no-deps -r .ci/locks/test.txt""",
        on_top_of="notebooks",
    ),
    Lock(
        "book",
        ("book",),
        """\
The environment that builds the site: Jupyter Book, no torch.
  pip install --no-deps -r .ci/locks/book.txt""",
    ),
    Lock(
        "tools",
        ("tools",),
        """\
Linters, and the resolver that makes these locks.
  pip install --no-deps -r .ci/locks/tools.txt""",
    ),
    Lock(
        "front",
        ("front",),
        """\
nox, for a machine that has none: noxfile.py installs it into .nox/front.
  pip install --no-deps -r .ci/locks/front.txt""",
    ),
)

TORCH_HEADER = """\
torch alone: pip takes the flavor the machine's index offers (CPU or CUDA) and adds the
wheels that flavor needs.
  pip install -r .ci/locks/torch.txt -c .ci/locks/notebooks.txt"""


def main(arguments: list[str] | None = None) -> int:
    """Resolve every lock, check that they agree, then write them all."""
    parser = argparse.ArgumentParser(prog="python -m verify.locks", description=__doc__)
    parser.add_argument(
        "--upgrade", action="store_true", help="move unpinned packages forward"
    )
    parser.add_argument(
        "--newest",
        action="store_true",
        help="also ignore the pins of the notebooks; for the nightly job",
    )
    options = parser.parse_args(arguments)
    try:
        files = newest(ROOT) if options.newest else locked(ROOT, options.upgrade)
    except LockError as error:
        print(f"The locks were left as they are: {error}", file=sys.stderr)
        return 1
    for name, text in files.items():
        write(ROOT / LOCKS / f"{name}.txt", text)
        print(f"{LOCKS / name}.txt: {text.count('==')} pins")
    return 0


def locked(root: Path, upgrade: bool = False) -> dict[str, str]:
    """Return the text of every lock, keeping today's pins unless `upgrade`."""
    files: dict[str, str] = {}
    pins: dict[str, list[Requirement]] = {}
    for lock in PLAN:
        answer = resolve(
            root, lock, held=pins.get(lock.on_top_of or "", []), upgrade=upgrade
        )
        if lock.name == "notebooks":
            files["torch"] = render(TORCH_HEADER, [only_torch(answer)])
        kept = installable(answer, lock.platforms)
        if lock.on_top_of:
            kept = added(pins[lock.on_top_of], kept, lock)
        pins[lock.name] = kept
        files[lock.name] = render(lock.header, kept)
    return files


def newest(root: Path) -> dict[str, str]:
    """Return the notebooks' locks with every pin of pyproject.toml let go."""
    asked = [*group(root, "notebooks"), *group(root, "test")]
    names = sorted({Requirement(line).name for line in asked})
    never = [line for line in overrides(root) if "never" in line]
    with tempfile.TemporaryDirectory() as folder:
        (wanted := Path(folder, "wanted.in")).write_text("\n".join(names))
        (omitted := Path(folder, "never.in")).write_text("\n".join(never))
        answer = compiled(
            folder, ["--no-config", "--override", str(omitted), str(wanted)]
        )
    header = "The newest versions that resolve together. Not for committing."
    everything = installable(answer, PLAN[0].platforms)
    return {
        "torch": render(header, [only_torch(answer)]),
        "notebooks": render(header, everything),
        "test": render(header + " All of it stands in notebooks.txt.", []),
    }


def resolve(
    root: Path, lock: Lock, held: Iterable[Requirement], upgrade: bool
) -> list[Requirement]:
    """Ask uv for the pins of one lock, with those `held` as constraints."""
    with tempfile.TemporaryDirectory() as folder:
        (base := Path(folder, "held.txt")).write_text("\n".join(map(str, held)))
        arguments = ["--constraint", str(base)]
        for name in lock.groups:
            arguments += ["--group", f"{root / 'pyproject.toml'}:{name}"]
        committed = root / LOCKS / f"{lock.name}.txt"
        keep = committed.exists() and not upgrade
        known = committed.read_text(encoding="utf-8") if keep else ""
        return compiled(root, arguments, known)


def compiled(
    folder: str | Path, arguments: list[str], known: str = ""
) -> list[Requirement]:
    """Run `uv pip compile` in a folder, keeping the `known` pins that it can."""
    import uv

    command = [uv.find_uv_bin(), "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", PYTHONS[0], "--no-annotate", "--no-header"]
    with tempfile.TemporaryDirectory() as beside:
        (answer := Path(beside, "answer.txt")).write_text(known, encoding="utf-8")
        command += ["--output-file", str(answer), *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise LockError(f"uv found no set of versions.\n{done.stderr.strip()}")
        return parse(answer.read_text(encoding="utf-8"))


def parse(text: str) -> list[Requirement]:
    """Read requirements, one a line, skipping comments and blank lines."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def installable(
    pins: Iterable[Requirement], platforms: Iterable[str]
) -> list[Requirement]:
    """Drop torch's wheels and what no target installs; drop markers that always hold.

    Parameters
    ----------
    pins : iterable of Requirement
        What uv answered, for every platform at once.
    platforms : iterable of str
        Values of `sys_platform` that the lock serves.

    Returns
    -------
    list of Requirement
        In the order given. `x ; sys_platform == 'never'` is gone: that is how
        pyproject.toml says that a declared package must not be installed.
    """
    places = targets(platforms)
    kept = []
    for pin in pins:
        if TORCH_WHEELS.fullmatch(canonicalize_name(pin.name)):
            continue
        holds = [applies(pin, place) for place in places]
        if any(holds):
            marker = None if all(holds) else pin.marker
            kept.append(bare(pin, marker))
    return kept


def added(
    base: Iterable[Requirement], pins: Iterable[Requirement], lock: Lock
) -> list[Requirement]:
    """Return what `pins` add to `base`, on one target at least.

    Raises
    ------
    LockError
        If a package of both has another version, or is missing, on some target.
    """
    base, pins = list(base), list(pins)
    missing: set[str] = set()
    for place in targets(lock.platforms):
        below, above = versions(base, place), versions(pins, place)
        missing |= above.keys() - below.keys()
        differ = {name for name in below if above.get(name) != below[name]}
        if differ:
            name = min(differ)
            raise LockError(
                f"{lock.name}.txt would need {name} {above.get(name)} where "
                f"{lock.on_top_of}.txt has {below[name]} ({describe(place)})."
            )
    return [pin for pin in pins if canonicalize_name(pin.name) in missing]


def versions(pins: Iterable[Requirement], place: dict[str, str]) -> dict[str, str]:
    """Return name -> pinned version, as installed on one target."""
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if applies(pin, place)
    }


def targets(platforms: Iterable[str]) -> list[dict[str, str]]:
    """Return the marker environments of every Python and machine served."""
    served = set(platforms)
    return [
        default_environment()
        | {
            "python_version": python,
            "python_full_version": f"{python}.{patch}",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": system,
            "platform_machine": machine,
            "platform_system": {"linux": "Linux", "darwin": "Darwin"}.get(
                system, "Windows"
            ),
            "os_name": "nt" if system == "win32" else "posix",
        }
        for system, machine in PLATFORMS
        if system in served
        for python in PYTHONS
        for patch in (0, 99)
    ]


def applies(pin: Requirement, place: dict[str, str]) -> bool:
    """Say whether a pin is installed on one target."""
    return pin.marker is None or pin.marker.evaluate(place)


def describe(place: dict[str, str]) -> str:
    """Name a target in words."""
    return "Python {python_full_version} on {sys_platform} {platform_machine}".format(
        **place
    )


def bare(pin: Requirement, marker: Marker | None) -> Requirement:
    """Return a pin with another marker and no build tag such as `+cpu`."""
    line = f"{pin.name}{str(pin.specifier).split('+')[0]}"
    return Requirement(f"{line} ; {marker}" if marker else line)


def only_torch(pins: Iterable[Requirement]) -> Requirement:
    """Return torch's pin, without the flavor of the index uv happened to see."""
    found = {str(bare(pin, None)): pin for pin in pins if pin.name == "torch"}
    if len(found) != 1:
        raise LockError(f"one version of torch was expected, got {sorted(found)}.")
    return Requirement(next(iter(found)))


def group(root: Path, name: str) -> list[str]:
    """Return a dependency group's own lines (included groups are not followed)."""
    table = settings(root)["dependency-groups"]
    if name not in table:
        raise LockError(f"pyproject.toml has no dependency group '{name}'.")
    return [line for line in table[name] if isinstance(line, str)]


def overrides(root: Path) -> list[str]:
    """Return the overrides that pyproject.toml declares to the resolver."""
    return settings(root)["tool"]["uv"]["override-dependencies"]


def settings(root: Path) -> dict:
    """Read pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def render(header: str, pins: Iterable[Requirement]) -> str:
    """Return a lock file's text."""
    intro = f"{header}\nMade by `python3 noxfile.py -s lock`; do not edit by hand."
    comments = [f"# {line}" for line in intro.splitlines()]
    return "\n".join([*comments, *map(line_of, pins)]) + "\n"


def line_of(pin: Requirement) -> str:
    """Write a pin the way a person would read it."""
    line = f"{pin.name}{pin.specifier}"
    return f"{line} ; {pin.marker}" if pin.marker else line


def write(path: Path, text: str) -> None:
    """Write beside, then move into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


if __name__ == "__main__":
    sys.exit(main())
