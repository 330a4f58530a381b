"""Offers each notebook's downloads, a command that fetches it, and the workbenches
that book.yml names, because a page that only shows code does not run it."""

from __future__ import annotations

import difflib
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from markupsafe import Markup

from verify.catalog import Entry
from verify.sphinx_ext.evidence import relative_url
from verify.sphinx_ext.render import html
from verify.standalone import build, wheels

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

OPTION = "handbook_workbench"
AT = f"book.yml: sphinx.config.{OPTION}"
LABELS = {
    "jupyterhub": "Open in JupyterHub",
    "jupyterlab": "Open in JupyterLab",
    "kubeflow": "Open in Kubeflow",
}
HUB = {
    "url": "the address of the hub",
    "repo": "the address of the git repository that has the notebooks",
}
HUB_OPTIONS = ("branch", "path")
SOURCE = "notebooks/{name}.ipynb"
UNKNOWN_SITE = "https://…"


class WorkbenchError(ValueError):
    """book.yml names a workbench or a site that cannot be linked to."""


@dataclass(frozen=True)
class Way:
    """A button: what it says, and the address that it opens."""

    label: str
    url: str


def setup(app: Sphinx) -> None:
    """Register the key of book.yml; a mistake in it stops the build at once."""
    app.add_config_value(OPTION, None, "env", Any)
    app.connect("config-inited", check)


def check(app: Sphinx, config: Config) -> None:
    """Refuse what cannot be offered (``config-inited``).

    Raises
    ------
    ConfigError
        One sentence with file, key and what to write.
    """
    from sphinx.errors import ConfigError

    try:
        ways(config[OPTION], "any")
        site_of(config.html_baseurl)
    except WorkbenchError as error:
        raise ConfigError(str(error)) from error


def workbench_html(entry: Entry, docname: str, app: Sphinx, **links: Any) -> Markup:
    """Return the foot of a notebook's receipt: buttons, files and the command.

    Parameters
    ----------
    entry
        The notebook.
    docname
        The page that shows it; addresses are relative to it.
    app
        The build, for its configuration.
    **links
        Further addresses that the template shows: ``install_url`` and ``files``.
    """
    offered = files_of(entry)
    urls = dict.fromkeys(("standalone", "model"))
    urls |= {key: relative_url(docname, file) for key, file in offered.items()}
    filled = html(
        "workbench.html",
        name=entry.name,
        site=site_of(app.config.html_baseurl),
        command=command(entry.name, offered),
        unknown_site=UNKNOWN_SITE,
        ways=ways(getattr(app.config, OPTION), entry.name),
        urls=urls,
        **links,
    )
    return Markup(filled)  # nosec B704 # the template has escaped what was put in


def files_of(entry: Entry) -> dict[str, str]:
    """Return where the site has what a reader takes away, from its root.

    A notebook that has no profile which runs alone has no ``standalone`` copy either.
    """
    files = {
        "source": f"downloads/notebooks/{entry.name}.ipynb",
        "snippets": "downloads/snippets.zip",
    }
    if entry.runs_alone:
        files["standalone"] = f"downloads/standalone/{entry.name}.ipynb"
        if str(wheels.BASE) in entry.fixtures:
            files["model"] = f"downloads/wheels/{build.model_wheel(entry.root)}"
    return files


def command(name: str, files: Mapping[str, str]) -> str:
    """Return the shell lines, after the one that sets SITE, that fetch and open.

    One chain, so that nothing is fetched into another folder or over a notebook that
    was edited: where the folder exists, ``mkdir`` ends it.
    """
    alone = "standalone" in files
    chosen = ("standalone", "model") if alone else ("source", "snippets")
    fetch = [f'curl -fLO "$SITE/{files[key]}"' for key in chosen if key in files]
    unzip = [] if alone else ["python3 -m zipfile -e snippets.zip ."]
    steps = [f"mkdir {name} && cd {name}", *fetch, *unzip]
    return " &&\n  ".join([*steps, f"jupyter lab {name}.ipynb"])


def site_of(baseurl: str | None) -> str | None:
    """Return the site's own address without its last slash; None if it is not known.

    Raises
    ------
    WorkbenchError
        If it is not an address that a command can fetch from.
    """
    if not baseurl:
        return None
    address = _address(baseurl, "book.yml: html.baseurl").rstrip("/")
    return address.replace("'", "%27")  # it stands between these quotes in a shell


def ways(said: Any, name: str) -> list[Way]:
    """Return the buttons of one notebook, in the order of ``LABELS``.

    Parameters
    ----------
    said
        What book.yml has under ``handbook_workbench``; None if nothing.
    name
        The stem of the notebook's file.

    Raises
    ------
    WorkbenchError
        One sentence with file, key and what to write.
    """
    if said is None:
        return []
    _mapping(said, AT, LABELS)
    filled = {
        key: hub_url(value, name) if key == "jupyterhub" else lab_url(value, key, name)
        for key, value in said.items()
    }
    return [Way(LABELS[key], filled[key]) for key in LABELS if key in filled]


# region: hub-url
def hub_url(said: Any, name: str) -> str:
    """Return the nbgitpuller link that pulls the repository and opens the notebook.

    nbgitpuller clones into a folder named like the end of ``repo``, with its ``.git``.
    It goes to ``urlpath`` as it was given, so that is an address with escapes of its
    own, inside a query that is escaped once more.
    """
    at = f"{AT}.jupyterhub"
    _mapping(said, at, [*HUB, *HUB_OPTIONS])
    for key, what in HUB.items():
        if key not in said:
            raise WorkbenchError(f"{at}.{key} is missing: write {what}.")
    hub = _hub(said["url"], f"{at}.url")
    repo = _address(said["repo"], f"{at}.repo")
    path = _path(said.get("path", SOURCE), f"{at}.path").replace("{name}", name)
    folder = repo.rstrip("/").rpartition("/")[2]
    query = {"repo": repo}
    if "branch" in said:
        query["branch"] = _text(said["branch"], f"{at}.branch")
    query["urlpath"] = quote(f"lab/tree/{folder}/{path}")
    asked = urlencode(query, quote_via=quote, safe="")
    return f"{hub}/hub/user-redirect/git-pull?{asked}"


# endregion: hub-url


def lab_url(said: Any, key: str, name: str) -> str:
    """Return a template's address, with ``{path}`` and ``{name}`` filled in."""
    at = f"{AT}.{key}"
    template = _text(said, at)
    _placeholders(template, at, ("path", "name"))
    values = {"path": SOURCE.replace("{name}", name), "name": name}
    filled = template.format(**{key: quote(value) for key, value in values.items()})
    return _address(filled, at, template)


def _mapping(said: Any, at: str, known: Any) -> None:
    """Refuse what is no mapping or has keys that nothing reads."""
    listed = ", ".join(known)
    if not isinstance(said, Mapping) or not said:
        raise WorkbenchError(
            f"{at} is {said!r}: write a mapping with some of {listed}, or take it out."
        )
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            meant = f"; you may have meant {near[0]}" if near else ""
            raise WorkbenchError(f"{at}.{key} is not known, only {listed} are{meant}.")


def _text(said: Any, at: str) -> str:
    if not isinstance(said, str) or not said.strip():
        raise WorkbenchError(f"{at} is {said!r}: write text, in quotes where in doubt.")
    return said


def _address(said: Any, at: str, written: str | None = None) -> str:
    """Return an address of the web; refuse every other text, shown as ``written``."""
    text = _text(said, at)
    shown = f"{at} is {written or text!r}"
    if any(sign.isspace() for sign in text):
        raise WorkbenchError(f"{shown}, with a space in it: write %20 for a space.")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError as error:
        raise WorkbenchError(f"{shown}, which is no address: {error}.") from error
    if not usable:
        raise WorkbenchError(f"{shown}: start it with https:// or http:// and a host.")
    return text


def _hub(said: Any, at: str) -> str:
    """Return a hub's address without its last slash."""
    hub = _address(said, at).rstrip("/")
    if urlsplit(hub).query or urlsplit(hub).fragment or hub.endswith("/hub"):
        raise WorkbenchError(
            f"{at} is {said!r}: write what stands before /hub, without ? and #."
        )
    return hub


def _path(said: Any, at: str) -> str:
    """Return the path of a notebook in its repository, as a template."""
    path = _text(said, at)
    _placeholders(path, at, ("name",))
    if path.startswith("/") or ".." in path.split("/"):
        raise WorkbenchError(f"{at} is {path!r}: write a path inside the repository.")
    return path


def _placeholders(template: str, at: str, known: tuple[str, ...]) -> None:
    """Refuse a template with another placeholder than the known, or with none."""
    listed = " or ".join(f"{{{name}}}" for name in known)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise WorkbenchError(f"{at} is {template!r}: {error}.") from error
    found = [part for part in parts if part[1] is not None]
    for _, name, form, turned in found:
        if name not in known or form or turned:
            raise WorkbenchError(f"{at} has a placeholder {{{name}}}: use {listed}.")
    if not found:
        raise WorkbenchError(
            f"{at} has no {listed}: write one, or every notebook opens the same."
        )
