"""Settings that every test needs: one thread a process, no deadlines on a busy box."""

import os
import shutil
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when torch is first imported

import pytest
from hypothesis import settings

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# The same examples each time: a rare one that fails must not turn another change red.
# To look for new ones: pytest --hypothesis-profile=default
settings.register_profile("handbook", deadline=None, derandomize=True)
settings.load_profile("handbook")


@pytest.fixture(autouse=True)
def one_thread():
    """Hold torch to one thread, where a test imported it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def browser():
    """Start Chromium once; Playwright runs only once in a process."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: pages are not opened")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(
            executable_path=path, args=FLAGS, timeout=300_000
        )
        yield chromium
        chromium.close()
