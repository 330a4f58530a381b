"""Settings that every test needs: one thread a process, no deadlines on a busy box."""

import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when torch is first imported

import pytest
from hypothesis import settings

settings.register_profile("handbook", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("handbook")


@pytest.fixture(autouse=True)
def one_thread():
    """Hold torch to one thread, where a test imported it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
