"""Finds the test runners of a project by its files; no program is run."""
