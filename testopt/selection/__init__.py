"""Which cases may be left out: threshold, promise, promotion, must-run rules, log of plans."""
