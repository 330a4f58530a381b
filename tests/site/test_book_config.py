"""Jupyter Book ignores keys that it does not know; these tests do not."""

from pathlib import Path

import yaml

from verify.sphinx_ext import workbench

ROOT = Path(__file__).resolve().parents[2]

# What jupyter_book/config.py of 1.0.4.post1 reads. None: the value is not a mapping, or
# its keys are judged by Sphinx, which warns about those it does not know.
KNOWN = {
    "title": None,
    "author": None,
    "copyright": None,
    "logo": None,
    "project": None,
    "exclude_patterns": None,
    "only_build_toc_files": None,
    "launch_buttons": {
        "notebook_interface",
        "binderhub_url",
        "jupyterhub_url",
        "thebe",
        "colab_url",
        "deepnote_url",
    },
    "repository": {"url", "path_to_book", "branch"},
    "html": {
        "favicon",
        "baseurl",
        "comments",
        "use_multitoc_numbering",
        "extra_footer",
        "home_page_in_navbar",
        "announcement",
        "analytics",
        "use_repository_button",
        "use_edit_page_button",
        "use_issues_button",
    },
    "parse": {"myst_enable_extensions", "myst_substitutions", "myst_url_schemes"},
    "execute": {
        "allow_errors",
        "raise_on_error",
        "eval_regex",
        "show_tb",
        "run_in_temp",
        "stderr_output",
        "timeout",
        "cache",
        "execute_notebooks",
        "exclude_patterns",
    },
    "latex": {"latex_engine", "use_jupyterbook_latex", "latex_documents"},
    "sphinx": {"extra_extensions", "local_extensions", "recursive_update", "config"},
    "bibtex_bibfiles": None,
    "bibtex_reference_style": None,
}
# What the themes read of html_theme_options; neither warns about another name.
THEME_OPTIONS = {
    "back_to_top_button",
    "footer_content_items",
    "navbar_persistent",
    "pygments_dark_style",
    "pygments_light_style",
    "search_as_you_type",
    "search_bar_text",
    "show_toc_level",
    "toc_title",
    "use_download_button",
    "use_fullscreen_button",
}


def unknown_keys(config: dict) -> list[str]:
    """Return each key path of the configuration that nothing reads."""
    found = [key for key in config if key not in KNOWN]
    for part, known in KNOWN.items():
        if known is not None:
            found += [
                f"{part}.{key}" for key in config.get(part) or {} if key not in known
            ]
    options = config.get("sphinx", {}).get("config", {}).get("html_theme_options", {})
    return found + [f"theme.{key}" for key in options if key not in THEME_OPTIONS]


def configuration() -> dict:
    return yaml.safe_load((ROOT / "book.yml").read_text(encoding="utf-8"))


def test_book_yml_has_only_keys_that_are_read():
    assert unknown_keys(configuration()) == []


def test_a_slip_in_a_key_is_found():
    slips = {
        "tilte": "x",
        "html": {"base_url": "x"},
        "sphinx": {"config": {"html_theme_options": {"show_toc_levels": 2}}},
    }
    found = unknown_keys(slips)
    assert found == ["tilte", "html.base_url", "theme.show_toc_levels"]


def test_notebooks_are_never_run_by_the_site_build():
    execute = configuration()["execute"]
    assert execute == {"execute_notebooks": "off"}


def test_an_unknown_sphinx_setting_stops_the_build(new_book):
    book = new_book()
    text = (book.root / "book.yml").read_text(encoding="utf-8")
    book.write("book.yml", text.replace("    numfig:", "    numfigs: 1\n    numfig:"))
    built = book.build()
    assert built.code != 0
    assert "unknown config value 'numfigs'" in built.log


def test_the_workbenches_of_book_yml_can_be_opened():
    said = configuration()["sphinx"]["config"].get(workbench.OPTION)
    workbench.ways(said, "any")


def test_the_examples_of_workbenches_can_be_opened():
    text = (ROOT / "book.yml").read_text(encoding="utf-8")
    hint = text.index(f"# {workbench.OPTION}:")
    lines = text[hint:].splitlines()[:2]
    shown = yaml.safe_load(
        "\n".join(line.strip(" ").removeprefix("# ") for line in lines)
    )
    assert len(workbench.ways(shown[workbench.OPTION], "any")) == 1
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    fence = guide.partition("## Offer your workbench")[2].partition("```yaml\n")[2]
    example = yaml.safe_load(fence.partition("```")[0])
    assert unknown_keys(example) == []
    said = example["sphinx"]["config"][workbench.OPTION]
    assert len(workbench.ways(said, "any")) == len(workbench.LABELS)
