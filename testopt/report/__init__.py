"""Reports in the formats of others: Markdown, SARIF."""
