"""Bounds the time that a user's own regular expression may take."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from testopt.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Stop the matching of a regular expression that takes too long.

    Python looks for signals while it matches, in the main thread alone; elsewhere, and where the
    process has an alarm of its own, nothing is bounded.

    Parameters
    ----------
    seconds : float
    what : str
        Which expression it is, for the error.

    Raises
    ------
    SettingsError
        When the time is over.
    """

    def stop(_signal: int, _frame: object) -> NoReturn:
        raise SettingsError(
            f"{what} takes longer than {seconds:g} s",
            "avoid repetitions inside repetitions, such as (a+)+",
        )

    is_free = signal.getsignal(signal.SIGALRM) in {signal.SIG_DFL, None}
    if threading.current_thread() is not threading.main_thread() or not is_free:
        yield
        return
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
