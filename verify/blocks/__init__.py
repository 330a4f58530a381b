"""Checks every code block that a reader could paste, in every page, by its language."""
