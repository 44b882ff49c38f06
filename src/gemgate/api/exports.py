"""Exports: files of calls, tries or sums, made beside everything else and downloaded."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Final, Literal

import msgspec
from flask import Response, request, send_file
from flask_restx import Namespace, Resource
from msgspec import Meta
from werkzeug.http import parse_range_header

from gemgate.api import context, named
from gemgate.api.named import wrong
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import Role
from gemgate.api.wanted import Filters, wanted
from gemgate.insight import spans
from gemgate.insight.cubes import DIMENSIONS
from gemgate.jobs import exporting, exports
from gemgate.jobs.exporting import KIND, Asked, path_of
from gemgate.store import jobs
from gemgate.store.exports import COLUMNS, Sums
from gemgate.store.jobs import Job

namespace = Namespace("exports", description="Files of the record: CSV, JSON Lines or Parquet.")

_MEDIA: Final = {
    "csv": "text/csv",  # to which Flask adds that it is UTF-8
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
_MOST_WAITING: Final = 100
_SUMMED: Final = "-30d"  # the span of sums where none is given
Dimension = Literal["model", "route", "key", "project", "method", "status", "client", "reason", "tag"]


class ExportBody(Filters, forbid_unknown_fields=True, kw_only=True):
    """What is exported. Everything given must hold."""

    what: Annotated[
        Literal["calls", "attempts", "charges", "usage", "costs", "errors", "fallbacks"],
        Meta(description="Single calls, their tries, or money for rare kinds; or sums by step and group."),
    ]
    format: Annotated[Literal["csv", "jsonl", "parquet"], Meta(description="The file's format.")] = "csv"
    columns: Annotated[
        list[Annotated[str, Meta(max_length=60)]],
        Meta(max_length=100, description="The columns, in order; empty: all."),
    ] = msgspec.field(default_factory=list)
    from_: Annotated[
        str,
        Meta(
            max_length=40,
            description="Calls received from then on: -1h, -7d, 2026-11-23, ISO 8601, or UTC µs. Empty: all; of "
            "sums: of the last 30 days.",
            examples=["-24h"],
        ),
    ] = msgspec.field(default="", name="from")
    to: Annotated[str, Meta(max_length=40, description="Calls received before then, in the same forms.")] = ""
    zone: Annotated[
        str, Meta(max_length=64, description="The IANA time zone of dates, and of the days of sums.")
    ] = "UTC"
    step: Annotated[
        Literal["none", "minute", "quarter", "hour", "day", "week", "month", "auto"],
        Meta(description="Sums: how the span is cut; at most 1,000 steps."),
    ] = "day"
    group: Annotated[
        list[Dimension], Meta(max_length=2, description="Sums: group by one or two of these.")
    ] = msgspec.field(default_factory=list)


class ExportItem(msgspec.Struct, kw_only=True):
    """One export. ``done`` of ``total`` calls (of sums: steps) were looked at; ``rows`` and ``bytes`` are known once
    it is ``done``, and its file is there until ``expires_at``. Times in UTC µs, 0 for not yet.

    ``state``: queued, running, done, failed, cancelled or expired; ``message`` says why it is not done.
    """

    id: int
    state: str
    what: str
    format: str
    actor: str
    done: int
    total: int
    rows: int | None
    bytes: int | None
    message: str
    created_at: int
    started_at: int
    ended_at: int
    expires_at: int


class ExportsQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A page of exports."""

    limit: named.Limit = 50
    cursor: Annotated[
        str, Meta(max_length=20, pattern=r"^[0-9]*$(?!\n)", description="`next` of the page before.")
    ] = ""


class ExportList(msgspec.Struct, kw_only=True):
    """Exports, the newest first; ``next`` is null at the end."""

    items: list[ExportItem]
    next: str | None


@namespace.route("")
class TheExports(Resource):
    """All exports."""

    @operation(namespace, role=Role.OPERATOR, query=ExportsQuery, answer=ExportList)
    def get(self, query: ExportsQuery) -> ExportList:
        """List exports, the newest first."""
        before = min(int(query.cursor or 0), 2**62)
        with context.reading() as conn:
            found = jobs.newest(conn, KIND, query.limit, before)
        more = len(found) == query.limit
        return ExportList(items=[_item(job) for job in found], next=str(found[-1].id) if more else None)

    @operation(
        namespace, role=Role.OPERATOR, body=ExportBody, answer=ExportItem, status=202, errors=(422, 429)
    )
    def post(self, body: ExportBody) -> ExportItem:
        """Make an export.

        It is made in a process of its own, two at once at most; ask for its state until it is `done`, then download
        `file`. Rows are those on record when it begins. In CSV a text that a spreadsheet would take for a formula has
        an apostrophe before it. Parquet needs the extra `gemgate[parquet]`.
        """
        if body.format == "parquet" and not exporting.has_parquet():
            raise Problem(
                422, "PARQUET_MISSING", exporting.NEEDS, "Install it where the console runs, or ask for csv."
            )
        asked = _asked(body)
        try:
            exporting.chosen(asked)
        except ValueError as error:
            raise wrong({"columns": str(error)}, "BAD_BODY") from None
        with context.reading() as conn:
            if len(jobs.in_state(conn, KIND, *jobs.LIVE)) >= _MOST_WAITING:
                raise Problem(429, "TOO_MANY_EXPORTS", "Many exports are waiting already.", retry_after=60.0)
        with context.changing() as change:
            built = msgspec.to_builtins(asked)
            number = jobs.create(change.conn, KIND, context.caller().name, built, context.now())
            change.audit("create", KIND, str(number), None, built)
        exports.tend(context.settings())
        return _item(_job(number))


@namespace.route("/<int:number>")
class OneExport(Resource):
    """One export."""

    @operation(namespace, role=Role.OPERATOR, answer=ExportItem, errors=(404,))
    def get(self, number: int) -> ExportItem:
        """Show an export, and how far it is."""
        return _item(_job(number))

    @operation(namespace, role=Role.OPERATOR, answer=ExportItem, errors=(404,))
    def delete(self, number: int) -> ExportItem:
        """Cancel an export, or take its file away.

        One that is being made stops within a second.
        """
        job = _job(number)
        with context.changing() as change:
            if jobs.end(change.conn, job.id, "cancelled", context.now(), "It was cancelled."):
                change.audit("cancel", KIND, str(number))
            elif job.state == "done":
                jobs.expire(change.conn, job.id, "The file was taken away.")
                change.audit("delete", KIND, str(number))
        with contextlib.suppress(NotADirectoryError):  # the folder is gone, and the file with it
            path_of(context.settings().data, job.id, job.body["format"]).unlink(missing_ok=True)
        return _item(_job(number))


@namespace.route("/<int:number>/file")
class TheFile(Resource):
    """The file of an export."""

    @operation(namespace, role=Role.OPERATOR, errors=(404, 409, 410, 416), media="application/octet-stream")
    def get(self, number: int) -> Response:
        """Download the file of an export.

        One HTTP range is served (`Range`, `If-Range`), so a download that broke can go on where it was (206). Several
        at once, and units other than bytes, get the whole file.
        """
        job = _job(number)
        if job.state in jobs.LIVE:
            raise Problem(
                409, "NOT_DONE", "The export is not done yet.", "Ask for its state until it is done."
            )
        if job.state == "expired":
            raise Problem(410, "EXPIRED", "The file is not there any more.", "Ask for the export again.")
        if job.state != "done":
            raise Problem(410, "NO_FILE", f"The export has no file: it was {job.state}.", job.message)
        form = job.body["format"]
        path = path_of(context.settings().data, job.id, form)
        _one_range()
        try:
            name = f"gemgate-{job.body['what']}-{job.id}.{exporting.ENDINGS[form]}"
            answer = send_file(
                path.resolve(),
                _MEDIA[form],
                as_attachment=True,
                download_name=name,
                conditional=True,
                max_age=0,
            )
        except (FileNotFoundError, NotADirectoryError):
            hint = "Somebody deleted it from the data folder. Ask for the export again."
            raise Problem(410, "FILE_LOST", "The file is not there any more.", hint) from None
        return answer


def _one_range() -> None:
    """Forget a Range that is not one range of bytes: such a one is ignored, not refused (RFC 9110, 14.2)."""
    asked = parse_range_header(request.headers.get("Range"))
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        request.environ.pop("HTTP_RANGE", None)


def _job(number: int) -> Job:
    """Raises Problem 404."""
    with context.reading() as conn:
        found = jobs.find(conn, KIND, number) if number < 2**63 else None
    if found is None:
        raise Problem(404, "EXPORT_NOT_FOUND", "There is no export of this number.")
    return found


def _item(job: Job) -> ExportItem:
    return ExportItem(
        id=job.id,
        state=job.state,
        what=job.body["what"],
        format=job.body["format"],
        actor=job.actor,
        done=job.done,
        total=job.total,
        rows=job.result.get("rows"),
        bytes=job.result.get("bytes"),
        message=job.message,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        expires_at=job.expires_at,
    )


def _asked(body: ExportBody) -> Asked:
    """What is asked, understood. Raises Problem 400 that names the field."""
    now = context.now()
    try:
        if body.what in COLUMNS:
            start = spans.moment(body.from_, "from", body.zone, now) if body.from_ else None
            until = spans.moment(body.to, "to", body.zone, now) if body.to else None
            if start is not None and until is not None and start >= until:
                raise spans.BadAsk("to", "It must be after from.")
            if body.group:
                raise spans.BadAsk("group", "Single calls are not grouped; ask for usage or costs.")
            return Asked(
                what=body.what,
                format=body.format,
                columns=tuple(body.columns),
                wanted=wanted(body, start, until),
            )
        return Asked(what=body.what, format=body.format, columns=tuple(body.columns), sums=_sums(body, now))
    except spans.BadAsk as bad:
        raise wrong({bad.field: bad.sentence}, "BAD_BODY") from None


def _sums(body: ExportBody, now: int) -> Sums:
    """Raises BadAsk, Problem 400."""
    if len(set(body.group)) < len(body.group):
        raise spans.BadAsk("group", "Name two that differ.")
    span = spans.read(body.from_ or _SUMMED, body.to or "now", zone=body.zone, step=body.step, now=now)
    given: dict[str, Any] = {name: getattr(body, name) for name in Filters.__struct_fields__}
    strange = [
        name for name, value in given.items() if value not in ([], "", None) and name not in DIMENSIONS
    ]
    if strange:
        raise wrong(dict.fromkeys(strange, "Sums cannot be narrowed by this."), "BAD_BODY")
    if any(not status.isdigit() for status in body.status):
        raise spans.BadAsk("status", "Of sums name whole statuses, such as 429.")
    return Sums(
        bounds=tuple(spans.buckets(span)),
        zone=span.zone,
        dimensions=tuple(body.group),
        filters={name: tuple(given[name]) for name in DIMENSIONS if given[name]},
        now=now,
    )
