"""Makes sure that a build with warnings cannot turn green by being run again.

Sphinx keeps the pages it has read. With ``-W --keep-going`` a second build reads only
changed pages, so the warnings of the first are gone and it passes with the same fault.
"""

from __future__ import annotations

from pathlib import Path

from sphinx.application import ENV_PICKLE_FILENAME, Sphinx


def forget_after_warnings(app: Sphinx, exception: Exception | None) -> None:
    """Delete the saved pages when this build had a warning (``build-finished``)."""
    if app._warncount or exception is not None:
        (Path(app.doctreedir) / ENV_PICKLE_FILENAME).unlink(missing_ok=True)
