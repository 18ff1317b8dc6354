"""In which order cases should run: the ranker, ways of ordering, baselines, validation."""
