"""The planned steps and learning rates are those of a real Trainer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.schedule import ScheduleError, plan, pretraining_blocks


def one_weight(sizes):
    """Make the smallest model that Trainer trains; it notes its batch sizes."""
    import torch

    class OneWeight(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            sizes.append(len(x))
            return {"loss": (self.weight * x).mean()}

    return OneWeight()


def trained(folder, samples, micro, accumulation, **arguments):
    """Train for real; return learning rates and samples of every step, and the log."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    rates, taken, sizes = [], [], []

    class Watch(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, optimizer, **kwargs):
            rates.append(optimizer.param_groups[0]["lr"])
            taken.append(sum(sizes))
            sizes.clear()

    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        logging_steps=1,
        **arguments,
    )
    trainer = Trainer(
        model=one_weight(sizes),
        args=arguments,
        train_dataset=[{"x": float(i)} for i in range(samples)],
        data_collator=lambda rows: {"x": torch.tensor([row["x"] for row in rows])},
        callbacks=[Watch()],
    )
    trainer.train()
    assert trainer.state.global_step == len(rates)
    return rates, taken, trainer.state.log_history


@pytest.mark.parametrize(
    ("samples", "micro", "accumulation", "epochs", "warmup", "scheduler", "kwargs"),
    [
        (32, 4, 1, 2, 3, "cosine", {}),
        (33, 4, 2, 3, 5, "linear", {}),
        (7, 4, 4, 3, 0, "cosine", {}),
        (10, 3, 2, 2, 2, "constant_with_warmup", {}),
        (40, 4, 1, 2, 4, "warmup_stable_decay", {"num_decay_steps": 6}),
        (21, 4, 1, 1.5, 0.25, "cosine_with_min_lr", {"min_lr": 1e-4}),
    ],
)
def test_the_plan_is_what_the_trainer_does(
    tmp_path, samples, micro, accumulation, epochs, warmup, scheduler, kwargs
):
    rates, taken, log = trained(
        tmp_path,
        samples,
        micro,
        accumulation,
        num_train_epochs=epochs,
        learning_rate=1e-2,
        warmup_steps=warmup,
        lr_scheduler_type=scheduler,
        lr_scheduler_kwargs=kwargs,
    )
    made = plan(
        samples, micro * accumulation, epochs, 1e-2, warmup, scheduler, **kwargs
    )
    assert made.learning_rates == pytest.approx(rates, rel=1e-12)
    assert list(made.samples_per_step) == taken
    assert made.steps == len(rates)
    # The log counts steps that are done: its step 1 is step 0 of the plan.
    logged = {row["step"]: row["learning_rate"] for row in log if "loss" in row}
    assert [logged[step + 1] for step in range(made.steps)] == pytest.approx(rates)


@given(samples=st.integers(1, 300), batch=st.integers(1, 40), epochs=st.integers(1, 5))
def test_every_sample_is_used_once_an_epoch(samples, batch, epochs):
    made = plan(samples, batch, epochs, 1e-4, lr_scheduler="constant")
    assert sum(made.samples_per_step) == samples * epochs
    assert made.steps == math.ceil(samples / batch) * epochs


def test_a_warm_up_longer_than_the_run_is_refused():
    made = plan(30, 1, 1, 2e-5, warmup_steps=100)
    with pytest.raises(ScheduleError) as error:
        made.require_peak()
    assert str(error.value) == (
        "warm-up of 100 steps is longer than the run of 30 steps: the learning rate "
        "would peak at 29 % of 2e-05 (5.8e-06). Lower warmup_steps below 30 or train "
        "longer."
    )


def test_one_step_of_warm_up_trains_nothing():
    made = plan(3, 8, 1, 2e-5, warmup_steps=10)
    assert made.learning_rates == (0.0,)
    with pytest.raises(ScheduleError, match="peak at 0 % of 2e-05"):
        made.require_peak()


def test_a_warm_up_as_long_as_the_run_misses_the_peak():
    with pytest.raises(ScheduleError, match="is as long as the run of 10 steps"):
        plan(10, 1, 1, 1e-3, warmup_steps=10).require_peak()


@pytest.mark.parametrize("scheduler", ["cosine", "linear", "constant_with_warmup"])
def test_a_warm_up_of_all_but_one_step_reaches_the_peak(scheduler):
    made = plan(10, 1, 1, 1e-3, warmup_steps=9, lr_scheduler=scheduler)
    assert made.require_peak() is made
    assert made.highest == pytest.approx(1e-3)


def test_wsd_is_short_for_warmup_stable_decay():
    made = plan(100, 1, 1, 1e-3, 10, "wsd", num_decay_steps=20)
    assert made.name == "warmup_stable_decay"
    assert set(made.learning_rates[10:80]) == {1e-3}
    assert made.learning_rates[-1] < 1e-4


def test_the_summary_says_what_the_optimizer_will_do():
    made = plan(35, 16, 2, 3e-3, warmup_steps=2, lr_scheduler="linear")
    assert made.summary() == (
        "6 steps of 16 samples, 3 in the last of an epoch\n"
        "  linear, warm-up 2 steps, highest learning rate 0.003 of 0.003"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_samples": 0}, "0 samples"),
        ({"effective_batch_size": 0}, "effective_batch_size 0"),
        ({"num_epochs": 0}, "0 epochs"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
        ({"lr_scheduler": "cosin"}, "scheduler cosin cannot be made"),
        ({"lr_scheduler": "wsd"}, "num_decay_steps"),
        ({"lr_scheduler": "reduce_lr_on_plateau"}, "follows the loss"),
    ],
)
def test_a_run_that_cannot_be_planned_is_refused(change, said):
    sound = {
        "num_samples": 8,
        "effective_batch_size": 2,
        "num_epochs": 1,
        "learning_rate": 1e-3,
    }
    with pytest.raises(ScheduleError, match=said):
        plan(**(sound | change))


@pytest.mark.parametrize(("tokens", "block"), [(1, 8), (8, 8), (9, 8), (1000, 128)])
def test_blocks_are_counted_as_training_hub_cuts_them(tokens, block):
    from datasets import Dataset
    from instructlab.training.sampler import PretrainingBlockDataset

    table = Dataset.from_dict({"input_ids": [list(range(tokens))]})
    cut = PretrainingBlockDataset(table, block, pad_token_id=0)
    assert pretraining_blocks(tokens, block) == len(cut)


def test_no_tokens_make_no_block():
    with pytest.raises(ScheduleError, match="0 tokens in blocks of 8"):
        pretraining_blocks(0, 8)
