"""Figures of a run that read well in light and dark, on a phone and in plain text."""
