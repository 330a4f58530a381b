"""Asks the installed libraries what becomes of each parameter, so no page types it."""
