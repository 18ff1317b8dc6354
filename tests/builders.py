"""What tests of many modules set up: features of a run from facts."""

from dataclasses import fields

import numpy as np

from testopt.features.case_facts import CaseFacts
from testopt.features.run_features import NAMES, RunFeatures

COUNTS = ("executions", "failures")
NUMBERS = ("runs_since_failure", "ticks_since_failure", "age_ticks", "seconds")


def run_features(n, *, sources_read=False, **values):
    """Return features of `n` cases: facts, and columns of the matrix by name."""
    facts = [_fact(field.name, values.pop(field.name, None), n) for field in fields(CaseFacts)]
    matrix = np.full((n, len(NAMES)), np.nan, np.float32)
    for name, value in values.items():
        matrix[:, NAMES.index(name)] = value
    return RunFeatures.of(CaseFacts(*facts), matrix, sources_read=sources_read)


def _fact(name, value, n):
    dtype = np.int32 if name in COUNTS else np.float32 if name in NUMBERS else bool
    unknown = np.nan if name in NUMBERS else 0
    return np.broadcast_to(np.asarray(unknown if value is None else value, dtype), n)
