"""Models that learn from arrays. They know no file and no git."""
