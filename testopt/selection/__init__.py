"""Which cases may be left out: threshold, promise, promotion, must-run rules, log of plans."""

PLAN_LOG = "state/track.json"  # where the log of plans is kept
STALE_RUNS = 500  # since the live bundle was trained: nothing is left out any more
OLD_RUNS = 250  # since the last training: time for another one
