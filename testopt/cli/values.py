"""The values that users type behind options: durations, shares and parts."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from testopt.durations import parse_duration
from testopt.parts import parse_part
from testopt.shares import parse_share

if TYPE_CHECKING:
    from collections.abc import Callable

_Value = TypeVar("_Value")


class _Parsed(click.ParamType[_Value], Generic[_Value]):
    """What a function reads from the text that the user wrote, or refuses with a ValueError."""

    def __init__(self, name: str, parse: Callable[[str], _Value]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> _Value:
        """Parse what the user wrote."""
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Number(click.FloatRange):
    """A number within bounds; no bound holds "nan" or "inf" back."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse what the user wrote."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


DURATION = _Parsed("duration", parse_duration)  # 10m, in seconds
PART = _Parsed("part", parse_part)  # 2/5
SHARE = _Parsed("share", parse_share)  # 0.95 or 95%


def share_type(*, zero: bool = False, one: bool = True) -> click.ParamType[float]:
    """Return the type of a share for which 0 or 1 make sense, or not."""
    return _Parsed("share", partial(parse_share, zero=zero, one=one))
