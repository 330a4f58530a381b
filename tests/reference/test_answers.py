"""The committed answers are what the installed libraries say, and cannot go stale."""

import importlib.util
import json
from pathlib import Path

import pytest

from verify.reference import __main__ as command
from verify.reference import judging, store
from verify.reference.used import used_names

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("training_hub", "instructlab", "mini_trainer", "trl", "peft", "bitsandbytes")


@pytest.fixture(scope="module")
def installed():
    """Ask everything once; the answers of other versions are the nightly's to show."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        pytest.skip("the notebooks' environment is not installed here")
    import torch

    from verify.reference import asking

    if torch.cuda.is_available():
        pytest.skip("the answers are those of a CPU: nox -s reference hides the GPU")
    for subject in (*store.ALGORITHMS, "names"):
        wanted = store.load(ROOT, subject)["versions"]
        here = asking.versions(tuple(wanted))
        if here != wanted:
            pytest.skip(f"{subject}: the answers are of {wanted}, installed is {here}")
    return command.ask()


@pytest.mark.parametrize("subject", [*store.ALGORITHMS, "names"])
def test_the_committed_answers_are_what_is_installed(installed, subject):
    difference = store.difference(ROOT, subject, installed[subject])
    assert difference == [], "\n".join(
        [*difference, "Run python3 noxfile.py -s reference and commit the result."]
    )


def test_a_library_that_drops_a_parameter_is_noticed(installed, committed, monkeypatch):
    """The real TrainingArgs, without one value: what a careless release would be."""
    from training_hub.algorithms import sft

    from verify.reference import asking, values, world

    real = sft.TrainingArgs

    def careless(warmup_steps=None, **others):
        return real(**others)

    monkeypatch.setattr(sft, "TrainingArgs", careless)
    backend, value = "instructlab-training", values.VALUES["warmup_steps"]
    with world.workspace() as folder:
        attempt = asking.remembering("sft", backend, folder)
        base = values.PLANS["sft"].base
        found = judging.observe(attempt, base, "warmup_steps", value, {})
    assert found["status"] == "ignored"
    assert status(committed, "sft", backend, "warmup_steps")["status"] == "forwarded"


@pytest.fixture(scope="module")
def committed():
    return {subject: store.load(ROOT, subject) for subject in store.SUBJECTS}


def status(committed, algorithm, backend, name, **beside):
    told = committed[algorithm]["backends"][backend]
    seen = (told["parameters"] | told["other names"])[name]
    wanted = {key: str(value) for key, value in beside.items()}
    return next(one for one in seen if one.get("beside", {}) == wanted)


def test_every_parameter_and_backend_has_an_answer(committed):
    for algorithm in store.ALGORITHMS:
        named = set(committed[algorithm]["signature"]) - {"backend"}
        for told in committed[algorithm]["backends"].values():
            assert set(told["parameters"]) == named
            every = told["parameters"] | told["other names"] | told["wrong types"]
            seen = [one["status"] for answers in every.values() for one in answers]
            assert set(seen) <= set(judging.STATUSES) and len(seen) >= len(named)


def test_what_sft_takes_and_forgets(committed):
    for name in ("seed", "lr_scheduler", "use_processed_dataset", "learning_rat"):
        found = status(committed, "sft", "instructlab-training", name)
        assert found["status"] == "ignored", name
    named = status(committed, "sft", "instructlab-training", "max_tokens_per_gpu")
    assert named["as"] == ["max_batch_len"]
    alone = status(committed, "sft", "instructlab-training", "beta1")
    both = status(committed, "sft", "instructlab-training", "beta1", beta2=0.95)
    assert (alone["status"], both["status"]) == ("ignored", "renamed")


def test_what_osft_hands_to_no_worker(committed):
    for name in ("beta1", "beta2", "eps", "weight_decay"):
        found = status(committed, "osft", "mini-trainer", name)
        assert found["status"] == "ignored" and list(found["arrives"]) == [
            f"TrainingArgs: {name}"
        ]


def test_what_lora_sft_discards(committed):
    discarded = status(
        committed, "lora_sft", "unsloth", "micro_batch_size", effective_batch_size=12
    )
    assert discarded["status"] == "ignored"
    assert status(committed, "lora_sft", "unsloth", "nproc_per_node")["status"] == (
        "ignored"
    )


def test_our_backends_ignore_nothing_that_has_a_meaning(committed):
    """They refuse; what is left ignored matters beside others, or switches nothing."""
    beside = {"block_size", "document_column_name", "disable_flash_attn"}
    beside |= {"on_demand_checkpointing", *(f"bnb_4bit_{n}" for n in BITS)}
    for algorithm, backend in OURS.items():
        told = committed[algorithm]["backends"][backend]
        every = told["parameters"] | told["other names"]
        silent = {
            n for n, s in every.items() if all(o["status"] == "ignored" for o in s)
        }
        assert silent <= beside, (algorithm, silent - beside)


BITS = ("quant_type", "compute_dtype", "use_double_quant")
OURS = {"sft": "transformers", "osft": "mini-trainer-inprocess", "lora_sft": "peft"}


def test_defaults_at_the_libraries_own_border(committed):
    osft = committed["osft"]["backends"]["mini-trainer"]["defaults"]["TrainingArgs"]
    assert osft["use_liger_kernels"] == "False"
    assert osft["checkpoint_at_epoch"] == "False"
    column = status(
        committed, "sft", "instructlab-training", "document_column_name",
        is_pretraining=True, block_size=64, data_path="DOCUMENTS.jsonl",
    )  # fmt: skip
    arrived = column["arrives"]["TrainingArgs: pretraining_config.document_column_name"]
    assert arrived == ["document", "text"]


def test_every_field_that_the_handbook_sets_exists_or_is_known_to_be_gone(committed):
    """Troubleshooting sets names that are gone, to show what happens."""
    used = used_names(ROOT)
    gone = {row["old"] for row in committed["renames"]["renames"]}
    fields = dict(committed["names"]["classes"])
    fields["SFTConfig"] = fields["SFTConfig"] | fields["TrainingArguments"]
    for owner, known in fields.items():
        unknown = used.get(owner, set()) - set(known)
        assert {f"{owner}({name}=)" for name in unknown} <= gone


def test_a_name_that_moved_is_found_in_the_right_releases(committed):
    rows = {row["old"]: row for row in committed["renames"]["renames"]}
    moved = rows["TrainingArguments(evaluation_strategy=)"]
    assert moved["new"] == "TrainingArguments(eval_strategy=)"
    assert moved["new is"]["came"] == ["4.40.2", "4.41.0"]
    assert moved["old was"]["went"] == ["4.50.3", "4.51.0"]


def test_no_path_of_a_machine_is_committed():
    for subject in store.SUBJECTS:
        text = store.path(ROOT, subject).read_text(encoding="utf-8")
        assert "/tmp" not in text and "/home/" not in text and str(ROOT) not in text


@pytest.fixture
def copy(tmp_path):
    """Return a root with answers of its own."""
    data = {"versions": {"trl": "1"}, "classes": {"A": {"b": {"default": "1"}}}}
    store.save(tmp_path, "names", data)
    return tmp_path, data


def test_saving_the_same_answers_touches_no_file(copy):
    root, data = copy
    assert store.save(root, "names", data) is False
    assert json.loads(store.path(root, "names").read_text())["schema"] == store.SCHEMA


def test_a_changed_default_shows_as_one_line_out_and_one_in(copy, monkeypatch, capsys):
    root, data = copy
    monkeypatch.setattr(command, "ROOT", root)
    changed = json.loads(json.dumps(data))
    changed["classes"]["A"]["b"]["default"] = "2"
    assert command.compared("names", changed) is True
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if line.startswith(("-  ", "+  "))] == [
        '-    "default": "1"',
        '+    "default": "2"',
    ]


def test_another_version_with_the_same_answers_holds(copy, monkeypatch, capsys):
    root, data = copy
    monkeypatch.setattr(command, "ROOT", root)
    assert command.compared("names", data | {"versions": {"trl": "2"}}) is False
    assert "names.json differs in versions only" in capsys.readouterr().out


def test_missing_answers_and_those_of_another_schema_say_what_to_run(tmp_path):
    with pytest.raises(store.AnswersError, match=r"sft.json is missing: python3 nox"):
        store.load(tmp_path, "sft")
    file = store.path(tmp_path, "sft")
    file.parent.mkdir(parents=True)
    file.write_text('{"schema": 0}')
    with pytest.raises(store.AnswersError, match="sft.json is not of schema 1"):
        store.load(tmp_path, "sft")
