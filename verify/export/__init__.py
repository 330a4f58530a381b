"""Writes the book as MDX that needs nothing of this repository, page by page."""
