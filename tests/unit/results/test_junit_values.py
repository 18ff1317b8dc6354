from datetime import UTC, datetime

import pytest

from testopt.results.junit_values import message_digest, parse_seconds, parse_timestamp


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.25", 0.25),
        ("1e-3", 0.001),
        ("1,234.56", 1234.56),
        ("1.234,56", 1234.56),
        ("1,234,567.5", 1234567.5),
        ("0,03", 0.03),
        ("1 234.5", 1234.5),
        ("5806.690s", 5806.69),
        ("80.803us", 80.803e-6),
        ("80.803µs", 80.803e-6),
        ("12 ms", 0.012),
        ("2m", 120.0),
        ("1234567890123", 1234.567890123),
        ("", None),
        (None, None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("<<computed>>", None),
        ("1.2.3", None),
        ("5 parsecs", None),
    ],
)
def test_durations_in_all_forms(text, seconds):
    assert parse_seconds(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-06T07:08:09", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09.123456789+02:00", datetime(2024, 5, 6, 5, 8, 9, 123456, tzinfo=UTC)),
        ("Mon, 06 May 2024 07:08:09 GMT", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("26 Jun 2018 15:41:26 GMT", datetime(2018, 6, 26, 15, 41, 26, tzinfo=UTC)),
        ("Tue Jun 26 15:41:26 2018", datetime(2018, 6, 26, 15, 41, 26, tzinfo=UTC)),
        ("2024-05-06 07:08", datetime(2024, 5, 6, 7, 8, tzinfo=UTC)),
        ("1714979289", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("1714979289000", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
    ],
)
def test_timestamps_in_all_forms(text, moment):
    assert parse_timestamp(text) == moment


@pytest.mark.parametrize(
    "text", ["", None, "soon", "0", "0001-01-01T00:00:00", "1e300", "9999-12-31T23:59:59-12:00"]
)
def test_impossible_timestamps_are_none(text):
    assert parse_timestamp(text) is None


def test_times_in_the_future_are_not_believed():
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert parse_timestamp("2024-01-01T20:00:00", now=now) is not None
    assert parse_timestamp("2024-01-03T00:00:00", now=now) is None


def test_digest_survives_numbers_and_space_but_not_words():
    one = message_digest("assert 3 == 4\n at 0x7f3a, line 12")
    assert one == message_digest("assert 13 == 4  at 0xdead, line 9")
    assert one != message_digest("assert 3 != 4\n at 0x7f3a, line 12")
    assert message_digest(" \n") is None
