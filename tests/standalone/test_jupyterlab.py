"""A real JupyterLab opens each download in a real browser, and Run All runs all."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from verify import catalog, outcomes
from verify.standalone import wheels

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600  # seconds in which something must happen, on a machine that is busy
QUIET = {"fetchNews": "false", "checkForUpdates": False}
SETTINGS = "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
OPTIONS = (
    "--no-browser",
    "--allow-root",
    "--expose-app-in-browser",  # so that a test can read which cell runs
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--LabApp.extension_manager=readonly",  # the other one asks PyPI
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .map(cell => cell.model).filter(model => model.type === "code")
  .map(model => ({
    id: model.id,
    ran: model.executionCount !== null && model.executionState !== "running",
    failed: model.outputs.toJSON().some(output => output.output_type === "error"),
  }))"""
SCROLL = """id => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const place = notebook.widgets.findIndex(cell => cell.model.id === id);
  notebook.scrollToItem(place, "start");
  return place;
}"""
READY = """() => {
  const open = window.jupyterapp?.shell.currentWidget;
  const kernel = open?.context?.isReady && open.sessionContext.session?.kernel;
  return kernel?.status === "idle";
}"""
SAVED = "() => !window.jupyterapp.shell.currentWidget.context.model.dirty"


@dataclass
class Lab:
    """A JupyterLab server, and a browser window that looks at it.

    Attributes
    ----------
    root : Path
        The folder that it serves.
    temporary : Path
        Where its kernels put temporary files.
    said : list of str
        Errors of the page and of its console.
    asked : list of str
        Every address that the page asked for.
    """

    root: Path
    temporary: Path
    address: str
    token: str
    log: Path
    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Write down what the page asks for and complains of."""
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda opened: self.asked.append(opened.url))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on(
            "console",
            lambda line: line.type == "error" and self.said.append(line.text),
        )

    def open(self, folder: Path, name: str) -> None:
        """Open a notebook, and wait until its kernel is ready."""
        path = quote(f"{folder.relative_to(self.root).as_posix()}/{name}")
        self.page.goto(f"{self.address}/lab/tree/{path}?token={self.token}&reset")
        self.page.wait_for_function(READY)

    def choose(self, *names: str) -> None:
        """Choose from the menu bar, as a reader does."""
        for kind, name in zip(["MenuBar", *["Menu"] * len(names)], names, strict=False):
            self.page.locator(f'.lm-{kind}-itemLabel:text-is("{name}")').click()

    def cell(self, cell_id: str) -> Any:
        """Scroll to a cell and return it."""
        place = self.page.evaluate(SCROLL, cell_id)
        assert place >= 0, f"no cell {cell_id!r}"
        found = self.page.locator(f'.jp-Cell[data-windowed-list-index="{place}"]')
        found.wait_for()
        return found

    def ran(self, last: str) -> list[str]:
        """Wait until the code cells up to `last` have run; return those that failed."""
        seen, since = -1, time.monotonic()
        while True:
            cells = self.page.evaluate(CELLS)
            wanted = cells[: [cell["id"] for cell in cells].index(last) + 1]
            if failed := [cell["id"] for cell in wanted if cell["failed"]]:
                return failed
            if (done := sum(cell["ran"] for cell in wanted)) == len(wanted):
                self.page.wait_for_function(READY)
                return []
            if done != seen:
                seen, since = done, time.monotonic()
                print(f"{done} of {len(wanted)} code cells ran", flush=True)
            now = next(cell["id"] for cell in wanted if not cell["ran"])
            waited = time.monotonic() - since
            assert waited < PATIENCE, (
                f"cell {now!r} did not end; {self.log.read_text()}"
            )
            self.page.wait_for_timeout(500)

    def saved(self, file: Path) -> dict[str, Any]:
        """Save the notebook through the menu and read the file."""
        self.choose("File", "Save Notebook")
        self.page.wait_for_function(SAVED)
        return json.loads(file.read_text(encoding="utf-8"))

    def outside(self) -> list[str]:
        """Return the addresses that the page asked for beside those of the server."""
        own, inside = urlsplit(self.address).netloc, ("data", "blob")
        parts = [(urlsplit(url), url) for url in self.asked]
        return [u for p, u in parts if p.netloc != own and p.scheme not in inside]


@pytest.fixture(scope="module")
def server(lab_python, kernel_python, stranger_at, tmp_path_factory):
    """Start a JupyterLab of its own, with its own folders, and the kernel's Python."""
    home = tmp_path_factory.mktemp("lab")
    (root := home / "work").mkdir()
    kernel = home / "share" / "kernels" / "python3" / "kernel.json"
    start = [kernel_python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "Python 3", "language": "python"}
    settings = home / "settings" / SETTINGS
    for file, content in ((kernel, spec), (settings, QUIET)):
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(content), encoding="utf-8")
    env = {
        **stranger_at(home),
        "JUPYTER_PATH": str(home / "share"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_TOKEN": secrets.token_hex(16),
    }
    port, log = free_port(), home / "server.log"
    options = [*OPTIONS, f"--ServerApp.port={port}", f"--ServerApp.root_dir={root}"]
    command = [lab_python, "-m", "jupyterlab", *options]
    with running(command, env, root, log) as process:
        address = f"http://127.0.0.1:{port}"
        answered(f"{address}/api", process, log)
        place = Path(env["TMPDIR"])
        yield Lab(root, place, address, env["JUPYTER_TOKEN"], log, page=None)


@pytest.fixture
def lab(server, browser) -> Iterator[Lab]:
    """Open a fresh window onto the server."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE * 1000)
    opened = Lab(**{**vars(server), "page": page, "said": [], "asked": []})
    opened.watch()
    yield opened
    page.close()


@contextlib.contextmanager
def running(
    command: list[str], env: dict[str, str], folder: Path, log: Path
) -> Iterator[subprocess.Popen]:
    """Run a server; ending it ends its kernels."""
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, env=env, cwd=folder, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:  # it hangs when it just starts a kernel
                process.kill()  # and then its kernels end by themselves
                process.wait()


def answered(address: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + PATIENCE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until and process.poll() is None:
        try:
            with opener.open(address, timeout=PATIENCE):
                return
        except urllib.error.URLError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def put(lab: Lab, name: str, notebook: dict[str, Any]) -> Path:
    """Put a notebook and the tiny model's wheel into an empty folder."""
    folder = lab.root / f"mon café {name}"
    wheels.tiny_base(ROOT, folder)
    file = folder / f"{name}.ipynb"
    file.write_text(json.dumps(notebook), encoding="utf-8")
    return file


def code(notebook: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {c["id"]: c for c in notebook["cells"] if c["cell_type"] == "code"}


def drawn(lab: Lab, cell_id: str, theme: str) -> None:
    """Assert that a cell shows its figure in the colors of a theme, and only those."""
    cell = lab.cell(cell_id)
    other = {"light": "dark", "dark": "light"}[theme]
    image = cell.locator(f"img.hb-{theme}")
    image.wait_for()
    assert image.evaluate("image => image.naturalWidth") > 300
    assert not cell.locator(f"img.hb-{other}").is_visible()


def test_run_all_runs_all_of_the_qlora_download(lab, downloads, tmp_path):
    name = "qlora-comprehensive-tutorial"
    file = put(lab, name, downloads[name])
    before = {*file.parent.iterdir(), file.parent / ".ipynb_checkpoints"}
    lab.open(file.parent, file.name)
    lab.choose("Run", "Run All Cells")
    assert lab.ran(list(code(downloads[name]))[-1]) == []
    after = lab.saved(file)
    assert [i for i, c in code(after).items() if c["execution_count"] is None] == []
    judged = outcomes.judge(
        outcomes.collect(after), catalog.load(ROOT).entry(name).expect
    )
    assert [o.problem() for o in judged if not o.ok] == []
    lab.cell("after").get_by_text("recorded exact_match_after").wait_for()
    drawn(lab, "before-after", "light")
    lab.page.screenshot(path=tmp_path / "light.png")
    lab.choose("Settings", "Theme", "JupyterLab Dark")
    dark = lab.page.locator('body[data-jp-theme-light="false"]')
    dark.wait_for(state="attached")
    drawn(lab, "before-after", "dark")
    lab.page.screenshot(path=tmp_path / "dark.png")
    assert (lab.outside(), lab.said) == ([], [])
    assert {*file.parent.iterdir()} - before == {file.parent / "outputs"}


def test_the_cpt_download_opens_with_closed_modules_and_runs_to_its_imports(
    lab, downloads, tmp_path
):
    name = "cpt-comprehensive-tutorial"
    file = put(lab, name, downloads[name])
    others = modules_of(lab)  # of kernels that other tests left running
    lab.open(file.parent, file.name)
    modules = [cell_id for cell_id in code(downloads[name]) if "module-" in cell_id]
    lab.cell("standalone-modules-text").locator(".jp-showHiddenCellsButton").click()
    for cell_id in (modules[0], modules[-1]):
        cell = lab.cell(cell_id)
        assert not cell.locator(".cm-content").is_visible()
        cell.locator(".jp-InputPlaceholder").click()
        cell.locator(".cm-content").get_by_text("module(").first.wait_for()
    lab.page.screenshot(path=tmp_path / "module.png")
    ids = [cell["id"] for cell in downloads[name]["cells"]]
    lab.cell(ids[ids.index("imports") + 1]).click()
    lab.choose("Run", "Run All Above Selected Cell")
    assert lab.ran("imports") == []
    after = code(lab.saved(file))
    counts = [cell["execution_count"] for cell in after.values()]
    ran = list(after).index("imports") + 1
    assert counts == [*range(1, ran + 1), *[None] * (len(counts) - ran)]
    assert "in the version that was proven" in json.dumps(after["standalone-packages"])
    assert len(modules_of(lab) - others) == 1
    lab.choose("Kernel", "Shut Down Kernel")
    until = time.monotonic() + PATIENCE
    while modules_of(lab) - others and time.monotonic() < until:
        lab.page.wait_for_timeout(200)
    assert modules_of(lab) - others == set()
    assert (lab.outside(), lab.said) == ([], [])


def test_a_cell_that_raises_and_a_request_that_leaves_are_noticed(lab, downloads):
    """The canary of this file's checks."""
    some = downloads["cpt-comprehensive-tutorial"]
    show = "from IPython.display import HTML\nHTML('<img src=\"http://192.0.2.1/x\">')"
    plain = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    cells = [
        {**plain, "id": name, "source": source}
        for name, source in (("shows", show), ("raises", "1 / 0"), ("after", "1"))
    ]
    file = put(lab, "canary", {**some, "cells": cells})
    lab.open(file.parent, file.name)
    lab.choose("Run", "Run All Cells")
    assert lab.ran("after") == ["raises"]
    assert set(lab.outside()) == {"http://192.0.2.1/x"}


def modules_of(lab: Lab) -> set[str]:
    """Return the folders of modules that kernels have at this time."""
    return {path.name for path in lab.temporary.glob("handbook-*")}
