"""Which cases a change could affect: the import graph and the coverage index."""
