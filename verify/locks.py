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
REQUIRES = "requires.yml"

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
    """One lock file: what it resolves, what it builds on, what its header says.

    `on_top_of` names the lock it only adds to, `agrees_with` one it takes versions of.
    `any_python` names packages that serve on every Python here, whatever they declare.
    """

    name: str
    groups: tuple[str, ...]
    header: str
    on_top_of: str | None = None
    agrees_with: str | None = None
    platforms: tuple[str, ...] = ("linux", "darwin", "win32")
    any_python: tuple[str, ...] = ()


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
        "sandbox",
        ("notebooks", "sandbox"),
        """\
What the sandbox's MLflow server adds to notebooks.txt: the plugin that asks Kubernetes
who may do what. It stays out of the notebooks' environment, which is a client's.
  pip install --no-deps --ignore-requires-python -r .ci/locks/sandbox.txt
It declares Python 3.12 or newer; tests/sandbox proves that it serves on 3.11.""",
        on_top_of="notebooks",
        any_python=("mlflow-kubernetes-plugins",),
    ),
    Lock(
        "book",
        ("book",),
        """\
The environment that builds the site: Jupyter Book, no torch.
  pip install --no-deps -r .ci/locks/book.txt""",
    ),
    Lock(
        "bench",
        ("bench",),
        """\
The environment of the speed bench: what `verify run` needs, in the versions of
notebooks.txt, and the tools it is held against. No torch.
  pip install --no-deps -r .ci/locks/bench.txt""",
        agrees_with="notebooks",
    ),
    Lock(
        "lab",
        ("lab",),
        """\
The JupyterLab that opens downloads in tests, and nbconvert; what speaks to the kernel
is in the versions of notebooks.txt. No torch.
  pip install --no-deps -r .ci/locks/lab.txt""",
        agrees_with="notebooks",
    ),
    Lock(
        "tools",
        ("tools",),
        """\
Linters, and the resolver that makes these locks.
  pip install --no-deps -r .ci/locks/tools.txt""",
    ),
    Lock(
        "trainer",
        ("trainer",),
        """\
The models of the Trainer that the platform ships: manifests in guides are held against
them, and against the newest ones of tools.txt.
  pip install --no-deps -r .ci/locks/trainer.txt""",
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

HASHED = "hashed/notebooks"
HASHED_HEADER = """\
notebooks.txt with the SHA-256 of every file that the index has of a version: pip then
refuses any other, from a mirror for one. torch is left to torch.txt, since each flavor
of it is another file.
  pip install --no-deps --require-hashes -r .ci/locks/hashed/notebooks.txt"""

REQUIRES_HEADER = """\
Which package of notebooks.txt asks for which. A run rests on the versions of all that
its notebook imports and of what those ask for; see verify/versions.py."""


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
    parser.add_argument(
        "--oldest",
        action="store_true",
        help="take the floors of [tool.handbook.oldest]; for the nightly job",
    )
    options = parser.parse_args(arguments)
    try:
        files = chosen(options)
    except LockError as error:
        print(f"The locks were left as they are: {error}", file=sys.stderr)
        return 1
    for name, text in files.items():
        path = LOCKS / (name if name == REQUIRES else f"{name}.txt")
        write(ROOT / path, text)
        print(f"{path}: {text.count('==') or 'no'} pins")
    return 0


def chosen(options: argparse.Namespace) -> dict[str, str]:
    """Return the text of the locks that the command line asks for."""
    if options.newest and options.oldest:
        raise LockError("--newest and --oldest exclude each other; choose one.")
    if options.newest:
        return newest(ROOT)
    return oldest(ROOT) if options.oldest else locked(ROOT, options.upgrade)


def locked(root: Path, upgrade: bool = False) -> dict[str, str]:
    """Return the text of every lock, keeping today's pins unless `upgrade`."""
    files: dict[str, str] = {}
    pins: dict[str, list[Requirement]] = {}
    for lock in PLAN:
        base = lock.on_top_of or lock.agrees_with or ""
        answer = resolve(root, lock, held=pins.get(base, []), upgrade=upgrade)
        if lock.name == "notebooks":
            files["torch"] = render(TORCH_HEADER, [only_torch(answer)])
            files[REQUIRES] = requires(answer)
        kept = installable(answer, lock.platforms)
        if lock.on_top_of:
            kept = added(pins[lock.on_top_of], kept, lock)
        kept = [bare(pin, None) if pin.name in lock.any_python else pin for pin in kept]
        pins[lock.name] = kept
        files[lock.name] = render(lock.header, kept)
    return files | {HASHED: hashed(files["notebooks"])}


def hashed(lock: str) -> str:
    """Return a lock's text with the sha256 of each file that the index has of a pin."""
    import uv

    with tempfile.TemporaryDirectory() as folder:
        (given := Path(folder, "lock.txt")).write_text(lock, encoding="utf-8")
        command = [uv.find_uv_bin(), "pip", "compile", "--quiet", "--universal"]
        command += ["--python-version", PYTHONS[0], "--no-header", "--no-annotate"]
        command += ["--no-config", "--no-deps", "--generate-hashes", str(given)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise LockError(f"uv found no hashes.\n{done.stderr.strip()}")
    return "\n".join(commented(HASHED_HEADER)) + "\n" + done.stdout


def newest(root: Path) -> dict[str, str]:
    """Return the notebooks' locks with every pin of pyproject.toml let go."""
    names = sorted({Requirement(line).name for line in asked(root)})
    never = [line for line in overrides(root) if "never" in line]
    header = "The newest versions that resolve together. Not for committing."
    return together(names, never, header)


def oldest(root: Path) -> dict[str, str]:
    """Return the notebooks' locks with the oldest libraries that are supported.

    The floors of pyproject.toml take the place of the pins; whatever they do not touch
    stays as it is locked, so that a failure is a floor's.
    """
    low = floors(root)
    committed = [root / LOCKS / f"{name}.txt" for name in ("notebooks", "test")]
    pins = parse("\n".join(file.read_text(encoding="utf-8") for file in committed))
    known = [line_of(pin) for pin in pins if canonicalize_name(pin.name) not in low]
    header = "The oldest versions that pyproject.toml supports. Not for committing."
    wanted = lowered(asked(root), low)
    return together(wanted, lowered(overrides(root), low), header, "\n".join(known))


def floors(root: Path) -> dict[str, str]:
    """Return the oldest supported version of each library that has a floor."""
    table = settings(root).get("tool", {}).get("handbook", {}).get("oldest", {})
    low = {canonicalize_name(name): version for name, version in table.items()}
    named = {canonicalize_name(Requirement(line).name) for line in asked(root)}
    if not low or low.keys() - named:
        raise LockError(
            "[tool.handbook.oldest] in pyproject.toml must give floors of packages "
            f"that the notebooks or tests ask for, and has {sorted(low) or 'none'}."
        )
    return low


def lowered(lines: Iterable[str], low: dict[str, str]) -> list[str]:
    """Return requirement lines with each floor in the place of what was asked."""
    names = {line: canonicalize_name(Requirement(line).name) for line in lines}
    return [
        f"{name}=={low[name]}" if name in low else line for line, name in names.items()
    ]


def together(
    wanted: Iterable[str], override: Iterable[str], header: str, known: str = ""
) -> dict[str, str]:
    """Resolve the kernel's and the tests' packages at once, as unusual locks."""
    with tempfile.TemporaryDirectory() as folder:
        (asked_for := Path(folder, "wanted.in")).write_text("\n".join(wanted))
        (forced := Path(folder, "override.in")).write_text("\n".join(override))
        arguments = ["--no-config", "--override", str(forced), str(asked_for)]
        answer = compiled(folder, arguments, known)
    return {
        "torch": render(header, [only_torch(answer)]),
        "notebooks": render(header, installable(answer, PLAN[0].platforms)),
        REQUIRES: requires(answer),
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
    command += ["--python-version", PYTHONS[0], "--no-header"]
    command += ["--annotation-style", "line"]
    with tempfile.TemporaryDirectory() as beside:
        (answer := Path(beside, "answer.txt")).write_text(known, encoding="utf-8")
        command += ["--output-file", str(answer), *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise LockError(f"uv found no set of versions.\n{done.stderr.strip()}")
        return parse(answer.read_text(encoding="utf-8"))


class Pin(Requirement):
    """A pinned requirement, and the packages that asked for it, where uv told."""

    via: frozenset[str] = frozenset()


def parse(text: str) -> list[Pin]:
    """Read requirements, one a line, skipping comments and blank lines."""
    pins = []
    for line in text.splitlines():
        wanted, _, note = line.partition("#")
        if wanted.strip():
            pin = Pin(wanted.strip())
            parents = re.sub(r"\([^)]*\)", "", note.removeprefix(" via")).split(",")
            pin.via = frozenset(canonicalize_name(p.strip()) for p in parents)
            pins.append(pin)
    return pins


def requires(pins: Iterable[Pin]) -> str:
    """Return the text of requires.yml: what each package asks for, one a line.

    What no platform installs is left out, and so is who is no package: the project
    itself and the resolver's options.
    """
    pins = [pin for pin in pins if "never" not in str(pin.marker)]
    names = {canonicalize_name(pin.name) for pin in pins}
    rows: dict[str, set[str]] = {}
    for pin in pins:
        for parent in pin.via & names:
            rows.setdefault(parent, set()).add(canonicalize_name(pin.name))
    lines = [f"{name}: {' '.join(sorted(rows[name]))}" for name in sorted(rows)]
    return "\n".join([*commented(REQUIRES_HEADER), *lines]) + "\n"


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


def asked(root: Path) -> list[str]:
    """Return what the notebooks and their tests ask for."""
    return [*group(root, "notebooks"), *group(root, "test")]


def overrides(root: Path) -> list[str]:
    """Return the overrides that pyproject.toml declares to the resolver."""
    return settings(root)["tool"]["uv"]["override-dependencies"]


def settings(root: Path) -> dict:
    """Read pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def render(header: str, pins: Iterable[Requirement]) -> str:
    """Return a lock file's text."""
    return "\n".join([*commented(header), *map(line_of, pins)]) + "\n"


def commented(header: str) -> list[str]:
    """Return a header as comment lines, with who made the file."""
    intro = f"{header}\nMade by `python3 noxfile.py -s lock`; do not edit by hand."
    return [f"# {line}" for line in intro.splitlines()]


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
