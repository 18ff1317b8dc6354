"""In which order cases should run: the ranker, the formula, baselines, validation."""
