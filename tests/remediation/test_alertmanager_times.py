"""The time formats of senders, and invalid times."""

from datetime import UTC, datetime

import pytest

from remediation.alertmanager.times import read_time

NINE = datetime(2026, 11, 28, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("2026-11-28T09:00:00Z", NINE),
        ("2026-11-28t09:00:00z", NINE),
        ("2026-11-28 09:00:00Z", NINE),
        (" 2026-11-28T09:00:00Z\n", NINE),
        ("2026-11-28T09:00:00.1Z", NINE.replace(microsecond=100_000)),
        ("2026-11-28T09:00:00,5Z", NINE.replace(microsecond=500_000)),
        ("2026-11-28T09:00:00.27490624Z", NINE.replace(microsecond=274_906)),
        ("2026-11-28T09:00:00." + "9" * 5000 + "Z", NINE.replace(microsecond=999_999)),
        ("2026-11-28T14:30:00+05:30", NINE),
        ("2026-11-28T14:30:00+0530", NINE),
        ("2026-11-28T04:00:00-05", NINE),
        ("2026-11-28T17:05:43+08:05:43", NINE),
        ("2026-11-28T08:59:60Z", NINE),
        ("2016-12-31T23:59:60.5Z", datetime(2017, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("20261128T090000Z", NINE),
        # Go's time.Time.String().
        ("2026-11-28 09:00:00 +0000 UTC", NINE),
        ("2026-11-28 09:00:00.123 +0000 UTC m=+0.1", NINE.replace(microsecond=123_000)),
        ("2026-11-28 10:00:00.5 +0100 CET m=-12.000000001", NINE.replace(microsecond=500_000)),
        ("2026-11-28 06:00:00 -0300 -03", NINE),
        # Unix time.
        (1_795_856_400, NINE),
        (1_795_856_400.5, NINE.replace(microsecond=500_000)),
        (1_795_856_400_123, NINE.replace(microsecond=123_000)),
        ("1795856400", NINE),
        ("1795856400.000001", NINE.replace(microsecond=1)),
        ("1795856400123", NINE.replace(microsecond=123_000)),
        ("1795856400123456", NINE.replace(microsecond=123_456)),
        ("1795856400123456789", NINE.replace(microsecond=123_456)),
        # Unset: the zero values of clocks.
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("0001-01-01T08:05:43+08:05", None),
        ("0000-12-31T19:03:58-04:56", None),
        ("0001-01-01 00:00:00 +0000 UTC", None),
        ("1970-01-01T00:00:00Z", None),
        ("1970-01-01T02:00:00+02:00", None),
        ("1969-12-31T19:00:00-05:00", None),
        (0, None),
        ("0", None),
        (0.0, None),
        (-62_135_596_800, None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_read_in_every_format(sent, expected):
    time, note = read_time(sent)

    assert (time, note) == (expected, "")
    assert time is None or time.tzinfo is UTC


def test_a_time_without_a_zone_is_utc_and_has_a_note():
    for sent in ("2026-11-28T09:00:00", "2026-11-28 09:00:00", "2026-W48-6T09:00:00"):
        assert read_time(sent) == (NINE, f"is {sent!r}, without a time zone: UTC is assumed")


@pytest.mark.parametrize(
    "sent",
    [
        "never", "2026-13-01T00:00:00Z", "2026-11-28T25:00:00Z", "2026-11-28T09:00:61Z",
        "2026-11-28T09:00:00+99:99", "1e9999", "٢٠٢٦", "9" * 31, "-", True, False, [], {"a": 1},
        "x" * 100_000, "9999-12-31T23:59:59-23:59", "1795856400 UTC",
    ],
)  # fmt: skip
def test_an_invalid_time_is_none_and_has_a_short_note(sent):
    time, note = read_time(sent)

    assert time is None
    assert note.startswith("is ")
    assert note.endswith("which is not a valid time: it counts as missing")
    assert len(note) < 200


@pytest.mark.parametrize("sent", ["9999-01-01T00:00:00Z", "9998-12-31T23:59:59-23:59"])
def test_a_time_that_no_database_stores_is_none(sent):
    assert read_time(sent) == (None, "is after the year 9998: it counts as missing")
