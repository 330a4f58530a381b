"""The locks must install what was proven, everywhere, and nothing that breaks it."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from verify import locks

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".ci" / "locks").glob("*.txt"))
BY_NAME = {lock.name: lock for lock in locks.PLAN}
GROUPS = ["notebooks", "cuda", "test", "sandbox", "book", "bench", "lab", "tools"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> list[Requirement]:
    return locks.parse((ROOT / ".ci" / "locks" / f"{name}.txt").read_text())


def names(name: str) -> set[str]:
    return {canonicalize_name(pin.name) for pin in pins(name)}


def asked(group: str) -> list[Requirement]:
    lines = PYPROJECT["dependency-groups"][group]
    return [Requirement(line) for line in lines if isinstance(line, str)]


def installed_with(group: str) -> list[Requirement]:
    base = ["notebooks"] if group in ("test", "cuda", "sandbox") else []
    return [*pins("torch"), *(pin for name in [*base, group] for pin in pins(name))]


def test_every_lock_is_planned_and_every_planned_lock_exists():
    assert {file.stem for file in FILES} == {*BY_NAME, "torch"}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("place", locks.targets(["linux"]), ids=locks.describe)
def test_a_lock_holds_everything_its_group_asks_for(group, place):
    found = locks.versions(installed_with(group), place)
    for requirement in (line for line in asked(group) if locks.applies(line, place)):
        version = found.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is in no lock"
        assert requirement.specifier.contains(version), f"{requirement}, not {version}"


@pytest.mark.parametrize("name", BY_NAME)
def test_a_committed_lock_is_what_the_lock_session_writes(name):
    lock = BY_NAME[name]
    text = (ROOT / ".ci" / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    kept = locks.installable(locks.parse(text), lock.platforms)
    assert locks.render(lock.header, kept) == text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_lock_pins_one_version_per_target_and_names_no_index(file):
    requirements = locks.parse(file.read_text(encoding="utf-8"))
    assert requirements, f"{file.name} is empty"
    for pin in requirements:
        assert pin.url is None, pin
        assert re.fullmatch(r"==[^,*+]+", str(pin.specifier)), pin
    for place in locks.targets(["linux", "darwin", "win32"]):
        here = [
            canonicalize_name(p.name) for p in requirements if locks.applies(p, place)
        ]
        assert len(here) == len(set(here)), locks.describe(place)
    code = [line for line in file.read_text().splitlines() if line[:1] not in "#"]
    assert not [line for line in code if "://" in line or line.startswith(("-", "/"))]


def test_the_list_with_hashes_is_the_notebooks_lock_with_hashes():
    text = (ROOT / ".ci" / "locks" / "hashed" / "notebooks.txt").read_text("utf-8")
    lines = [x for x in text.replace("\\\n", " ").splitlines() if x[:1] != "#"]
    found = {str(Requirement(line.split(" --hash")[0])) for line in lines}
    assert found == {str(Requirement(str(pin))) for pin in pins("notebooks")}
    assert all(" --hash=sha256:" in line for line in lines)
    assert "://" not in text


def test_the_notebooks_lock_leaves_torch_to_its_own_file():
    assert names("torch") == {"torch"}
    unwanted = {"torch", "timm", "torchvision", "attr", "triton"} & names("notebooks")
    wheels = {
        name for name in names("notebooks") if name.startswith(("nvidia", "cuda"))
    }
    assert unwanted | wheels == set()


def test_the_cuda_lock_only_adds_to_the_notebooks_lock():
    assert names("cuda") & (names("notebooks") | {"torch", "timm", "attr"}) == set()
    assert {"unsloth", "unsloth-zoo", "torchvision"} <= names("cuda")


@pytest.mark.parametrize("place", locks.targets(["linux"]), ids=locks.describe)
def test_the_bench_runs_on_the_versions_of_the_notebooks(place):
    bench, kernel = (locks.versions(pins(n), place) for n in ("bench", "notebooks"))
    both = bench.keys() & kernel.keys()
    assert {"papermill", "nbclient", "ipykernel", "psutil"} <= both
    assert {n: bench[n] for n in both} == {n: kernel[n] for n in both}
    assert "torch" not in bench


def test_what_one_lock_adds_may_not_contradict_the_lock_below():
    below = [Requirement("numpy==2.4.6"), Requirement("six==1.17.0")]
    above = [Requirement("numpy==2.4.5"), Requirement("six==1.17.0")]
    with pytest.raises(locks.LockError, match=r"numpy 2\.4\.5 where notebooks\.txt"):
        locks.added(below, above, BY_NAME["cuda"])


@pytest.mark.parametrize("place", locks.targets(["linux"]), ids=locks.describe)
def test_the_sandbox_lock_only_adds_the_plugin_on_every_python(place):
    added = locks.versions(pins("sandbox"), place)
    assert {"mlflow-kubernetes-plugins", "kubernetes"} <= added.keys()
    assert added.keys() & (names("notebooks") | {"torch", "mlflow"}) == set()


def test_a_package_that_goes_missing_above_is_a_contradiction_too():
    below = [Requirement("six==1.17.0")]
    with pytest.raises(locks.LockError, match="six None"):
        locks.added(below, [], BY_NAME["cuda"])


def test_a_package_the_lock_below_has_on_windows_only_is_added_for_linux():
    below = locks.parse('colorama==0.4.6 ; sys_platform == "win32"')
    above = locks.parse("colorama==0.4.6\npytest==9.2.0")
    plan = next(lock for lock in locks.PLAN if lock.name == "test")
    added = {pin.name for pin in locks.added(below, above, plan)}
    assert added == {"colorama", "pytest"}


def test_post_processing_drops_wheels_of_torch_and_what_nobody_installs():
    answer = [
        "torch==2.13.0+cpu ; sys_platform == 'linux'",
        "nvidia-cublas==13.1 ; sys_platform == 'linux'",
        "triton==3.7.1",
        "timm==1.0.31 ; sys_platform == 'never'",
        "cffi==2.1.1 ; platform_python_implementation != 'PyPy'",
        "numpy==2.4.6 ; python_full_version < '3.12'",
        "soupsieve==4.1.2 ; python_full_version == '3.11.7'",
        "pywin32==312 ; sys_platform == 'win32'",
        "torchmetrics==1.9",
    ]
    kept = locks.installable(map(Requirement, answer), ["linux"])
    assert [locks.line_of(pin) for pin in kept] == [
        "cffi==2.1.1",
        'numpy==2.4.6 ; python_full_version < "3.12"',
        "torchmetrics==1.9",
    ]


def test_torch_is_locked_without_the_flavor_the_resolver_saw():
    answer = ["torch==2.13.0 ; sys_platform == 'darwin'", "torch==2.13.0+cpu"]
    assert str(locks.only_torch(map(Requirement, answer))) == "torch==2.13.0"
    with pytest.raises(locks.LockError, match="one version of torch"):
        locks.only_torch(map(Requirement, ["torch==2.13.0", "torch==2.15.0"]))


def test_a_lock_is_written_beside_and_moved(tmp_path):
    locks.write(tmp_path / "new" / "x.txt", "six==1.17.0\n")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["x.txt"]


def test_every_pin_in_pyproject_has_its_reason_beside_it():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if re.match(r'\s+"[^"]+(==|;)[^"]*",', line)]
    assert len(pinned) >= 10
    assert [line for line in pinned if not re.search(r'",\s+# \S+ \w+', line)] == []


def test_every_floor_is_at_most_what_is_locked_and_has_its_reason_beside_it():
    locked = {canonicalize_name(pin.name): pin for pin in pins("notebooks")}
    low = locks.floors(ROOT)
    newer = [
        name
        for name, version in low.items()
        if not Requirement(f"{name}>={version}").specifier.contains(
            str(locked[name].specifier).removeprefix("==")
        )
    ]
    assert newer == []
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.split("[tool.handbook.oldest]")[1].split("\n\n")[0]
    reasons = re.findall(r'^([\w-]+) = "[\d.]+" +# \S+ \w+', table, re.MULTILINE)
    assert set(reasons) == set(low)


def test_floors_take_the_place_of_pins_and_of_overrides():
    lines = [
        "torch==2.13.0",
        "datasets==4.8.5",
        "papermill",
        "attr ; sys_platform == 'n'",
    ]
    low = {"datasets": "4.0.0", "papermill": "2.4.0"}
    assert locks.lowered(lines, low) == [
        "torch==2.13.0",
        "datasets==4.0.0",
        "papermill==2.4.0",
        "attr ; sys_platform == 'n'",
    ]


@pytest.mark.parametrize("table", ["", '[tool.handbook.oldest]\nnumpi = "1.0"\n'])
def test_a_floor_of_nothing_that_is_asked_for_is_refused(tmp_path, table):
    groups = '[dependency-groups]\nnotebooks = ["numpy"]\ntest = ["pytest"]\n'
    (tmp_path / "pyproject.toml").write_text(groups + table)
    with pytest.raises(
        locks.LockError, match=r"must give floors .* has (none|.'numpi)"
    ):
        locks.floors(tmp_path)


def test_the_newest_and_the_oldest_versions_exclude_each_other(capsys):
    assert locks.main(["--newest", "--oldest"]) == 1
    assert "exclude each other" in capsys.readouterr().err


def test_these_tests_run_on_the_locked_versions():
    place = {**locks.default_environment()}
    locked = locks.versions([*pins("notebooks"), *pins("test"), *pins("torch")], place)
    differ = {}
    for name, version in locked.items():
        found = metadata.version(name).split("+")[0]
        if found != version:
            differ[name] = (version, found)
    assert differ == {}


def test_only_the_three_known_needs_are_unmet():
    """What `pip check` would say, without the seconds it takes."""
    unmet = set()
    for package in metadata.distributions():
        for line in package.requires or []:
            need = Requirement(line)
            if need.marker and not need.marker.evaluate({"extra": ""}):
                continue
            try:
                version = metadata.version(need.name)
            except metadata.PackageNotFoundError:
                unmet.add(need.name)
                continue
            if not need.specifier.contains(version, prereleases=True):
                unmet.add(need.name)
    assert unmet == {"attr", "timm", "datasets"}
