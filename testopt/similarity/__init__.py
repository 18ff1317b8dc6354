"""How close a change is to a case: words, names, calls, and what git wrote together."""
