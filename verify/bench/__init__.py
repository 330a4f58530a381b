"""Measures what the project promises about time, beside the tools others use."""
