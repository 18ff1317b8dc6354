"""Which cases may be left out: threshold, promise, promotion, must-run rules, log of plans."""

PLAN_LOG = "state/track.json"  # where the log of plans is kept
