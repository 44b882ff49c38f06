"""`gemgate call`."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from gemgate.cli.faults import CommandFault
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.shown import dollars, iso, moment, plain, size, span
from gemgate.store import reports
from gemgate.store.connection import reading
from gemgate.store.reports import AttemptRow, CallRow


@click.command("call")
@common
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in µs, money in nano-dollars.")
@click.argument("call_id", metavar="ID")
def command(data: Path | None, config: Path | None, call_id: str, as_json: bool) -> None:
    """Show one call with its attempts.

    ID is what an answer carries in x-gemgate-call, or its beginning as `gemgate calls` shows it.
    """
    with opened(settings_of(config, data)) as conn, reading(conn):
        row = _one(reports.find(conn, _digits(call_id)), call_id)
        tries = reports.attempts(conn, row.seq)
    if as_json:
        found = {"time": iso(row.received_at), **msgspec.to_builtins(row)}
        click.echo(json.dumps(found | {"tries": msgspec.to_builtins(tries)}))
        return
    for text in [*story(row), *(text for one in tries for text in attempt_story(one, row.received_at))]:
        click.echo(text)


def _digits(text: str) -> str:
    plain_text = text.replace("-", "").strip().lower()
    if not plain_text or len(plain_text) > 32 or set(plain_text) - set("0123456789abcdef"):
        raise click.BadParameter("a call id has up to 32 hexadecimal digits, like 01a20897-0dfa-7487.")
    return plain_text


def _one(found: list[CallRow], text: str) -> CallRow:
    if not found:
        raise CommandFault(f"No call begins with {text}. `gemgate calls` lists what is recorded.")
    if len(found) > 1:
        some = ", ".join(row.call_id for row in found[:5])
        raise CommandFault(
            f"{text} begins several calls: {some}{' …' if len(found) > 5 else ''}. Give more of it."
        )
    return found[0]


def story(row: CallRow) -> list[str]:
    """A call in words."""
    asked = f"{row.method} ({row.version})" if row.version else row.method
    lines = [
        f"Call {row.call_id}, {moment(row.received_at)}",
        plain(f"  asked    {asked}{f', model {row.model}' if row.model else ''}{_of(', by ', row.client)}"),
        plain(f"  ended    {row.outcome} with status {row.status}{_end(row)}"),
        f"  time     {_times(row)}",
        f"  bytes    {size(row.request_bytes)} asked, {size(row.response_bytes)} answered",
    ]
    shape = _shape(row)
    if shape:
        lines.append(plain(f"  request  {shape}"))
    if row.model_served or row.tier_served:
        served = row.model_served or row.model
        lines.append(plain(f"  served   by {served}{_of(', tier ', row.tier_served)}"))
    lines.append(f"  tokens   {tokens(row)}{f', {row.estimated} of them estimated' if row.estimated else ''}")
    lines.append(f"  money    {money(row.billed_nano, row.list_nano)}{_unproven(row)}")
    if not row.attempts:
        lines.append("  attempts none: it never went upstream")
    return lines


def attempt_story(one: AttemptRow, received_at: int) -> list[str]:
    """A try in words."""
    where = " on ".join(part for part in (one.model, f"project {one.project}" if one.project else "") if part)
    end = f"{one.verdict} with status {one.status}" if one.status else f"{one.verdict}, no answer"
    lines = [
        plain(f"  Attempt {one.number}: {where}{_of(', credential ', one.credential)}"),
        plain(f"    ended  {end}{_of(', ', one.reason)}{_of(', quota ', one.quota)}"),
        f"    time   sent {span(max(0, one.sent_at - received_at))} after the call came"
        f"{f', first byte after {span(one.first_byte)}' if one.first_byte is not None else ''}"
        f", took {span(one.duration)}",
    ]
    if one.message:
        lines.append(plain(f"    said   {one.message}"))
    guess = "" if not one.estimated else " (estimated: the upstream's last word is missing)"
    lines.append(f"    tokens {tokens(one)}{guess}")
    lines.append(f"    money  {money(one.billed_nano, one.list_nano)}{_of(', price ', one.price)}")
    parts = {
        "input": one.input_nano,
        "cached": one.cached_nano,
        "output": one.output_nano,
        "thoughts": one.thoughts_nano,
        "tool": one.tool_nano,
    }
    shown = [f"{name} {dollars(nano)}" for name, nano in parts.items() if nano]
    shown += [plain(f"{charge.kind} × {charge.quantity} {dollars(charge.nano)}") for charge in one.charges]
    if shown:
        lines.append(f"           {', '.join(shown)}")
    return lines


def tokens(row: CallRow | AttemptRow) -> str:
    """Tokens by kind, those that are there."""
    kinds = {
        f"input (of it cached {row.cached})" if row.cached else "input": row.input,
        "output": row.output,
        "thoughts": row.thoughts,
        "tool": row.tool,
    }
    return ", ".join(f"{count} {name}" for name, count in kinds.items() if count) or "none"


def money(billed: int | None, listed: int | None) -> str:
    """What is charged, and the list price when it is another."""
    if billed == listed:
        return dollars(billed)
    return f"{dollars(billed)} billed, {dollars(listed)} at list price"


def _of(before: str, text: str) -> str:
    return before + text if text else ""


def _end(row: CallRow) -> str:
    return _of(", reason ", row.reason) + _of(", finish ", row.finish) + _of(", blocked for ", row.block)


def _times(row: CallRow) -> str:
    parts = [f"first byte after {span(row.first_byte)}"] if row.first_byte is not None else []
    parts.append(f"took {span(row.duration)}")
    if row.waited:
        parts.append(f"{span(row.waited)} of it waiting")
    return ", ".join(parts)


def _shape(row: CallRow) -> str:
    parts = {"turn": row.turns, "tool": row.tools, "media part": row.media}
    found = [f"{count} {name}{'s' if count > 1 else ''}" for name, count in parts.items() if count]
    if row.max_output is not None:
        found.append(f"at most {row.max_output} tokens of output")
    found += [text for text in (_of("thinking ", row.thinking), _of("tier ", row.tier)) if text]
    if row.streaming not in ("", "none"):
        found.append(f"streamed as {row.streaming}")
    flags = {"JSON output": row.json_output, "a cached content": row.cached_content}
    return ", ".join(found + [name for name, is_set in flags.items() if is_set])


def _unproven(row: CallRow) -> str:
    return f" ({dollars(row.estimated_billed_nano)} of it estimated)" if row.estimated else ""
