"""Charts: what a processor counted, hour by hour, to look at and to take along."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from flask import Response, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import BaseView, expose

from server.errors import HypersightError, InvalidInput, NotFound
from server.models import Processor
from server.services.charts import Chart, Subject, chart, subject, subjects
from server.services.periods import DAY, PERIODS, WIDTHS, Period, parse_period
from server.services.today import sparks, today
from server.web.admin import chart_text
from server.web.admin.export import Exported, stream
from server.web.admin.page import Page, viewer_zone
from server.web.auth import current_rights

_BUCKETS = {
    "1s": "1 second",
    "5s": "5 seconds",
    "15s": "15 seconds",
    "1min": "1 minute",
    "5min": "5 minutes",
    "15min": "15 minutes",
    "1h": "1 hour",
    "6h": "6 hours",
    "1d": "1 day",
    "7d": "1 week",
}
_SPARK = (96, 24)
"""Width and height of a sparkline, in pixels."""


class ChartView(Page, BaseView):  # type: ignore[misc]
    """The charts of one processor, and the way to those of all others."""

    def __init__(self) -> None:
        super().__init__(name="Charts", endpoint="chart", url="/admin/chart")

    @expose("/")  # type: ignore[untyped-decorator]
    def index(self) -> ResponseReturnValue:
        """A processor's chart; without a processor all there are to choose from."""
        if not request.args.get("processor"):
            return self._choice()
        about = _subject()
        now = datetime.now(timezone.utc)
        try:
            period = parse_period(request.args, viewer_zone(), now)
        except InvalidInput as error:
            name = request.args.get("period", "")
            period = parse_period({"period": name} if name in PERIODS else {}, viewer_zone(), now)
            return self._page(about, period, now, {"title": "This span cannot be shown"}, error), 400
        found = chart(about.id, period.start, period.stop, WIDTHS[period.bucket], period.zone, now)
        return self._page(about, period, now, chart_text.as_json(found, period))

    @expose("/data.json")  # type: ignore[untyped-decorator]
    def data(self) -> ResponseReturnValue:
        """The same as values. Docs: docs/charts.md."""
        try:
            found, period = _asked()
        except HypersightError as error:
            status = 400 if isinstance(error, InvalidInput) else 404 if isinstance(error, NotFound) else 503
            return jsonify(err=True, msg=str(error)), status
        return jsonify(chart_text.as_json(found, period))

    @expose("/data.csv")  # type: ignore[untyped-decorator]
    def table(self) -> Response:
        """The same as a file for a spreadsheet, a row a bucket."""
        found, period = _asked()
        shown = chart_text.series_of(found)
        columns = ["start", "stop", *shown, "observed"]
        rows = (chart_text.row(bucket, shown, period) for bucket in found.buckets)
        name = _file_name(found.subject, period)
        response = stream(
            Exported("chart.csv", "csv", [(one, one) for one in columns], rows, lambda row, one: row[one])
        )
        # A header is Latin-1: a name in another script goes beside one in plain letters.
        plain = name.encode("ascii", "ignore").decode()
        both = {"filename": plain} if plain == name else {"filename": plain, "filename*": _encoded(name)}
        response.headers.set("Content-Disposition", "attachment", **both)
        return response

    def _page(
        self,
        about: Subject,
        period: Period,
        now: datetime,
        values: dict[str, Any],
        wrong: InvalidInput | None = None,
    ) -> str:
        return self.render(
            "hypersight/chart.html",
            about=about,
            period=period,
            chart=values,
            links=_Links(about.id, period, now),
            typed=request.args if wrong else _typed(period),
            wrong=wrong,
            number=chart_text.number,
            percent=chart_text.percent,
        )

    def _choice(self) -> str:
        """Every processor that this person sees, with what it has counted today."""
        zone, now = viewer_zone(), datetime.now(timezone.utc)
        found = subjects(current_rights().visible(Processor.camera_id))
        ids = [one.id for one in found]
        # First the sums: they make roll-ups that are lacking.
        passed = today(ids, zone, now)
        drawn = {id_: _spark(values) for id_, values in sparks(ids, zone, now).items()}
        return self.render("hypersight/charts.html", subjects=found, today=passed, sparks=drawn, size=_SPARK)


class _Links:
    """Where to go from a chart: every one a page of its own that can be shared."""

    def __init__(self, processor_id: int, period: Period, now: datetime) -> None:
        self._id, self._period, self._now = processor_id, period, now

    def periods(self) -> list[tuple[str, str, bool]]:
        """The periods around what is shown: (name, address, whether it is the present one)."""
        period = self._period
        inside = period.start <= self._now < period.stop
        begin = period.start.astimezone(period.zone)
        found = []
        for name in PERIODS:
            given = {"period": name, "from": period.query()["from"]}
            if name == "custom":
                given = Period(name, period.start, period.stop, period.bucket, period.zone).query()
            elif inside:
                # The present hour, day or week, and on with the time.
                given = {"period": name}
            elif name in ("day", "week"):
                given["from"] = begin.date().isoformat()
            found.append((name, self._to(given), name == period.name))
        return found

    def buckets(self) -> list[tuple[str, str, bool]]:
        """The buckets to choose from: (what they are called, address, whether it is the present one)."""
        given = self._period.query() if "from" in request.args else {"period": self._period.name}
        return [
            (_BUCKETS[name], self._to(given | {"bucket": name}), name == self._period.bucket)
            for name in self._period.buckets
        ]

    def bucket(self) -> str:
        """What the present buckets are called."""
        return _BUCKETS[self._period.bucket]

    def before(self) -> str:
        """The period before."""
        return self._to(self._period.before().query())

    def after(self) -> str | None:
        """The period after; None where that has not come yet."""
        return self._to(self._period.after().query()) if self._period.stop <= self._now else None

    def present(self) -> str | None:
        """The present period; None on it, and for spans that somebody chose."""
        if self._period.name == "custom" or self._period.start <= self._now < self._period.stop:
            return None
        return self._to({"period": self._period.name})

    def same(self, endpoint: str) -> str:
        """The same chart as a file."""
        return _address(endpoint, self._id, self._period.query())

    def live(self) -> str:
        """Where what is shown can be asked for again; it goes on with the present period."""
        given = self._period.query() if "from" in request.args else {"period": self._period.name}
        if "bucket" in request.args:
            given["bucket"] = self._period.bucket
        return _address("chart.data", self._id, given)

    def _to(self, given: dict[str, str]) -> str:
        return _address("chart.index", self._id, given)


def _address(endpoint: str, processor_id: int, given: Mapping[str, Any]) -> str:
    return url_for(endpoint, processor=processor_id, **given)


def _asked() -> tuple[Chart, Period]:
    """The chart that the address asks for. Raises InvalidInput, NotFound."""
    about = _subject()
    now = datetime.now(timezone.utc)
    period = parse_period(request.args, viewer_zone(), now)
    return chart(about.id, period.start, period.stop, WIDTHS[period.bucket], period.zone, now), period


def _subject() -> Subject:
    """The processor that the address names. Raises NotFound, also for one this person may not see."""
    text = request.args.get("processor", "")
    missing = NotFound(f"There is no processor {text[:20]}." if text else "No processor is named.")
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise missing
    about = subject(int(text))
    if not current_rights().sees(about.camera_id):
        raise missing
    return about


def _typed(period: Period) -> dict[str, str]:
    """The span that is shown, as the fields of one's own span take it: without an offset."""
    ends = {"from": period.start.astimezone(period.zone), "to": period.stop.astimezone(period.zone)}
    return {
        name: moment.replace(tzinfo=None).isoformat("T", "seconds" if moment.second else "minutes")
        for name, moment in ends.items()
    }


def _file_name(about: Subject, period: Period) -> str:
    begin, end = period.start.astimezone(period.zone), period.stop.astimezone(period.zone)
    when = f"{begin:%Y-%m-%d}" if period.stop - period.start >= 23 * DAY / 24 else f"{begin:%Y-%m-%d-%H%M}"
    if period.name == "custom":
        when = f"{begin:%Y-%m-%d-%H%M}-to-{end:%Y-%m-%d-%H%M}"
    name = re.sub(r"[^\w.]+", "-", f"{about.camera} {about.name}").strip("-.")
    return f"{name or about.id}-{period.name}-{when}.csv"


def _encoded(name: str) -> str:
    return f"UTF-8''{quote(name, safe='')}"


def _spark(values: list[int | None]) -> str:
    """A sparkline as the `d` of an SVG path; nothing is drawn where nothing was observed."""
    width, height = _SPARK
    most = max((value for value in values if value is not None), default=0) or 1
    step = width / max(1, len(values))
    parts: list[str] = []
    for index, value in enumerate(values):
        if value is None:
            continue
        y = height - 1 - value / most * (height - 2)
        move = "L" if index and values[index - 1] is not None else "M"
        parts.append(f"{move}{index * step:.1f} {y:.1f}H{(index + 1) * step:.1f}")
    return "".join(parts)
