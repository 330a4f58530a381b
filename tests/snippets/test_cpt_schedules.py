"""The schedules that the page on continued pre-training explains are as it says."""

from __future__ import annotations

import pytest

from snippets import schedule

BLOCKS, BATCH = 12_800, 64


def test_the_three_schedules_of_the_page():
    # region: schedules
    run = {"num_samples": BLOCKS, "effective_batch_size": BATCH, "num_epochs": 1}
    again = schedule.plan(**run, learning_rate=1e-4, warmup_steps=20)
    open_end = schedule.plan(
        **run, learning_rate=1e-4, warmup_steps=20,
        lr_scheduler="wsd", num_decay_steps=40,
    )  # fmt: skip
    from_the_end = schedule.plan(
        **run, learning_rate=1e-5, lr_scheduler="cosine_with_min_lr", min_lr_rate=0.01
    )
    # endregion: schedules
    assert again.learning_rates[20] == again.highest == 1e-4
    assert again.learning_rates[-1] < 1e-7
    assert open_end.learning_rates[20:160] == (1e-4,) * 140
    assert open_end.learning_rates[-1] < 0.1 * open_end.highest
    assert from_the_end.learning_rates[0] == from_the_end.highest == 1e-5
    assert from_the_end.learning_rates[-1] == pytest.approx(1e-7, rel=0.05)
