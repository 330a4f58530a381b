"""Pages offer notebooks as files, as a command and in the workbenches of book.yml."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from verify import catalog
from verify.sphinx_ext import workbench
from verify.sphinx_ext.workbench import WorkbenchError, hub_url, lab_url, ways

ROOT = Path(__file__).resolve().parents[2]
AT = "book.yml: sphinx.config.handbook_workbench"
HUB = {"url": "https://hub.example.com/jupyter/", "repo": "https://git.example.com/a/b"}
LAB = "https://lab.example.com/lab/tree/{path}"
KUBEFLOW = "https://kf.example.com/notebook/team/tune/lab/tree/books/{name}.ipynb"
ALL = {"kubeflow": KUBEFLOW, "jupyterlab": LAB, "jupyterhub": HUB}
ODD = "Kurs ä #1/100% {name}.ipynb"


def test_the_hub_link_is_the_one_that_nbgitpuller_documents():
    assert hub_url({**HUB, "branch": "main"}, "tiny") == (
        "https://hub.example.com/jupyter/hub/user-redirect/git-pull"
        "?repo=https%3A%2F%2Fgit.example.com%2Fa%2Fb&branch=main"
        "&urlpath=lab%2Ftree%2Fb%2Fnotebooks%2Ftiny.ipynb"
    )


def test_the_hub_takes_its_own_branch_where_none_is_named():
    assert "branch" not in parse_qs(urlsplit(hub_url(HUB, "tiny")).query)


@pytest.mark.parametrize("repo", ["b", "b/", "b.git", "b%20c"])
def test_the_folder_is_the_one_that_nbgitpuller_clones_into(repo):
    # handlers.py of nbgitpuller 1.3.0: repo.rstrip('/').split('/')[-1], .git and all
    asked = f"https://git.example.com/a/{repo}"
    query = parse_qs(urlsplit(hub_url({**HUB, "repo": asked}, "tiny")).query)
    folder = query["repo"][0].rstrip("/").split("/")[-1]
    assert unquote(query["urlpath"][0]) == f"lab/tree/{folder}/notebooks/tiny.ipynb"


def test_the_nested_path_is_an_address_within_a_query():
    link = hub_url({**HUB, "path": ODD, "branch": "a b&c"}, "tiny")
    query = parse_qs(urlsplit(link).query)
    assert query["branch"] == ["a b&c"]
    assert query["urlpath"] == ["lab/tree/b/Kurs%20%C3%A4%20%231/100%25%20tiny.ipynb"]
    assert link.isascii() and " " not in link


def test_a_template_is_filled_with_path_and_name():
    expected = "https://lab.example.com/lab/tree/notebooks/tiny.ipynb"
    assert lab_url(LAB, "jupyterlab", "tiny") == expected
    books = "https://kf.example.com/notebook/team/tune/lab/tree/books/tiny.ipynb"
    assert lab_url(KUBEFLOW, "kubeflow", "tiny") == books


def test_a_name_with_spaces_and_umlauts_is_escaped_in_a_template():
    filled = lab_url(LAB, "jupyterlab", "zwei wörter #1")
    assert filled.endswith("/lab/tree/notebooks/zwei%20w%C3%B6rter%20%231.ipynb")


def test_buttons_stand_in_one_order_whatever_the_order_of_the_keys():
    labels = [way.label for way in ways(ALL, "tiny")]
    opened = ["JupyterHub", "JupyterLab", "Kubeflow"]
    assert labels == [f"Open in {name}" for name in opened]


def test_without_the_key_there_is_no_button():
    assert ways(None, "tiny") == []


WRONG = {
    " is []: write a mapping": [],
    " is {}: write a mapping": {},
    " is 'https://x.org': write a mapping": "https://x.org",
    ".jupyterlub is not known, only jupyterhub, jupyterlab, kubeflow are; "
    "you may have meant jupyterlab.": {"jupyterlub": HUB},
    ".jupyterhub is 'https://x.org': write a mapping": {"jupyterhub": "https://x.org"},
    ".jupyterhub.bransh is not known": {"jupyterhub": {**HUB, "bransh": "main"}},
    ".jupyterhub.repo is missing: write": {"jupyterhub": {"url": "https://x.org"}},
    ".jupyterhub.url is missing: write": {"jupyterhub": {"repo": "https://x.org/a"}},
    ".jupyterhub.branch is 1.0: write text": {"jupyterhub": {**HUB, "branch": 1.0}},
    ".jupyterhub.url is 'https://x.org/hub/': write what stands before /hub": {
        "jupyterhub": {**HUB, "url": "https://x.org/hub/"}
    },
    ".jupyterhub.repo is 'git@x.org:a/b': start it with https://": {
        "jupyterhub": {**HUB, "repo": "git@x.org:a/b"}
    },
    ".jupyterhub.path has no {name}": {"jupyterhub": {**HUB, "path": "a.ipynb"}},
    ".jupyterhub.path is '../{name}': write a path inside": {
        "jupyterhub": {**HUB, "path": "../{name}"}
    },
    ".jupyterlab is None: write text": {"jupyterlab": None},
    ".jupyterlab is 8888: write text": {"jupyterlab": 8888},
    ".jupyterlab has no {path} or {name}: write one": {
        "jupyterlab": "https://x.org/lab"
    },
    ".jupyterlab has a placeholder {base}: use {path} or {name}": {
        "jupyterlab": "{base}/lab/tree/{path}"
    },
    ".jupyterlab is 'ftp://x.org/": {"jupyterlab": "ftp://x.org/{path}"},
    ".jupyterlab is 'javascript:x({path})': start": {
        "jupyterlab": "javascript:x({path})"
    },
    ".jupyterlab is 'https://x.org/a b/": {"jupyterlab": "https://x.org/a b/{path}"},
    ".jupyterlab is 'https://x.org:port/": {"jupyterlab": "https://x.org:port/{path}"},
    ".kubeflow is 'https:///": {"kubeflow": "https:///{path}"},
    ".kubeflow is 'https://x.org/{path}}': Single '}'": {
        "kubeflow": "https://x.org/{path}}"
    },
}


@pytest.mark.parametrize(("sentence", "said"), WRONG.items())
def test_a_mistake_in_the_key_is_told_in_one_sentence(sentence, said):
    with pytest.raises(WorkbenchError) as raised:
        ways(said, "tiny")
    told = str(raised.value)
    assert told.startswith(AT + sentence), told
    assert told.endswith(".") and "\n" not in told


def test_a_site_address_that_curl_cannot_ask_is_told():
    with pytest.raises(WorkbenchError, match=r"book.yml: html.baseurl is 'docs/'"):
        workbench.site_of("docs/")
    assert workbench.site_of("https://x.org/it's/") == "https://x.org/it%27s"


def entry_of(alone: bool) -> catalog.Entry:
    """Return a tutorial, with or without a profile that runs it alone."""
    entry = catalog.load(ROOT).entry("qlora-comprehensive-tutorial")
    return replace(entry, profiles={"any": SimpleNamespace(alone=alone)})


def drawn(entry: catalog.Entry, baseurl: str = "", said: object = None) -> str:
    config = SimpleNamespace(html_baseurl=baseurl, handbook_workbench=said)
    links = {"install_url": None, "files": {"receipt": None}}
    app = SimpleNamespace(config=config)
    docname = f"notebooks/{entry.name}"
    return workbench.workbench_html(entry, docname, app, **links)


def test_a_notebook_that_runs_alone_is_offered_as_such_with_its_model():
    page, text = drawn(entry_of(True)), (ROOT / "pyproject.toml").read_text("utf-8")
    version = text.partition('version = "')[2].partition('"')[0]
    wheel = f"fine_tuning_handbook_tiny_base-{version}-py3-none-any.whl"
    standalone = "../downloads/standalone/qlora-comprehensive-tutorial.ipynb"
    assert f'hb-button-main" href="{standalone}" download' in page
    assert f'href="../downloads/wheels/{wheel}"' in page
    assert 'href="../downloads/notebooks/qlora-comprehensive-tutorial.ipynb"' in page


def test_a_notebook_that_does_not_run_alone_is_offered_with_its_modules():
    page = drawn(entry_of(False))
    source = "../downloads/notebooks/qlora-comprehensive-tutorial.ipynb"
    assert f'hb-button-main" href="{source}" download' in page
    assert "standalone" not in page and ".whl" not in page
    assert "python3 -m zipfile -e snippets.zip ." in page


@pytest.mark.parametrize("alone", [True, False])
def test_the_command_passes_the_checks_of_blocks(alone, tmp_path):
    tools = os.environ.get("HANDBOOK_TOOLS_PYTHON")
    if not tools:
        pytest.skip("HANDBOOK_TOOLS_PYTHON is not set: no Python with shellcheck")
    entry = entry_of(alone)
    lines = workbench.command(entry.name, workbench.files_of(entry))
    for site in (workbench.UNKNOWN_SITE, "https://x.org/it%27s"):
        page = tmp_path / "page.md"
        page.write_text(f"# Page\n\n```bash\nSITE='{site}'\n{lines}\n```\n")
        check = [tools, "-m", "verify.blocks", str(page)]
        done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "0 problems" in done.stdout


def configured(new_book, baseurl: str | None, said: object):
    """Return a book with one notebook and these two keys in its book.yml."""
    book = new_book()
    book.notebook("tiny", book.code("from snippets.greet import hello"))
    book.ran("tiny")
    settings = yaml.safe_load((book.root / "book.yml").read_text(encoding="utf-8"))
    settings["sphinx"]["config"]["handbook_workbench"] = said
    settings["html"]["baseurl"] = baseurl or ""
    book.write("book.yml", yaml.safe_dump(settings, allow_unicode=True))
    return book


@pytest.fixture(scope="module")
def published(new_book):
    """Build a book that has an address and all three workbenches."""
    built = configured(new_book, "https://handbook.example.com/book/", ALL).build()
    assert built.code == 0, built.log
    return built


def test_a_page_has_a_button_for_each_workbench_of_book_yml(published):
    page = published.html("notebooks/tiny")
    for way in ways(ALL, "tiny"):
        link = way.url.replace("&", "&amp;")
        assert f'<a class="hb-button" href="{link}">{way.label}</a>' in page


@pytest.mark.parametrize("key", ["jupyterhub", "jupyterlab", "kubeflow"])
def test_only_the_workbench_that_is_named_has_a_button(key):
    page = drawn(entry_of(True), said={key: ALL[key]})
    assert page.count("Open in ") == 1
    assert workbench.LABELS[key] in page


def test_a_book_that_names_no_workbench_has_no_such_button(good_site):
    page = good_site.html("notebooks/tiny")
    assert "Open in " not in page
    assert "Download the notebook" in page and "jupyter lab tiny.ipynb" in page


def test_a_mistake_in_book_yml_stops_the_build_with_its_sentence(new_book):
    built = configured(new_book, None, "https://lab.example.com").build()
    assert built.code != 0
    said = f"{AT} is 'https://lab.example.com': write a mapping"
    assert said in " ".join(built.log.split())


@pytest.fixture(scope="module")
def served(good_site):
    """Serve the book below a folder, as many hosts do, and return its address."""
    with serving(good_site.site.parent) as address:
        yield f"{address}/{good_site.site.name}"


@contextlib.contextmanager
def serving(folder: Path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@contextlib.contextmanager
def opened(browser, address: str, script: str = "", **context):
    """Open a notebook page with its command shown."""
    there = browser.new_context(**context)
    if address.startswith("http:"):
        there.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    if script:
        there.add_init_script(script)
    page = there.new_page()
    page.goto(f"{address}/notebooks/tiny.html")
    page.locator(".hb-fetch > summary").click()
    yield page
    there.close()


def pasted(page) -> str:
    """Return what the clipboard holds, by pasting it."""
    page.evaluate("document.body.prepend(document.createElement('textarea'))")
    page.locator("textarea").first.focus()
    page.keyboard.press("Control+V")
    return page.locator("textarea").first.input_value()


def test_the_command_names_the_server_that_the_page_came_from(browser, served):
    with opened(browser, f"{served}") as page:
        first, *rest = page.locator(".hb-command pre").inner_text().splitlines()
        assert first == f"SITE='{served}'"
        assert rest[0] == "mkdir tiny && cd tiny &&"
        assert page.locator(".hb-where").count() == 0
        assert page.locator(".hb-beside").is_hidden()


NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"


@pytest.mark.parametrize("script", ["", NO_CLIPBOARD], ids=["secure", "plain http"])
def test_what_is_copied_fetches_the_notebook(browser, served, script, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine: the command is not run")
    with opened(browser, served, script) as page:
        page.locator(".hb-command button").focus()
        page.keyboard.press("Enter")
        page.locator(".hb-said-so", has_text="Copied.").wait_for()
        shown = page.locator(".hb-command pre").text_content()
        copied = pasted(page)
    assert copied == shown
    stand_in = tmp_path / "bin" / "jupyter"  # stands in for JupyterLab
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "jupyter $*"\n')
    stand_in.chmod(0o755)
    path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
    run = functools.partial(
        subprocess.run, ["bash", "-c", copied], cwd=tmp_path, text=True
    )
    done = run(env={**os.environ, "PATH": path}, capture_output=True)
    assert done.stdout == "jupyter lab tiny.ipynb\n", done.stderr
    offered = sorted(path.name for path in (tmp_path / "tiny").iterdir())
    assert {"tiny.ipynb", "snippets"} <= set(offered)
    (tmp_path / "tiny/tiny.ipynb").write_text("my own work")
    again = run(env={**os.environ, "PATH": path}, capture_output=True)
    assert again.returncode != 0 and "jupyter" not in again.stdout
    assert (tmp_path / "tiny/tiny.ipynb").read_text() == "my own work"


def test_a_page_read_as_a_file_says_that_the_notebook_is_beside_it(browser, good_site):
    with opened(browser, good_site.site.as_uri()) as page:
        assert page.locator(".hb-command").is_hidden()
        assert page.locator(".hb-where").count() == 0
        said = page.locator(".hb-beside")
        assert "nothing to fetch" in said.inner_text()
        for link in said.locator("a").all():
            file = unquote(urlsplit(link.evaluate("a => a.href")).path)
            assert Path(file).is_file()


def test_without_scripts_the_command_says_what_to_put_in(browser, served):
    with opened(browser, served, java_script_enabled=False) as page:
        shown = page.locator(".hb-command pre").inner_text()
        assert shown.startswith("SITE='https://…'\nmkdir tiny")
        assert "Put the address of this page" in page.locator(".hb-where").inner_text()
        assert page.locator(".hb-command button").is_hidden()


def test_an_address_in_book_yml_is_the_one_to_fetch_from(browser, published):
    with serving(published.site) as address, opened(browser, address) as page:
        shown = page.locator(".hb-command pre").inner_text()
        assert shown.startswith("SITE='https://handbook.example.com/book'\n")
        assert page.locator(".hb-where").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_foot_of_the_receipt_fits_a_phone(browser, published, theme):
    size = {"width": 390, "height": 800}
    with (
        serving(published.site) as address,
        opened(browser, address, viewport=size, color_scheme=theme) as page,
    ):
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390
        for button in page.locator(".hb-workbench .hb-button").all():
            assert button.bounding_box()["width"] <= 360
