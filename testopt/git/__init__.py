"""Reads git: processes, history, diffs, objects, and the change of a run."""
