"""From a report to rows: JUnit XML, native reports, tables, archives, coverage data."""
