"""Numbers that describe a case in a run: its history, co-failures, and the table of them all."""
