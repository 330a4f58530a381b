"""Tests that a person runs against an installation of their own."""
