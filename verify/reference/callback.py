"""A Training Hub callback that does nothing; workers read its class from this file."""

from __future__ import annotations

from training_hub.callbacks import TrainingHubCallback


class Silent(TrainingHubCallback):
    """Stands in for a reader's callback."""
