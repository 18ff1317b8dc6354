"""Knows test runners: the form of their case ids, where a case stands, how to ask for it."""
