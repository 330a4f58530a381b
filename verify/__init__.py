"""Runs the notebooks and keeps the evidence, so that a page shows only what held."""
