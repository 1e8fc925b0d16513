"""Spans of time by the clock on the wall."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.services.periods import DAY, HOUR, MOST_BUCKETS, WIDTHS, edges, fitting, midnight, parse_period

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo")
NOW = datetime(2026, 3, 27, 13, 37, 21, tzinfo=timezone.utc)

_1995 = datetime(1995, 1, 1, tzinfo=timezone.utc)
moments = st.timedeltas(timedelta(), timedelta(days=45 * 365)).map(lambda since: _1995 + since)
zones = st.sampled_from(ZONES).map(ZoneInfo)


def ask(now: datetime = NOW, zone: ZoneInfo = BERLIN, **given: str) -> list[str]:
    """The local bounds of what is asked for."""
    period = parse_period({name.rstrip("_"): value for name, value in given.items()}, zone, now)
    return [f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in (period.start, period.stop)]


def test_without_a_time_it_is_the_present_one() -> None:
    assert ask() == ["2026-03-27 00:00", "2026-03-28 00:00"]
    assert ask(period="hour") == ["2026-03-27 14:00", "2026-03-27 15:00"]
    assert ask(period="week") == ["2026-03-23 00:00", "2026-03-30 00:00"]
    assert ask(period="custom") == ["2026-03-26 14:38", "2026-03-27 14:38"]


def test_a_time_within_it_is_enough() -> None:
    assert ask(period="day", from_="2026-03-01T23:59") == ["2026-03-01 00:00", "2026-03-02 00:00"]
    assert ask(period="hour", from_="2026-03-01 05:59") == ["2026-03-01 05:00", "2026-03-01 06:00"]
    assert ask(period="week", from_="2026-03-01") == ["2026-02-23 00:00", "2026-03-02 00:00"]
    own = {"from_": "2026-03-01", "to": "2026-03-01T13:45"}
    assert ask(period="custom", **own) == ["2026-03-01 00:00", "2026-03-01 13:45"]


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    first = parse_period({"period": "hour", "from": "2026-10-25T02:30"}, BERLIN, NOW)
    second = first.after()
    assert (first.query()["from"], second.query()["from"]) == (
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
    )
    for period in (first, second):
        assert parse_period(period.query(), BERLIN, NOW) == period
        # As it arrives where the plus sign was not escaped.
        unescaped = {name: value.replace("+", " ") for name, value in period.query().items()}
        assert parse_period(unescaped, BERLIN, NOW) == period
    assert second.after().query()["from"] == "2026-10-25T03:00"


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"period": "month"}, "period", "hour, day, week, custom"),
        ({"from": "yesterday"}, "from", "is not a time"),
        ({"from": "2026-02-30"}, "from", "is no time"),
        ({"from": "1900-01-01"}, "from", "between"),
        ({"period": "week", "from": "9999-12-31"}, "from", "between"),
        ({"period": "custom", "from": "2026-01-01", "to": "soon"}, "to", "is not a time"),
        ({"period": "custom", "from": "2026-01-02", "to": "2026-01-02"}, "to", "later than from"),
        ({"period": "custom", "from": "2026-01-01", "to": "2026-01-01T00:00:59"}, "to", "at least a minute"),
        ({"period": "custom", "from": "2020-01-01", "to": "2026-01-01"}, "to", "at most 1100 days"),
        ({"period": "custom", "from": "2027-01-01"}, "to", "later than from"),
        ({"period": "day", "bucket": "5min"}, "bucket", "15min or 1h"),
        ({"bucket": "x" * 500}, "bucket", "15min or 1h"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(given: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_period(given, BERLIN, NOW)
    assert caught.value.field == field
    assert len(str(caught.value)) < 200


@given(st.timedeltas(timedelta(minutes=80), timedelta(days=1_100)))
def test_ones_own_span_is_cut_into_some_dozens(length: timedelta) -> None:
    number = length / WIDTHS[fitting(length)]
    assert 24 <= number <= MOST_BUCKETS


@given(moments, zones, st.sampled_from(list(WIDTHS)), st.integers(1, 400), st.floats(-0.9, 0.9))
def test_buckets_follow_each_other_from_end_to_end(
    start: datetime, zone: ZoneInfo, bucket: str, many: int, more: float
) -> None:
    width = WIDTHS[bucket]
    stop = start + width * min(many, max(1, timedelta(days=900) // width)) + more * width / 2
    found = edges(start, stop, width, zone)
    assert (found[0], found[-1]) == (start, stop)
    changes = timedelta(hours=1) if width >= HOUR else timedelta()
    assert all(timedelta() < after - before <= width + changes for before, after in pairwise(found))
    for edge in found[1:-1]:
        local = edge.astimezone(zone)
        since = local.replace(tzinfo=None) - datetime.combine(local.date(), datetime.min.time())
        jumped = midnight(local.date() + DAY, zone) - midnight(local.date(), zone) != DAY
        assert jumped or since % min(width, DAY) == timedelta()


@given(moments, zones, st.sampled_from(["hour", "day", "week"]))
def test_the_next_begins_where_this_one_ends_and_the_one_before_it_is_this_one(
    at: datetime, zone: ZoneInfo, name: str
) -> None:
    period = parse_period({"period": name}, zone, at)
    assert period.start <= at < period.stop
    assert period.after().start == period.stop
    assert period.before().stop == period.start
    if name != "hour":
        assert period.after().before() == period
    assert parse_period(period.query(), zone, NOW) == period


@given(moments, zones, st.timedeltas(timedelta(minutes=2), timedelta(days=90)))
def test_ones_own_span_moves_by_its_length(at: datetime, zone: ZoneInfo, length: timedelta) -> None:
    at, length = at.replace(second=0, microsecond=0), length // timedelta(minutes=1) * timedelta(minutes=1)
    given = {"period": "custom", "from": at.isoformat(), "to": (at + length).isoformat()}
    period = parse_period(given, zone, NOW)
    assert period.after().start == period.stop
    assert period.before().stop == period.start
    assert abs(period.after().stop - period.stop - length) <= 2 * HOUR
    assert parse_period(period.query(), zone, NOW) == period


def test_a_day_that_begins_at_one_begins_at_one() -> None:
    zone = ZoneInfo("America/Sao_Paulo")
    begun = midnight(date(2018, 11, 4), zone)
    assert f"{begun.astimezone(zone):%Y-%m-%d %H:%M %z}" == "2018-11-04 01:00 -0200"
    assert f"{(begun - timedelta(seconds=1)).astimezone(zone):%H:%M}" == "23:59"
