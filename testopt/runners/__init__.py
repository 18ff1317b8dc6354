"""Test runners: what their case ids look like, where a case stands, how to ask for it."""
