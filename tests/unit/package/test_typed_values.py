"""Durations and shares, as users write them in options and settings."""

from __future__ import annotations

import math

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testopt.cli.values import DURATION, SHARE, share_type
from testopt.durations import format_duration, parse_duration
from testopt.errors import SettingsError
from testopt.settings import Settings
from testopt.shares import parse_share


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h30m", 5400), ("1.5 h", 5400), ("90s", 90), ("2 min 5 s", 125),
     ("250ms", 0.25), (" 1m ", 60)],
)  # fmt: skip
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", " ", "m", "10x", "-5m", "1:30", "nan", "1e9", "5m later"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="write it like 90s, 10m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["10", "1h30", "0"])
def test_a_duration_needs_a_unit(text):
    with pytest.raises(ValueError, match="add a unit"):
        parse_duration(text)


@given(st.floats(0, 1e6))
def test_durations_are_written_as_they_are_read(seconds):
    error = 0.5 if 9.95 <= seconds < 3600 else 30.0 if seconds >= 3600 else 0.06
    assert math.isclose(parse_duration(format_duration(seconds)), seconds, abs_tol=error)


@pytest.mark.parametrize(
    ("text", "share"),
    [("0.95", 0.95), ("95%", 0.95), (" 5 % ", 0.05), (".5", 0.5), ("1", 1.0), ("100%", 1.0),
     ("0.5%", 0.005), ("5e-2", 0.05)],
)  # fmt: skip
def test_shares_are_read(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "meant"), [("95", "0.95"), ("99.9", "0.999"), ("0,95", "0.95"), ("80", "0.8")]
)
def test_a_share_that_is_a_percentage_gets_a_proposal(text, meant):
    with pytest.raises(ValueError, match=rf"did you mean {meant}\?"):
        parse_share(text)
    assert parse_share(meant) > 0


@pytest.mark.parametrize("text", ["0", "1.5", "-1", "200", "150%", "-0.5", "much", "", "nan", "%"])
def test_what_is_no_share_is_refused_without_a_proposal(text):
    with pytest.raises(ValueError, match="Invalid share") as caught:
        parse_share(text)
    assert "mean" not in str(caught.value)


def test_ends_are_allowed_where_they_make_sense():
    assert parse_share("0", zero=True) == 0.0
    with pytest.raises(ValueError, match="below 1"):
        parse_share("1", one=False)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [(SHARE, "95", "did you mean 0.95?"), (DURATION, "10", "examples: 90s, 10m, 1h30m"),
     (share_type(zero=True), "80", "did you mean 0.8?")],
)  # fmt: skip
def test_options_say_what_to_write(kind, text, words):
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["recall", "explore", "refresh", "rollback_level"])
def test_settings_take_the_same_shares(tmp_path, name):
    (tmp_path / "pyproject.toml").write_text(f'[tool.testopt]\n{name} = "90%"\n')
    assert getattr(Settings.load(tmp_path, env={}), name) == pytest.approx(0.9)
    (tmp_path / "pyproject.toml").write_text(f"[tool.testopt]\n{name} = 90\n")
    with pytest.raises(SettingsError, match=r"did you mean 0\.9\?"):
        Settings.load(tmp_path, env={})
    assert getattr(Settings.load(env={f"TESTOPT_{name.upper()}": "0"}), name) == 0.0
