"""Numbers that describe a change and a case. Pure functions and explicit state; no file, no git."""
