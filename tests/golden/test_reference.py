"""The API tour is the reference: no public function of snippets is left out."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "docs" / "reference" / "tour"

# Function -> why no tour calls it. Everything else must be called in one.
NOT_TOURED = {
    "backends.launch.main": "a command line; tests/snippets/test_backends.py runs it",
    "backends.loop.arguments": "passes parameters on; every training run calls it",
    "backends.loop.train": "trains; both tutorials call it through Training Hub",
    "backends.loop.stop_at_step_end": "needs a run to interrupt; test_backends.py does",
    "backends.loop.explain_disk": "needs a full disk; test_backends.py makes one",
    "plots.masks.marked": "the part of masks.mask that plots.side_by_side shares",
    **dict.fromkeys(
        (
            "masking.training_hub",
            "masking.trl",
            "masking.trl_last_answer",
            "masking.transformers_template",
            "masking.transformers_collator",
            "masking.judge",
            "masking.survey",
            "masking.table",
            "plots.verdicts.verdicts",
        ),
        "notebooks/chat-templates-and-masks.ipynb is its tour",
    ),
    **dict.fromkeys(
        (
            "backends.mini_trainer_osft.require_one_process",
            "backends.mini_trainer_osft.decompose",
            "backends.mini_trainer_osft.dense_weights",
            "subspace.protected_rank",
            "subspace.leak",
            "subspace.rounding",
            "subspace.require_kept",
            "subspace.split",
        ),
        "notebooks/osft-comprehensive-tutorial.ipynb is their tour",
    ),
    "mlflow_rows.record": "notebooks/mlflow-troubleshooting.ipynb is its tour",
    "memory.__main__.main": "a command line; tests/snippets/test_memory_plan.py",
    **dict.fromkeys(
        (
            "journal.replay",
            "mlflow_auth.__main__.main",
            "mlflow_auth.answers.cause",
            "mlflow_auth.answers.forbids",
            "mlflow_auth.answers.refuses",
            "mlflow_auth.answers.repeated",
            "mlflow_auth.answers.token_refused",
            "mlflow_auth.bearer.stamp",
            "mlflow_auth.bearer.token_of",
            "mlflow_auth.cookie.proxy_cookie",
            "mlflow_auth.doctor.doctor",
            "mlflow_auth.doctor.table",
            "mlflow_auth.form_login.form_login",
            "mlflow_auth.oidc.begin",
            "mlflow_auth.oidc.current",
            "mlflow_auth.oidc.device_login",
            "mlflow_auth.oidc.discover",
            "mlflow_auth.oidc.finish",
            "mlflow_auth.oidc.login",
            "mlflow_auth.oidc.refresh",
            "mlflow_auth.platform_login.platform_login",
            "mlflow_auth.providers.guard",
            "mlflow_auth.register.connect",
            "mlflow_auth.register.register",
        ),
        "needs a server to sign in at; the tests in tests/sandbox start one",
    ),
    **dict.fromkeys(
        (
            "mlflow_auth.web.json_of",
            "mlflow_auth.web.onward",
            "mlflow_auth.web.said",
        ),
        "the guides to single sign-on show what calls it; test_mlflow_auth_*.py run it",
    ),
    **dict.fromkeys(
        (
            "memory.measure.peak_bytes",
            "memory.measure.saved_tensors",
            "memory.measure.tensor_bytes",
            "memory.measure.gradient_bytes",
            "memory.measure.optimizer_bytes",
            "memory.plan.plan",
            "memory.plan.osft_parameters",
            "memory.shapes.read",
            "memory.shapes.from_dict",
            "memory.rungs.chunked_loss",
            "memory.rungs.take",
            "memory.peer.training_hub",
            "memory.page.data",
            "memory.page.script",
        ),
        "notebooks/memory-rungs.ipynb, test_memory_plan.py and test_fit_page.py",
    ),
    **dict.fromkeys(
        ("prepare.from_alpaca", "prepare.from_sharegpt", "prepare.personal"),
        "the guide on data calls it; run by test_prepare.py",
    ),
    **dict.fromkeys(
        ("serving.check_adapter", "serving.check_model", "serving.tensors"),
        "needs files to judge; the guides show it, test_serving.py breaks them",
    ),
    "serving.serve": "starts a server; the guide is run by test_serving.py",
    **dict.fromkeys(
        ("plots.spreads.best", "plots.spreads.spread"),
        "notebooks/contested-advice.ipynb calls them; run by test_plots_spreads.py",
    ),
    **dict.fromkeys(
        ("spread.interval", "spread.paired", "spread.seeds"),
        "the guide on evaluation shows it; run by test_spread.py",
    ),
    **dict.fromkeys(
        (
            "conversations.several_turns",
            "conversations.with_a_tool",
            "conversations.with_thinking",
            "conversations.save_with_template",
            "conversations.training_hub_unmasked",
            "conversations.correction",
            "conversations.corrections",
            "losses.accumulated",
            "losses.isolation",
            "losses.padded_loss",
            "losses.packed_loss",
            "losses.loss_of_parts",
            "losses.neftune",
            "plots.side_by_side.side_by_side",
            "plots.sweeps.sweep",
        ),
        "notebooks/sft-comprehensive-tutorial.ipynb is its tour",
    ),
    **dict.fromkeys(
        ("tracking.address", "tracking.newest", "tracking.one_run"),
        "the four tutorials call them; run by test_tracking.py",
    ),
    **dict.fromkeys(
        ("sft_recipe.train", "sft_recipe.sweep", "sft_recipe.check"),
        "trains; the guide to full fine-tuning is run by test_sft_recipe.py",
    ),
    **dict.fromkeys(
        ("sharding.spread", "sharding.held", "sharding.train", "sharding.measure"),
        "notebooks/two-processes.ipynb is their tour",
    ),
    "sharding.main": "runs in each process; notebooks/two-processes.ipynb starts it",
    **dict.fromkeys(
        (
            "reproduce.conditions",
            "reproduce.differences",
            "reproduce.run_elsewhere",
        ),
        "notebooks/reproduce.ipynb is their tour",
    ),
    **dict.fromkeys(
        ("offline.set_variables", "offline.watch"),
        "work once in a process; test_offline.py starts some",
    ),
    "preemption.kill_at": "kills a training process; both tutorials do",
    "recipes.qlora": "trains; the QLoRA guide is run by test_recipes.py",
    "recipes.check": "judges a trained model; run by test_recipes.py",
    "recipes.cpt": "trains; the CPT guide is run by test_recipes.py",
    "recipes.then_sft": "trains; the CPT guide is run by test_recipes.py",
    "osft_recipe.train": "trains; the OSFT guide is run by test_osft_recipe.py",
    "osft_recipe.kept_its_word": "judges a trained model; run by test_osft_recipe.py",
    **dict.fromkeys(
        (
            "plots.trade_offs.front",
            "plots.trade_offs.trade_off",
            "plots.spectra.spectrum",
        ),
        "the OSFT notebooks draw them; tests/snippets/test_plots_osft.py",
    ),
    "tiny.build_base": "trains for minutes; python3 noxfile.py -s rebuild",
    "tiny.main": "a command line; python3 noxfile.py -s rebuild",
}


def modules(root):
    """Return every module of snippets by its name below it, such as ``data``."""
    files = sorted((root / "snippets").rglob("*.py"))
    places = [file.relative_to(root / "snippets").with_suffix("") for file in files]
    names = [".".join(place.parts).removesuffix(".__init__") for place in places]
    return dict(zip(names, files, strict=True))


def public_functions(root):
    """Return every public function, such as ``data.read_chat``."""
    found = set()
    for name, file in modules(root).items():
        body = ast.parse(file.read_text(encoding="utf-8")).body
        listed = [
            ast.literal_eval(node.value)
            for node in body
            if isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "__all__"
        ]
        for node in body:
            if not isinstance(node, ast.FunctionDef):
                continue
            if node.name in listed[0] if listed else not node.name.startswith("_"):
                found.add(f"{name}.{node.name}")
    return found


def defined(root):
    """Return where a function that a package offers is defined, by the offered name."""
    found = {}
    for package, file in modules(root).items():
        if file.name != "__init__.py":
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                module = (node.module or "").removeprefix("snippets.")
                names = [one.name for one in node.names]
                found |= {f"{package}.{name}": f"{module}.{name}" for name in names}
    return found


class Notebook:
    """What one notebook of the tour uses, says and lists."""

    def __init__(self, path, root=ROOT):
        self.defined = defined(root)
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = {"code": [], "markdown": []}
        for cell in cells:
            text[cell["cell_type"]].append("".join(cell["source"]))
        self.tree = ast.parse("\n".join(text["code"]))
        self.prose, self.listing = text["markdown"][:-1], text["markdown"][-1]
        self.aliases = self._aliases()

    def _aliases(self):
        """Return what a name in the code stands for: ``batches`` a module."""
        imports = [n for n in ast.walk(self.tree) if isinstance(n, ast.ImportFrom)]
        known = {}
        for node in imports:
            module = f"{node.module}."
            if module.startswith("snippets."):
                prefix = module.removeprefix("snippets.")
                names = {one.asname or one.name: one.name for one in node.names}
                known |= {name: prefix + real for name, real in names.items()}
        return known

    def used(self):
        """Return every ``module.function`` of snippets that the code names."""
        return {
            self._home(f"{self.aliases[node.value.id]}.{node.attr}")
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in self.aliases
        }

    def said(self):
        """Return every function that a sentence names, as the code names it."""
        names = set(re.findall(r"`(\w+)\.(\w+)`", "\n".join(self.prose)))
        known = [(m, f) for m, f in names if m in self.aliases]
        return {self._home(f"{self.aliases[m]}.{f}") for m, f in known}

    def _home(self, name):
        """Return the name where it is defined, of what a package offers as its own."""
        return self.defined.get(name, name)

    def listed(self):
        """Return every function whose source stands at the end, by its file."""
        pattern = r"\{snippet\} snippets/([\w/]+)\.py#object:(\w+)"
        pairs = re.findall(pattern, self.listing)
        return [
            f"{path.replace('/', '.').removesuffix('.__init__')}.{name}"
            for path, name in pairs
        ]


def tour():
    return {path.stem: Notebook(path) for path in sorted(TOUR.glob("*.ipynb"))}


def missing(public, used, excused):
    """Return one sentence for each function that is in no tour, or wrongly excused."""
    untold = sorted(public - used - excused.keys())
    gone = sorted(excused.keys() - public)
    return [
        *(
            f"snippets.{name} is in no tour: call it in a notebook of "
            "docs/reference/tour, or give the reason in NOT_TOURED"
            for name in untold
        ),
        *(f"NOT_TOURED names {name}, which does not exist" for name in gone),
        *(
            f"NOT_TOURED names {name}, which a tour calls"
            for name in sorted(excused.keys() & used)
        ),
    ]


def test_every_public_function_is_toured_or_has_a_reason():
    used = set().union(*(notebook.used() for notebook in tour().values()))
    public = public_functions(ROOT)
    assert len(public) > 80, "the search for public functions is broken"
    assert missing(public, used, NOT_TOURED) == []
    assert all(reason.strip() for reason in NOT_TOURED.values())


def test_every_toured_function_has_its_sentence_and_its_source_on_one_page():
    public = public_functions(ROOT)
    pages = tour().values()
    toured = public & set().union(*(page.used() for page in pages))
    for page in pages:
        here = set(page.listed())
        assert here <= page.used(), "a source is listed of what the page does not call"
        assert here <= page.said(), "a source is listed of what no sentence names"
    listed = [name for page in pages for name in page.listed()]
    assert sorted(listed) == sorted(toured)


@pytest.fixture
def handbook(tmp_path):
    """Write a small snippets with one public function and one private one."""
    (tmp_path / "snippets" / "parts").mkdir(parents=True)
    text = "def shown(): ...\ndef _hidden(): ...\n"
    (tmp_path / "snippets" / "new.py").write_text(text)
    text = '__all__ = ["chosen"]\ndef chosen(): ...\ndef other(): ...\n'
    (tmp_path / "snippets" / "parts" / "__init__.py").write_text(text)
    return tmp_path


def test_public_is_what_has_no_underscore_or_stands_in_all(handbook):
    assert public_functions(handbook) == {"new.shown", "parts.chosen"}


def test_a_new_public_function_turns_red_and_is_named(handbook):
    found = missing(public_functions(handbook), {"parts.chosen"}, {})
    assert found == [
        "snippets.new.shown is in no tour: call it in a notebook of "
        "docs/reference/tour, or give the reason in NOT_TOURED"
    ]


def test_an_excuse_that_is_no_longer_needed_turns_red(handbook):
    excused = {"parts.chosen": "why", "new.gone": "why"}
    found = missing(public_functions(handbook), {"parts.chosen", "new.shown"}, excused)
    assert found == [
        "NOT_TOURED names new.gone, which does not exist",
        "NOT_TOURED names parts.chosen, which a tour calls",
    ]
