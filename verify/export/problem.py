"""Says what cannot be exported and where, so that no text is dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One construct that has no form in MDX; ``line`` counts from 1."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        """Return ``file:line: what``."""
        return f"{self.path}:{self.line}: {self.what}"


class ExportError(Exception):
    """Stops the export of one page."""

    def __init__(self, path: str, line: int, what: str) -> None:
        self.problem = Problem(path, line, what)
        super().__init__(str(self.problem))
