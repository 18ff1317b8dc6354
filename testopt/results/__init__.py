"""Reads test reports as rows: JUnit XML, native reports, tables, archives, coverage data."""
