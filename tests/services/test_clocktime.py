from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from server.errors import InvalidInput
from server.services.clocktime import format_time, parse_time

BERLIN = ZoneInfo("Europe/Berlin")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2020-03-27 00:00:00.0", utc(2020, 3, 26, 23)),
        ("2020-03-27T00:00:00", utc(2020, 3, 26, 23)),
        (" 2020-03-27 12:30 ", utc(2020, 3, 27, 11, 30)),
        ("2020-03-27", utc(2020, 3, 26, 23)),
        ("2020-07-01 12:00:00.123456789", utc(2020, 7, 1, 10, 0, 0, 123456)),
        ("2020-07-01 12:00:00,5", utc(2020, 7, 1, 10, 0, 0, 500000)),
    ],
)
def test_a_time_without_offset_is_local(text: str, expected: datetime) -> None:
    parsed = parse_time("ts", text, BERLIN)
    assert parsed.utc == expected
    assert not parsed.has_offset


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2020-03-27T00:00:00Z", utc(2020, 3, 27)),
        ("2020-03-27t00:00:00z", utc(2020, 3, 27)),
        ("2020-03-27T00:00:00.25+00:00", utc(2020, 3, 27, 0, 0, 0, 250000)),
        ("2020-03-27 05:30:00+0530", utc(2020, 3, 27)),
        ("2020-03-27 05:00:00+05", utc(2020, 3, 27)),
        ("2020-03-26T20:30:00-03:30", utc(2020, 3, 27)),
    ],
)
def test_a_time_with_offset_is_taken_at_its_word(text: str, expected: datetime) -> None:
    parsed = parse_time("ts", text, BERLIN)
    assert parsed.utc == expected
    assert parsed.has_offset


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2020-13-01 00:00:00",
        "2020-02-30 00:00:00",
        "2020-03-27 24:00:00",
        "2020-03-27 00:00:60",
        "2020-03-27 00:00:00.",
        "2020-03-27 00:00:00 Europe/Berlin",
        "2020-03-27T00:00:00+24:00",
        "0000-01-01 00:00:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "२०२०-०३-२७ ००:००:००",
        "\ud800",
        "9" * 10_000,
        None,
        True,
        1585267200,
        1e9,
        ["2020-03-27"],
        {},
    ],
)
def test_what_is_no_time_is_refused_by_the_fields_name(text: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_time("start_ts", text, BERLIN)
    assert caught.value.field == "start_ts"
    assert len(str(caught.value)) < 300


def test_a_local_time_that_exists_twice_is_the_first_of_the_two() -> None:
    assert parse_time("ts", "2020-10-25 02:30:00", BERLIN).utc == utc(2020, 10, 25, 0, 30)


def test_a_local_time_that_does_not_exist_is_read_as_before_the_change() -> None:
    parsed = parse_time("ts", "2020-03-29 02:30:00", BERLIN)
    assert parsed.utc == utc(2020, 3, 29, 1, 30)
    assert format_time(parsed.utc, BERLIN, with_offset=False) == "2020-03-29 03:30:00.000000"


def test_times_are_written_in_the_zone_with_or_without_offset() -> None:
    moment = utc(2020, 7, 1, 10, 0, 0, 5)
    assert format_time(moment, BERLIN, with_offset=False) == "2020-07-01 12:00:00.000005"
    assert format_time(moment, BERLIN, with_offset=True) == "2020-07-01T12:00:00.000005+02:00"
    assert format_time(utc(2020, 7, 1), timezone.utc, with_offset=True) == "2020-07-01T00:00:00.000000+00:00"
