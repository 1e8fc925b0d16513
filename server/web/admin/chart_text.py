"""A chart in words and plain values: what its page, its JSON and its CSV show alike."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from server.services import periods
from server.services.charts import Bucket, Chart, Gap
from server.services.periods import DAY, HOUR, WIDTHS, Period

MINUTE = timedelta(minutes=1)
_TICKS: tuple[tuple[timedelta, timedelta, tuple[int, ...]], ...] = (
    (10 * MINUTE, MINUTE, (1, 2, 5, 10)),
    (3 * HOUR, 5 * MINUTE, (5, 10, 15, 20, 30, 60)),
    (3 * DAY, HOUR, (1, 2, 3, 4, 6, 12, 24)),
    (120 * DAY, DAY, (1, 2, 7, 14, 28)),
)
"""For charts up to so long: how far apart marks on the time axis can be, and every how many-th is taken
where there is no room for all."""
_MONTHS: tuple[int, ...] = (1, 2, 3, 6, 12)
_DRAWN = 4_000
"""A gap shorter than this fraction of the chart is narrower than a pixel."""

_UNITS = (
    (timedelta(seconds=15), "seconds"),
    (MINUTE, "minute"),
    (5 * MINUTE, "5 minutes"),
    (15 * MINUTE, "quarter of an hour"),
    (HOUR, "hour"),
    (7 * HOUR, "6 hours"),
    (25 * HOUR, "day"),
)
"""What spans up to so long are called."""

REASONS = {
    "connection": "the camera did not answer",
    "behind": "analysis could not keep up",
    "detector": "the detector did not answer",
    "quarantined": "a part that did harm was left out",
    "clock": "the clock was set",
    "lost": "the watcher, or a part of the stream, was lost",
    "picture": "the picture changed its shape",
    "disabled": "the camera was switched off",
    "changed": "the settings were changed",
    "source changed": "the camera's address was changed",
    "late": "the database was away",
    "end": "the file was over",
    "import": "the recording was over",
    "never": "nothing had been watched before",
}

SERIES = {
    "passed": "Passed",
    "in": "In",
    "out": "Out",
    "net": "Net",
    "peak": "Most at once",
    "average": "On average",
}
"""What a bucket may be asked for, and what it is called."""
_FIELDS = {"passed": "passes", "in": "into"}
"""Where those are found in a bucket, if not under their own name."""


def series_of(chart: Chart) -> list[str]:
    """What there is to show of a processor: names of SERIES in their order."""
    if chart.subject.metric == "objects":
        return ["peak", "average"]
    total = chart.total
    passes, into, out = total.passes or 0, total.into or 0, total.out or 0
    # Where there are no lines, each pass through a zone is one out: that says nothing more.
    directed = chart.subject.has_lines or into > 0 or out != passes
    if not directed:
        return ["passed"]
    apart = chart.subject.has_zones or passes != into + out
    return (["passed"] if apart else []) + ["in", "out", "net"]


def as_json(chart: Chart, period: Period) -> dict[str, Any]:
    """Everything the page draws, as docs/charts.md describes it."""
    zone = period.zone
    shown = series_of(chart)
    whole = chart.stop - chart.start
    return {
        "processor": chart.subject.id,
        "name": chart.subject.name,
        "kind": chart.subject.kind,
        "camera": chart.subject.camera,
        "period": period.name,
        "bucket": period.bucket,
        "title": title(period, chart.now),
        "zone": zone.key,
        "start": iso(chart.start, zone),
        "stop": iso(chart.stop, zone),
        "now": iso(chart.now, zone),
        "running": chart.start <= chart.now < chart.stop,
        "series": [{"name": name, "label": SERIES[name]} for name in shown],
        "sums": sums(chart, shown, zone),
        "note": note(chart),
        "buckets": [row(bucket, shown, period) for bucket in chart.buckets],
        "unobserved": [_gap(gap, zone) for gap in chart.gaps if gap.stop - gap.start >= whole / _DRAWN],
        "steps": None
        if chart.steps is None
        else [{"at": iso(step.at, zone), "count": step.count} for step in chart.steps],
        "ticks": ticks(chart.start, chart.stop, zone),
    }


def row(bucket: Bucket, shown: list[str], period: Period) -> dict[str, Any]:
    """A bucket as plain values. Numbers are those of the table and of the CSV."""
    values: dict[str, Any] = {
        "start": iso(bucket.start, period.zone),
        "stop": iso(bucket.stop, period.zone),
        "label": label(bucket.start, bucket.stop, period),
    }
    for name in shown:
        value = _of(bucket, name)
        values[name] = round(value, 2) if isinstance(value, float) else value
    return values | {"observed": bucket.observed}


def sums(chart: Chart, shown: list[str], zone: ZoneInfo) -> list[dict[str, str]]:
    """The whole span in figures: what each is, and what it is called."""
    total = chart.total
    told: list[dict[str, str]] = []
    for name in shown if "passed" in shown or "peak" in shown else ["passed", *shown]:
        value = _of(total, name)
        told.append({"name": name, "label": SERIES[name], "value": number(value, signed=name == "net")})
    told.append({"name": "observed", "label": "Observed", "value": percent(total.observed)})
    if chart.busiest is not None:
        busiest = chart.busiest
        value = span(busiest.start, busiest.stop, zone, dated=chart.stop - chart.start > 25 * HOUR)
        many = f"{number(busiest.average)} on average" if "peak" in shown else number(_many(busiest))
        told.append({"name": "busiest", "label": f"Busiest {_unit(busiest)} ({many})", "value": value})
    return told


def note(chart: Chart) -> str:
    """What is said in place of a chart that has nothing to show; else empty."""
    if chart.start > chart.now:
        return "This time has not come yet."
    if chart.total.observed or chart.total.passes is not None:
        return ""
    why = chart.gaps[-1].why if chart.gaps else ""
    reason = REASONS.get(why, why)
    return "Nothing was observed in this span" + (f": {reason}." if reason else ".")


def title(period: Period, now: datetime) -> str:
    """The span in words."""
    start, stop = (moment.astimezone(period.zone) for moment in (period.start, period.stop))
    today = now.astimezone(period.zone).date()
    if period.name == "day":
        ago = {0: "Today, ", 1: "Yesterday, "}.get((today - start.date()).days, "")
        return f"{ago}{start:%A} {start.day} {start:%B %Y}"
    if period.name == "week":
        last = (stop - MINUTE).date()
        return f"Week {start.isocalendar().week}: {start.day} {start:%B} – {last.day} {last:%B %Y}"
    return span(period.start, period.stop, period.zone, dated=True, year=True)


def label(start: datetime, stop: datetime, period: Period) -> str:
    """A bucket's time in words, dated where the chart goes over several days."""
    width = WIDTHS[period.bucket]
    local, end = start.astimezone(period.zone), (stop - MINUTE).astimezone(period.zone)
    if width == DAY:
        return f"{local:%a} {local.day} {local:%b}"
    if width > DAY:
        return f"{local.day} {local:%b} – {end.day} {end:%b}"
    return span(start, stop, period.zone, dated=period.stop - period.start > 25 * HOUR)


def span(start: datetime, stop: datetime, zone: ZoneInfo, *, dated: bool, year: bool = False) -> str:
    """`13:00–13:15`, or `Fri 27 Mar, 13:00–13:15`; with the offset where clocks show it twice."""
    begin, end = start.astimezone(zone), stop.astimezone(zone)
    seconds = "%H:%M:%S" if begin.second or end.second else "%H:%M"
    first, last = (f"{moment:{seconds}}{_offset(moment)}" for moment in (begin, end))
    if not dated:
        return f"{first}–{last}"
    pattern = "%b %Y" if year else "%b"
    day = f"{begin:%a} {begin.day} {begin:{pattern}}"
    if (stop - timedelta(microseconds=1)).astimezone(zone).date() == begin.date():
        return f"{day}, {first}–{last}"
    return f"{day}, {first} – {end:%a} {end.day} {end:{pattern}}, {last}"


def ticks(start: datetime, stop: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Marks for the time axis. Those whose `unit` is a multiple of one of `every` are enough of them."""
    length = stop - start
    width, every = DAY, _MONTHS
    for limit, apart, multiples in _TICKS:
        if length <= limit:
            width, every = apart, multiples
            break
    marks = []
    # None at the very end: there the next span begins.
    for moment in periods.edges(start, stop, width, zone)[:-1]:
        mark = _mark(moment.astimezone(zone), width, length, months=every is _MONTHS)
        if mark is not None:
            marks.append({"at": iso(moment, zone)} | mark)
    return {"every": list(every), "marks": marks}


def _mark(local: datetime, width: timedelta, length: timedelta, *, months: bool) -> dict[str, Any] | None:
    """A mark at a moment; None where none belongs, such as at the ragged end of a chart."""
    midnight = not (local.hour or local.minute or local.second)
    if width < DAY:
        step = width // MINUTE
        if local.second or (local.hour * 60 + local.minute) % step:
            return None
        unit = local.hour if width == HOUR else local.hour * 60 + local.minute
        day = f"{local:%a} {local.day}"
        dated = midnight and length > 25 * HOUR
        return {"unit": unit, "label": day if dated else f"{local:%H:%M}", "strong": dated}
    if not midnight or (months and local.day != 1):
        return None
    if months:
        year = local.month == 1
        return {"unit": local.month - 1, "label": f"{local:%Y}" if year else f"{local:%b}", "strong": year}
    day = f"{local:%a} {local.day}" if length < 8 * DAY else f"{local.day} {local:%b}"
    return {"unit": local.toordinal() - 1, "label": day, "strong": local.weekday() == 0}


def number(value: float | None, *, signed: bool = False) -> str:
    """A figure; a dash where there is none."""
    if value is None:
        return "–"
    text = (
        f"{value:+,}" if signed and value else f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
    )
    return text.replace("-", "−")


def percent(share: float | None) -> str:
    """A share in per cent; never "0 %" or "100 %" for what is only nearly so."""
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    if not 0.01 <= share <= 0.99:
        return "under 1 %" if share < 0.01 else "over 99 %"
    return f"{100 * share:.0f} %"


def iso(moment: datetime, zone: ZoneInfo) -> str:
    """ISO 8601 with the zone's offset."""
    local = moment.astimezone(zone)
    return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")


def _of(bucket: Bucket, name: str) -> Any:
    return getattr(bucket, _FIELDS.get(name, name))


def _many(bucket: Bucket) -> int | None:
    return bucket.passes or (bucket.into or 0) + (bucket.out or 0)


def _unit(bucket: Bucket) -> str:
    """What a bucket is called, also where the clocks were changed in it or the chart cuts it off."""
    length = bucket.stop - bucket.start
    return next((name for longest, name in _UNITS if length <= longest), "week")


def _offset(local: datetime) -> str:
    """The offset from UTC where the same local time comes twice."""
    unclear = local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()
    return f"{local:%z}" if unclear else ""


def _gap(gap: Gap, zone: ZoneInfo) -> dict[str, str]:
    return {
        "start": iso(gap.start, zone),
        "stop": iso(gap.stop, zone),
        "why": REASONS.get(gap.why, gap.why),
    }
