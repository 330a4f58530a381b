"""The calculator of the site gives the numbers of Python, in a real browser."""

import itertools
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from snippets.memory import page as fit_page
from snippets.memory import plan, shapes

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "docs" / "_static"
ODD = {
    "hidden_size": 96,
    "num_hidden_layers": 3,
    "intermediate_size": 200,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1001,
}
CONFIGS = [
    *shapes.SHAPES.values(),
    *(ODD | {"model_type": family} for family in ("llama", "qwen2", "granite")),
    *(ODD | {"model_type": family} for family in ("qwen3", "gemma2", "gemma3_text")),
    ODD | {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    ODD | {"model_type": "qwen3", "head_dim": None, "num_key_value_heads": None},
    {"model_type": "any_vl", "text_config": ODD | {"model_type": "qwen2"}},
]
CHANGES = [
    {},
    {"seq_len": 4096, "micro_batch": 16, "checkpointing": False},
    {"seq_len": 100, "loss_chunk": 256, "r": 7, "unfreeze": 0.3},
    {"seq_len": 8192, "loss_chunk": 256, "optimizer": "adamw-8bit"},
    {"precision": "bf16", "optimizer": "paged-adamw", "unfreeze": 1.0},
    {"gpus": 8, "optimizer": "paged-adamw-8bit", "wide_rest": True},
    {"gpus": 3, "sharding": "fsdp", "precision": "bf16"},
    {"gpus": 8, "sharding": "fsdp", "micro_batch": 4, "unfreeze": 0.9},
    {"compute_bytes": 4, "checkpointing": False},
    {"compute_bytes": 4, "sharding": "fsdp", "gpus": 1},
]
PARTS = """(cases) => cases.map(({config, setup, gib}) => {
  const D = window.handbookFit, needed = D.plan(D.geometry(config), setup);
  return {...needed.parts, total: needed.total, host: needed.host, low: needed.low,
    high: needed.high, fits: D.fits(needed, gib)};
})"""


@pytest.fixture(scope="module")
def calculator(browser, tmp_path_factory):
    """Open the page's form as a file, with the scripts that the site ships."""
    folder = tmp_path_factory.mktemp("fit")
    html = (STATIC / "fit.html").read_text("utf-8")
    html = html.replace("../../_static", STATIC.as_uri())
    links = "".join(
        f'<p class="fit-{name}"><a href="{name}.html">{name} notebook</a></p>'
        for name in ("qlora", "lora", "cpt", "sft", "osft")
    )
    file = folder / "fit.html"
    file.write_text(
        "<!DOCTYPE html><html data-theme=light><meta charset=utf-8><title>x</title>"
        f'<link rel=stylesheet href="{(STATIC / "handbook.css").as_uri()}">'
        f'{html}<div class="fit-where">{links}</div>',
        encoding="utf-8",
    )
    opened = browser.new_page(viewport={"width": 390, "height": 900})
    opened.goto(file.as_uri())
    yield opened
    opened.close()


@pytest.fixture
def form(calculator):
    """Start from the page's own settings."""
    calculator.reload()
    return calculator


def settled(form):
    return form.locator("#fit-verdict").inner_text()


def test_the_page_and_python_agree_to_the_byte(calculator):
    grid = list(itertools.product(CONFIGS, plan.METHODS, CHANGES))
    setups = [plan.Setup(method=method, **change) for _, method, change in grid]
    asked = [
        {"config": config, "setup": asdict(setup), "gib": 24}
        for (config, _, _), setup in zip(grid, setups, strict=True)
    ]
    found = calculator.evaluate(PARTS, asked)
    assert len(found) == len(CONFIGS) * len(plan.METHODS) * len(CHANGES) > 1000
    for case, setup, given in zip(asked, setups, found, strict=True):
        needed = plan.plan(shapes.read(case["config"]), setup)
        known = needed.parts() | {"total": needed.total, "host": needed.host}
        known |= {"low": needed.low, "high": needed.high, "fits": needed.fits(24)}
        assert given == known, case


def test_a_formula_that_differs_is_seen(calculator):
    config, setup = shapes.SHAPES["Qwen2.5-7B"], asdict(plan.Setup())
    setup["seq_len"] += 1
    given = calculator.evaluate(PARTS, [{"config": config, "setup": setup, "gib": 24}])[
        0
    ]
    assert given["total"] != plan.plan(shapes.read(config)).total


def test_the_data_of_the_page_are_those_of_python():
    assert fit_page.FILE.read_text("utf-8") == fit_page.script(), (
        "run: python -m snippets.memory.page"
    )


def test_24_gib_and_conversations_lead_to_a_notebook_and_its_settings(form):
    needed = plan.plan(shapes.read("Qwen2.5-7B"), method="qlora")
    assert settled(form).startswith("It fits. QLoRA of 7.62 B parameters needs about")
    assert f"{needed.total / 2**30:.3g} GiB" in settled(form)
    link = form.locator("#fit-notebook a")
    assert link.inner_text() == "qlora notebook"
    assert link.get_attribute("href").endswith("qlora.html")
    settings = form.locator("#fit-settings").inner_text().splitlines()
    assert settings == [
        "max_seq_len = 2048",
        "micro_batch_size = 1",
        "gradient_checkpointing = True",
        "lora_r = 16",
    ]


@pytest.mark.parametrize(
    ("model", "data", "gib", "notebook"),
    [
        ("Qwen2.5-0.5B", "conversations", "80", "sft"),
        ("Qwen2.5-0.5B", "documents", "80", "cpt"),
        ("Llama-3.1-70B", "conversations", "80", "qlora"),
    ],
)
def test_model_data_and_gpu_choose_the_notebook(form, model, data, gib, notebook):
    form.get_by_label("Model").select_option(model)
    form.get_by_label("Your data").select_option(data)
    form.get_by_label("Memory of one GPU (GiB)").fill(gib)
    assert form.locator("#fit-notebook a").inner_text() == f"{notebook} notebook"


@pytest.mark.parametrize("notebook", ["qlora", "cpt", "sft", "osft"])
def test_the_settings_are_parameters_of_their_notebook(form, notebook):
    source = ROOT / "notebooks" / f"{notebook}-comprehensive-tutorial.ipynb"
    cells = json.loads(source.read_text("utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    known = re.findall(r"^(\w+) =", "".join(tagged[0]["source"]), re.M)
    method = notebook if notebook in ("qlora", "osft") else "full"
    form.get_by_label("Method").select_option(method)
    form.get_by_label("Your data").select_option(
        "documents" if notebook == "cpt" else "conversations"
    )
    lines = form.locator("#fit-settings").inner_text().splitlines()
    assert form.locator("#fit-notebook a").inner_text() == f"{notebook} notebook"
    assert {line.split(" =")[0] for line in lines} <= set(known)


def test_what_does_not_fit_says_so_and_what_saves_how_much(form):
    form.get_by_label("Memory of one GPU (GiB)").fill("8")
    form.get_by_label("Rows in a pass, each GPU").fill("4")
    assert settled(form).startswith("It does not fit.")
    shape = shapes.read("Qwen2.5-7B")
    saved = plan.plan(shape, micro_batch=4).total - plan.plan(shape).total
    lines = form.locator("#fit-ladder li").all_inner_texts()
    assert lines[0] == f"one row in a pass saves {saved / 2**30:.3g} GiB"
    form.get_by_label("Rows in a pass, each GPU").fill("1")
    form.get_by_label("Memory of one GPU (GiB)").fill("11")
    assert settled(form).startswith("Too close to call.")


def test_a_pasted_config_is_read_and_a_wrong_one_explained(form):
    form.get_by_label("Model").select_option("paste")
    assert settled(form) == "Paste the content of a config.json."
    box = form.get_by_label("Content of config.json")
    box.fill(json.dumps(shapes.SHAPES["Qwen3-8B"]))
    assert "8.19 B parameters" in settled(form)
    for text, said in (
        ("{", "This is not JSON."),
        ("[]", 'Model type "(none)" is not described here.'),
        ('{"model_type": "qwen3_moe", "num_experts": 128}', "has 128 experts"),
        ('{"model_type": "llama"}', "has no hidden_size, num_hidden_layers"),
    ):
        box.fill(text)
        assert said in settled(form)
        assert form.locator("#fit-result").is_hidden()


def test_a_number_that_is_none_is_explained_by_its_label(form):
    form.get_by_label("Tokens in a row").fill("0")
    assert settled(form) == '"Tokens in a row" must be a whole number, 1 or more.'


def test_the_form_works_by_keyboard_and_fits_a_phone(form):
    form.get_by_label("Model").focus()
    form.keyboard.press("Tab")
    form.keyboard.press("Tab")
    form.keyboard.press("Control+A")
    form.keyboard.type("6")
    assert "you have 6 GiB" in settled(form)
    form.locator("summary").focus()
    form.keyboard.press("Enter")
    assert form.get_by_role("combobox", name="Optimizer").is_visible()
    assert form.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_bar_says_in_words_what_it_shows(form):
    said = form.locator("#fit-chart").get_attribute("aria-label")
    assert said.startswith("weights 5.17 GiB, adapters 154 MiB")
    assert form.locator("#fit-bar span").count() == len(said.split(", "))
