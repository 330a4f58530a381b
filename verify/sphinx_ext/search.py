"""Stems each word of the search index once; Sphinx does it for each page anew."""

from __future__ import annotations

from functools import cache

from sphinx.search.en import SearchEnglish


class English(SearchEnglish):
    """Sphinx's own English, with a memory; for ``app.add_search_language``."""

    def init(self, options: dict[str, str]) -> None:
        """Start with an empty memory, as each build does."""
        super().init(options)
        self.stem = cache(super().stem)
