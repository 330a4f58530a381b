"""A folder that cannot be written to is found before training, not after it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from snippets.preflight.request import PreflightError


def require_writable(output_dir: str | Path) -> Path:
    """Make a folder and write a file there, or raise; the file is removed again.

    Raises
    ------
    PreflightError
        If it cannot be made or written, with the reason of the system.
    """
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            probe.write(bytes(2**16))
            probe.flush()
    except OSError as error:
        raise PreflightError(
            f"nothing can be written to output_dir {folder.absolute()} "
            f"({error.strerror}): name another folder in output_dir"
        ) from error
    return folder
