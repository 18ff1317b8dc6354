"""Models that ranking and risk share: forests, linear models, calibration, metrics, drift."""
