"""What several tests of sign-in stand on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.snippets.odd_provider import OddProvider


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[OddProvider]:
    """A provider (double) that answers as a test tells it to."""
    found = OddProvider(tmp_path)
    yield found
    found.close()
