"""What comes from outside: git, JUnit XML, tables. Nothing else reads files or calls git."""
