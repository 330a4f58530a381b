"""The front door: every job of the handbook, one session each.

python3 noxfile.py -l          says what there is
python3 noxfile.py -s book     runs one session, here: build the site

Needs Python 3.11 or newer with venv, and git; nox itself is installed into `.nox/`
when it is missing. Environments live in `.nox/env/`, are made from the locks in
`.ci/locks/` with pip, and are made anew when a lock or the Python changes.
"""

import contextlib
import hashlib
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit(
        "The handbook needs Python 3.11 or newer, this is {}.{} ({}). "
        "Run it with a newer one, for example: python3.12 noxfile.py -s book".format(
            *sys.version_info[:2], sys.executable
        )
    )

ROOT = Path(__file__).resolve().parent
LOCKS = ROOT / ".ci" / "locks"
NOX = ROOT / ".nox"
BUILD = ROOT / "_build"
SITE = BUILD / "html"

# Environment -> its pip installs, in order. torch comes first and brings its own
# wheels; everything else is listed in full, so pip has nothing to decide.
KERNEL = (
    "-r torch.txt -c notebooks.txt",
    "--no-deps -r notebooks.txt -r test.txt",
)
ENVIRONMENTS = {
    "front": ("--no-deps -r front.txt",),
    "tools": ("--no-deps -r tools.txt",),
    "book": ("--no-deps -r book.txt",),
    "notebooks": KERNEL,
    "cuda": (*KERNEL, "--no-deps -r cuda.txt"),
    "bench": ("--no-deps -r bench.txt",),
    "lab": ("--no-deps -r lab.txt",),
    "trainer": ("--no-deps -r trainer.txt",),
    # The plugin declares Python 3.12 or newer and serves on 3.11: see verify/locks.py.
    "sandbox": ("--no-deps --ignore-requires-python -r sandbox.txt",),
    # What a stranger's workbench has: a kernel and torch. Downloads are proven on it.
    "workbench": ("-r torch.txt -c notebooks.txt", "ipykernel -c notebooks.txt"),
    "canary": (
        "sphinx sphinx-book-theme myst-nb sphinx-external-toc sphinx-design "
        "sphinx-copybutton sphinx-togglebutton sphinx-notfound-page linkify-it-py "
        "papermill jsonschema",  # no lock: the newest is what it is for
    ),
}

# Environment -> the one whose packages it sees too. It holds only what it adds, which
# takes 10 s and 150 MB instead of a minute and a gigabyte.
ON_TOP_OF = {"sandbox": "notebooks"}

# npm project -> what it is made of. The sandbox copies its programs itself.
NODE_PROJECTS = {
    "mdx-node": [ROOT / "verify" / "export" / "site"],
    "sandbox-node": sorted((ROOT / "verify" / "sandbox" / "node").glob("*.json")),
}
OLDEST_NODE = 20  # its major version

JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
CATALOG = ROOT / "notebooks" / "catalog.yml"
NEEDS_SANDBOX = re.compile(r"needs:[^#\n]*\bsandbox\b")
STRICT = ["-W", "-n", "--keep-going"]
SKIPPED = 77  # how verify says that all it was asked for was skipped
TOUR = "docs/reference/tour/*.ipynb"  # notebooks with stored outputs

# actionlint reads every workflow and gives its scripts to shellcheck; zizmor looks for
# what a workflow lets strangers do. Offline, because lint needs no network; pedantic
# asks for good manners too. Any finding is an error.
WORKFLOW_LINTERS = (
    ("actionlint",),
    ("zizmor", "--offline", "--no-progress", "-q", "--persona=pedantic", ".github"),
)

# What Jupyter Book adds to Sphinx and a plain Sphinx does without.
ONLY_IN_JUPYTER_BOOK = ["jupyter_book", "sphinx_thebe", "sphinx_comments"]


def environment(name: str) -> str:
    """Return the Python of an environment, made or made anew when needed."""
    home = NOX / "front" if name == "front" else NOX / "env" / name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, wanted = home / "made-from", digest(name)
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    say(f"making {home.relative_to(ROOT)} (once for these locks)")
    started = time.monotonic()
    shutil.rmtree(home, ignore_errors=True)
    make_venv(home)
    for arguments in ENVIRONMENTS[name]:
        pip(str(python), "install", arguments)
    if name in ON_TOP_OF:
        below = site_packages(environment(ON_TOP_OF[name]))
        (site_packages(str(python)) / "on-top-of.pth").write_text(f"{below}\n")
    stamp.write_text(wanted)  # last: an install that was killed is done again
    say(f"made {home.relative_to(ROOT)} in {time.monotonic() - started:.0f} s")
    return str(python)


def digest(name: str) -> str:
    """Return what an environment depends on: its locks, the Python, the place."""
    parts = [platform.python_version(), platform.machine(), str(ROOT)]
    if name in ON_TOP_OF:
        parts.append(digest(ON_TOP_OF[name]))
    for arguments in ENVIRONMENTS[name]:
        locks = [LOCKS / word for word in arguments.split() if word.endswith(".txt")]
        parts += [arguments, *(lock.read_text(encoding="utf-8") for lock in locks)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def site_packages(python: str) -> Path:
    """Return the folder that an environment's packages are in."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [python, "-c", code]
    return Path(subprocess.check_output(command, text=True).strip())


def make_venv(home: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "venv", str(home)], check=False)
    if done.returncode:
        sys.exit(
            f"Python's venv module could not make {home}. "
            "On Debian and Ubuntu: apt-get install python3-venv"
        )


def pip(python: str, verb: str, arguments: str) -> None:
    command = [python, "-m", "pip", verb, "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", *arguments.split()]
    with subprocess.Popen(command, cwd=LOCKS, stderr=subprocess.PIPE, text=True) as run:
        for line in run.stderr:
            # One such line per package and missing mirror folder; never an error.
            if not line.startswith("WARNING: Location 'file:"):
                sys.stderr.write(line)
    if run.returncode:
        sys.exit(
            f"pip {verb} {arguments!r} failed (exit {run.returncode}; its reason is "
            "above). Run the same command again: it starts anew."
        )


def say(text: str) -> None:
    print(f"handbook > {text}", flush=True)


try:
    from nox import main as nox_main
except ImportError:  # no nox, or one from before it could be run as a script
    if __name__ != "__main__" or Path(sys.prefix) == NOX / "front":
        raise
    inside = environment("front")
    again = [inside, str(ROOT / "noxfile.py"), *sys.argv[1:]]
    os.execv(inside, again)  # nosec B606 # this very file, in its own Python

import nox  # noqa: E402

# nox looks for uv even where it makes no environment; not finding it is no news here.
logging.getLogger("nox").addFilter(lambda said: "uv binary" not in str(said.msg))
nox.options.sessions = ["test", "book"]
nox.options.stop_on_first_error = True
job = nox.session(venv_backend="none")


@job
def test(session: nox.Session) -> None:
    """Run the whole test suite, a file per core. `-- ARGS` go to pytest."""
    more = {"LAB_PYTHON": environment("lab"), **sandbox_parts(session)}
    spread = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile"]
    arguments = ["-m", "pytest", *spread, *session.posargs]
    within(session, "notebooks", *arguments, **pythons(), **more)


@job
def book(session: nox.Session) -> None:
    """Run every changed notebook, build the site, check it. `-- --force` runs all."""
    with alone(session, BUILD / "book.lock"):
        run(session)
        sso(session)
        standalone(session)
        check_blocks(session)
        check_words(session)
        publish(session)


def publish(session: nox.Session) -> None:
    """Build all pages, check them in a browser, and move them to their place."""
    built = build_site(session)
    checks = ROOT / "tests" / "site" / "test_built_site.py"
    checked, now = BUILD / "checked", digest_of([built, checks])
    if checked.exists() and checked.read_text() == now:
        say("the pages are those that were checked before, by the same checks")
    else:
        path = str(checks.relative_to(ROOT))
        within(session, "notebooks", "-m", "pytest", "-q", path, SITE=str(built))
        checked.write_text(now)
    shutil.rmtree(SITE, ignore_errors=True)
    os.replace(built, SITE)
    say(f"the site is at {SITE / 'index.html'}")


@job
def run(session: nox.Session) -> None:
    """Run changed notebooks and judge them. `-- NAME` chooses, `-- --force` insists."""
    verify(session, "run", *session.posargs)


@job
def sso(session: nox.Session) -> None:
    """Run what tracks to MLflow behind sign-on, beside a sandbox. `-- NAME` chooses.

    A machine without Node.js skips this, and pages say so.
    """
    verify(session, "run", "--profile", "sso", *session.posargs)


@job
def standalone(session: nox.Session) -> None:
    """Run the downloads in an empty folder, without network. `-- NAME` chooses.

    Each runs twice, in a fresh workbench of its own that takes packages from a folder
    of wheels only. A machine that cannot cut the network skips this, and pages say so.
    """
    words = ("run", "--profile", "standalone", *session.posargs)
    verify(session, *words, WORKBENCH_PYTHON=environment("workbench"), WHEELS=wheels())


@job
def bundle(session: nox.Session) -> None:
    """Pack the built site and its downloads as one zip, for an air gap."""
    within(session, "book", "-m", "verify.standalone.bundle")


@job
def status(session: nox.Session) -> None:
    """Print what stands for each notebook and profile. Nothing is run."""
    verify(session, "status")


@job
def why(session: nox.Session) -> None:
    """Say what changed under a notebook since its last run. `-- NAME` names it."""
    verify(session, "why", *session.posargs)


@job
def keep(session: nox.Session) -> None:
    """Take runs into receipts/. `-- --profile cpu` takes their history alone."""
    verify(session, "keep", *session.posargs)


@job
def regen(session: nox.Session) -> None:
    """Run the API tour again and store what it prints. `-- -k NAME` chooses a page."""
    before = {path: path.read_bytes() for path in ROOT.glob(TOUR)}
    tour = "tests/golden/test_golden.py::test_a_tour_prints_what_it_printed"
    arguments = ["-q", "--nb-force-regen", tour, *session.posargs]
    within(session, "notebooks", "-m", "pytest", *arguments)
    changed = [path for path in before if path.read_bytes() != before[path]]
    for path in sorted(changed):
        say(f"rewrote {path.relative_to(ROOT)}: look at git diff before you commit it")
    if not changed:
        say("the API tour prints what it printed: no file has changed")


@job
def serve(session: nox.Session) -> None:
    """Show the built site at http://127.0.0.1:8000. `-- PORT` chooses another port."""
    if not (SITE / "index.html").exists():
        session.error("There is no built site yet: run python3 noxfile.py -s book")
    port = session.posargs or ["8000"]
    where = ["--bind", "127.0.0.1", "--directory", str(SITE)]
    session.run(sys.executable, "-m", "http.server", *where, *port, external=True)


@job
def bench(session: nox.Session) -> None:
    """Measure speed beside other tools. `-- --keep` for the page, `-- --notebooks`."""
    more = {**pythons(), **sandbox_parts(session)}
    within(session, "bench", "-m", "verify.bench", *session.posargs, **more)


@job
def lint(session: nox.Session) -> None:
    """Check style, spelling, safety, workflows; that notebooks hold no outputs."""
    within(session, "tools", "-m", "ruff", "check", ".")
    within(session, "tools", "-m", "ruff", "format", "--check", ".")
    within(session, "tools", "-m", "nbstripout", "--keep-id", "--verify", *notebooks())
    within(session, "tools", "-m", "codespell_lib")
    code = ("snippets", "verify", "noxfile.py")
    within(session, "tools", *BANDIT, "--configfile", "pyproject.toml", *code)
    within(session, "tools", *BANDIT, *ONLY_NO_SHELL, *SECRET_CODE)
    for command in WORKFLOW_LINTERS:
        tool(session, *command)
    if platform.machine() != "aarch64":  # shellcheck has no wheel there
        tool(session, "shellcheck", ".ci/run")


BANDIT = ("-m", "bandit", "--quiet", "--recursive")
# What handles passwords and tokens, and what bandit still may not say there: that a
# program is started, which it is without a shell.
SECRET_CODE = (
    "snippets/journal.py",
    "snippets/mlflow_auth",
    "verify/sandbox",
    "verify/smoke",
)
ONLY_NO_SHELL = ("--skip", "B404,B603,B607")


# Strict, because pip-audit else calls it a pass when it could ask nobody.
AUDIT = ("--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off")


@job
def audit(session: nox.Session) -> None:
    """Look up published weaknesses of every locked version. Asks the network."""
    files = [word for lock in sorted(LOCKS.glob("*.txt")) for word in ("-r", str(lock))]
    within(session, "tools", "-m", "pip_audit", *AUDIT, *files, *session.posargs)


@job
def blocks(session: nox.Session) -> None:
    """Check every code block of the book. `-- PAGES` chooses pages or folders."""
    check_blocks(session, *session.posargs)


@job
def words(session: nox.Session) -> None:
    """Check terms, links and image texts. `-- links --external` asks the network."""
    check_words(session, *session.posargs)


@job
def mdx(session: nox.Session) -> None:
    """Export the book as MDX, compile it for real, and build it with rspress.

    Without executed notebooks (`run` or `book` makes them) pages say so, and show code.
    """
    node, pages = node_modules(session, "mdx-node"), BUILD / "mdx"
    within(session, "book", "-m", "verify.export", str(pages))
    check_blocks(session, str(pages))
    site = {
        "HANDBOOK_MDX_PAGES": str(pages),
        "HANDBOOK_MDX_SITE": str(BUILD / "mdx-site"),
    }
    with session.chdir(node):
        session.run("node", "compile.mjs", str(pages), external=True)
        session.run("npx", "rspress", "build", env=site, external=True)
    say(f"the exported pages are in {pages}, their site is in {BUILD / 'mdx-site'}")


@job
def covered(session: nox.Session) -> None:
    """Measure which tests run the shown code. `-- --changed`: only what changed."""
    within(session, "notebooks", "-m", "verify.covered", *session.posargs)


@job
def reference(session: nox.Session) -> None:
    """Ask the libraries what they do with each parameter. `-- --check` compares."""
    within(session, "notebooks", "-m", "verify.reference", *session.posargs)


@job
def tidy(session: nox.Session) -> None:
    """Put code and notebooks in the shape that lint asks for."""
    within(session, "tools", "-m", "ruff", "check", "--fix", ".")
    within(session, "tools", "-m", "ruff", "format", ".")
    within(session, "tools", "-m", "nbstripout", "--keep-id", *notebooks())


@job
def lock(session: nox.Session) -> None:
    """Make the locks from pyproject.toml. `-- --upgrade` moves unpinned packages."""
    within(session, "tools", "-m", "verify.locks", *session.posargs)


@job
def sandbox(session: nox.Session) -> None:
    """Start MLflow behind sign-on, here. `-- up|down|status|env USER`, no root."""
    parts = {"SANDBOX_PYTHON": environment("sandbox")}
    parts["SANDBOX_NODE"] = str(node_modules(session, "sandbox-node"))
    words = session.posargs or ["status"]
    within(session, "notebooks", "-m", "verify.sandbox", *words, **parts)


@job
def rebuild(session: nox.Session) -> None:
    """Make the tiny base checkpoint from its script and compare it with the shipped."""
    fresh = BUILD / "tiny-base"
    shutil.rmtree(fresh, ignore_errors=True)
    within(session, "notebooks", "-m", "snippets.tiny", "--out", str(fresh), "--check")


@job
def gpu(session: nox.Session) -> None:
    """Run the notebooks on this machine's CUDA devices. `-- ARGS` go to verify."""
    arguments = ["run", "--profile", "cuda", *session.posargs]
    within(session, "cuda", "-m", "verify", *arguments)  # all skipped is a failure here


@job
def canary(session: nox.Session) -> None:
    """Build the pages on the newest plain Sphinx, to know that leaving stays easy."""
    (NOX / "env" / "canary" / "made-from").unlink(missing_ok=True)
    conf = ROOT / "conf.py"
    toc = str(ROOT / "docs" / "_toc.yml")
    inputs = [".", "--config", "book.yml", "--toc", toc]
    try:
        within(session, "book", "-c", JUPYTER_BOOK, "config", "sphinx", *inputs)
        with conf.open("a", encoding="utf-8") as file:
            kept = f"[x for x in extensions if x not in {ONLY_IN_JUPYTER_BOOK}]"
            file.write(f"extensions = {kept}\n")
        out = BUILD / "canary"
        shutil.rmtree(out, ignore_errors=True)
        within(session, "canary", "-m", "sphinx", *STRICT, ".", str(out))
    finally:
        conf.unlink(missing_ok=True)


def verify(session: nox.Session, *words: str, **handbook: str) -> None:
    """Run a command of verify. Its exit code 77, all skipped, is no failure here."""
    codes = [0, SKIPPED]
    if words[0] == "run" and NEEDS_SANDBOX.search(CATALOG.read_text(encoding="utf-8")):
        handbook |= sandbox_parts(session)
    within(
        session, "notebooks", "-m", "verify", *words, success_codes=codes, **handbook
    )


def wheels() -> str:
    """Return the folder of wheels that standalone copies install from.

    It holds what a reader behind an air gap mirrors: the packages of notebooks.txt,
    from pip's own cache where they are in it, and the wheels that the handbook makes.
    """
    python, folder = environment("notebooks"), NOX / "wheels"
    stamp, wanted = folder / "made-from", digest("notebooks")
    if not (stamp.exists() and stamp.read_text() == wanted):
        say(f"making {folder.relative_to(ROOT)} (once for these locks)")
        shutil.rmtree(folder, ignore_errors=True)
        pip(python, "wheel", f"--no-deps -w {folder} -r notebooks.txt")
        stamp.write_text(wanted)
    made = [python, "-m", "verify.standalone.wheels", str(folder)]
    subprocess.run(made, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return str(folder)


def check_blocks(session: nox.Session, *pages: str) -> None:
    """Check code blocks; all of them leave `_build/blocks.json` for the pages."""
    chosen = pages or ("--json", str(BUILD / "blocks.json"))
    within(session, "tools", "-m", "verify.blocks", *chosen, **pythons())


def check_words(session: nox.Session, *words: str) -> None:
    """Check what the pages say, beside their code."""
    within(session, "tools", "-m", "verify.words", *words)


def node_modules(session: nox.Session, name: str) -> Path:
    """Return an npm project of the handbook, installed from its lock."""
    home, lacks = NOX / "env" / name, install_node_modules(name)
    if lacks:
        session.error(lacks)
    return home


def install_node_modules(name: str) -> str:
    """Install an npm project when it changed; return what is missing for that."""
    if lacks := lacks_node():
        return lacks
    sources, home = NODE_PROJECTS[name], NOX / "env" / name
    wanted, stamp = digest_of(sources), home / "made-from"
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    say(f"making {home.relative_to(ROOT)} (once for its lock)")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for source in sources:
        if source.is_dir():
            shutil.copytree(source, home, dirs_exist_ok=True)
        else:
            shutil.copy(source, home)
    # Not `npm ci`: it insists on programs for every platform, and not each registry
    # offers them all. The versions are the lock's either way.
    command = "npm install --no-save --no-audit --no-fund --loglevel=error".split()
    if subprocess.run(command, cwd=home, check=False).returncode:
        return f"npm could not install {name} (its reason is above)."
    stamp.write_text(wanted)
    return ""


def lacks_node() -> str:
    """Say what is missing of Node.js, or nothing."""
    if not (shutil.which("node") and shutil.which("npm")):
        return f"node and npm are missing: install Node.js {OLDEST_NODE} or newer."
    found = subprocess.check_output(["node", "--version"], text=True).strip()
    if int(re.match(r"v(\d+)", found)[1]) < OLDEST_NODE:
        return f"Node.js {found} is too old: install {OLDEST_NODE} or newer."
    return ""


def sandbox_parts(session: nox.Session) -> dict[str, str]:
    """Return where the sandbox's programs are; nothing on a machine without Node.js.

    Tests and runs that need the sandbox then skip, and say why.
    """
    if lacks := install_node_modules("sandbox-node"):
        say(f"what needs the sandbox is skipped: {lacks}")
        return {}
    home = NOX / "env" / "sandbox-node"
    return {"SANDBOX_PYTHON": environment("sandbox"), "SANDBOX_NODE": str(home)}


def pythons() -> dict[str, str]:
    """Return the Pythons that a program asks to run another by, as *_PYTHON."""
    names = ("book", "notebooks", "tools", "trainer")
    return {f"{name.upper()}_PYTHON": environment(name) for name in names}


@contextlib.contextmanager
def alone(session: nox.Session, lock: Path) -> Iterator[None]:
    """Keep two commands from building in the same folders at once."""
    import fcntl

    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            session.error("Another command builds this book right now: wait for it.")
        yield


def tool(session: nox.Session, name: str, *arguments: str) -> None:
    """Run a program of the tools environment, which finds its helpers there too."""
    folder = str(Path(environment("tools")).parent)
    env = {"PATH": os.pathsep.join([folder, os.environ.get("PATH", "")])}
    program = shutil.which(name, path=folder) or name
    session.run(program, *arguments, env=env, external=True)


def within(
    session: nox.Session,
    name: str,
    *arguments: str,
    success_codes: Iterable[int] = (0,),
    **handbook: str,
) -> None:
    """Run an environment's Python; `handbook` becomes HANDBOOK_* variables."""
    env = {
        "OMP_NUM_THREADS": "1",  # more threads are 3 to 34 times slower on a busy box
        "PYTHONPATH": str(ROOT),
        "PYTHONNOUSERSITE": "1",
        **{f"HANDBOOK_{key}": value for key, value in handbook.items()},
    }
    session.run(
        environment(name),
        *arguments,
        env=env,
        external=True,
        success_codes=success_codes,
    )


def build_site(session: nox.Session) -> Path:
    """Build all pages beside the old site and return where they are.

    Always from nothing (3 to 4 s): a warning must fail every build, not only the one
    that first read the page.
    """
    stage = BUILD / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    inputs = ["--config", "book.yml", "--toc", "docs/_toc.yml"]
    where = [".", "--path-output", str(stage)]
    within(session, "book", "-c", JUPYTER_BOOK, "build", *where, *inputs, *STRICT)
    return stage / "_build" / "html"


def digest_of(places: list[Path]) -> str:
    """Return one digest of files and of everything below folders."""
    whole = hashlib.sha256()
    for place in places:
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in filter(Path.is_file, files):
            name = str(file.relative_to(place.parent)).encode()
            whole.update(name + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def notebooks() -> list[str]:
    """Return the source notebooks, as paths below the root."""
    return sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("notebooks/*.ipynb"))


if __name__ == "__main__":
    sys.argv[1:1] = ["--noxfile", str(ROOT / "noxfile.py")]
    nox_main()
