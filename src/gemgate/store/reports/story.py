"""A call told in words: what was asked, each try with its reason and what followed, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from gemgate.core.wording import dollars, plain, sentence, size, span
from gemgate.store.reports.calls import AttemptRow, CallRow

# What a try met, in words, by the verdict's reason. What is missing is told by the reason itself.
MET = {
    "quota_minute": "Google refused it: the requests of this minute are used up there",
    "quota_tokens": "Google refused it: the input tokens of this minute are used up there",
    "quota_day": "Google refused it: the quota of the day is used up there",
    "quota_zero": "Google refused it: this project has no quota at all for the model",
    "quota_storage": "Google refused it: the project's storage for files is full",
    "exhausted": "Google refused it for lack of resources, without saying which",
    "prepaid": "Google refused it: the prepaid money of the billing account is used up",
    "overloaded": "the model was overloaded",
    "internal": "Google failed inside",
    "deadline": "Google did not finish in time",
    "cancelled": "Google dropped it by itself",
    "gateway": "something between here and Google failed",
    "connect": "no connection could be made",
    "connect_timeout": "no connection came about in time",
    "tls": "the TLS handshake failed",
    "disconnected": "the connection was lost before an answer",
    "first_byte_timeout": "no first byte came in time",
    "total_timeout": "it took longer than one try may",
    "stall_timeout": "the answer fell silent",
    "cut": "the answer broke off",
    "empty_answer": "the answer was empty",
    "garbage": "the answer was not what Google's API answers",
    "body_length": "the client's body was of another length than it had said",
    "key_invalid": "Google does not know the key",
    "key_leaked": "Google has closed the key as leaked",
    "unauthenticated": "Google did not take the credential",
    "denied": "the key is not allowed to do this",
    "project_suspended": "Google has suspended the project",
    "project_disabled": "the API or billing is off for the project",
    "region": "Google does not serve the project from this region",
    "model_unknown": "Google does not know the model for this method",
    "model_closed": "the model is closed to this project",
    "not_found": "Google does not find what the call names",
    "invalid": "Google found a fault in the request",
    "refused": "Google found a fault in the request",
    "precondition": "Google found a fault in the request",
    "unimplemented": "Google does not offer this",
    "credentials_doubled": "two credentials went out, a fault of gemgate's own",
    "context_overflow": "the input is longer than the model takes",
    "signature_missing": "a thought signature was missing",
    "signature_corrupt": "Google did not accept a thought signature",
    "interrupted": "gemgate stopped before it ended",
    "hedged": "the other try of the race answered first, and it was cancelled",
}
# Why gemgate itself refused a call, by the call's reason.
REFUSED = {
    "no_room": "no allowed target had room in its quota within the call's patience",
    "no_target": "no allowed target could be tried within the call's patience",
    "no_eligible_target": "no target of the route or model may serve such a call",
    "no_route": "no route of that name is for such a call",
    "unknown_project": "the client named a project that is not configured",
    "pinned_twice": "it names things of two projects, and no project has both",
    "pinned_gone": "it names a thing of a project that is no longer configured",
    "pinned_elsewhere": "it names a thing of another project than the one the client named",
    "key_missing": "it came without a virtual key",
    "key_unknown": "its key is none of this gateway's",
    "key_expired": "its key has expired, or was rotated and its grace is over",
    "key_disabled": "its key is disabled",
    "key_stopped": "its key was stopped",
    "address_not_allowed": "its key may not be used from the client's address",
    "model_not_allowed": "its key may not use this model or route",
    "right_missing": "its key lacks the right to such calls",
    "thing_not_found": "it names a thing that its key cannot see",
    "key_busy": "its key had too many calls under way for longer than the call's patience",
    "key_rate": "its key had no room left in its minute within the call's patience",
    "budget_spent": "a budget that counts it was spent",
    "budget_held": "what other calls held of a budget left no room within the call's patience",
    "unpriced_model": "the model has no known price, and a budget of money counts it",
    "signatures_elsewhere": "its thought signatures hold it to a target that it may not use",
}


def story(row: CallRow, tries: Sequence[AttemptRow], when: str) -> list[str]:
    """A call and its tries, as lines of text. ``when`` says in words when it came."""
    lines = _head(row, when)
    if not tries:
        lines.append("  attempts none: it never went upstream")
    for at, one in enumerate(tries):
        lines += [*_attempt(one, row.received_at), f"    then   {then(row, tries, at)}"]
    return lines


def _head(row: CallRow, when: str) -> list[str]:
    asked = f"{row.method} ({row.version})" if row.version else row.method
    lines = [
        f"Call {row.call_id}, {when}",
        plain(f"  asked    {asked}{f', model {row.model}' if row.model else ''}{_of(', by ', row.client)}"),
    ]
    whose = _whose(row)
    if whose:
        lines.append(plain(f"  whose    {whose}"))
    if row.door:
        lines.append(f"  door     OpenAI's {row.door}")
    if row.route:
        lines.append(plain(f"  route    {row.route}"))
    lines.append(plain(f"  ended    {row.outcome} with status {row.status}{_end(row)}"))
    if row.reason in REFUSED:
        lines.append(f"  means    {REFUSED[row.reason]}")
    lines += [
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
    return lines


def _attempt(one: AttemptRow, received_at: int) -> list[str]:
    end = f"{one.verdict} with status {one.status}" if one.status else f"{one.verdict}, no answer"
    lines = [plain(f"  Attempt {one.number}: {place(one)}{_of(', credential ', one.credential)}")]
    if one.why or one.hedge:
        race = "a second try beside a slow one (hedge)" if one.hedge else ""
        lines.append(plain(f"    why    {'; '.join(part for part in (one.why, race) if part)}"))
    if one.waited:
        lines.append(f"    waited {span(one.waited)} before it")
    lines += [
        plain(f"    ended  {end}{_of(', ', one.reason)}{_of(', quota ', one.quota)}"),
        f"    time   sent {span(max(0, one.sent_at - received_at))} after the call came"
        f"{f', first byte after {span(one.first_byte)}' if one.first_byte is not None else ''}"
        f", took {span(one.duration)}",
    ]
    if one.reason in MET:
        lines.append(f"    means  {means(one)}")
    if one.message:
        lines.append(f"    said   {sentence(one.message)}")
    guess = "" if not one.estimated else " (estimated: the upstream's last word is missing)"
    lines.append(f"    tokens {tokens(one)}{guess}")
    lines.append(f"    money  {money(one.billed_nano, one.list_nano)}{_of(', price ', one.price)}")
    shown = _components(one)
    if shown:
        lines.append(f"           {', '.join(shown)}")
    return lines


def _components(one: AttemptRow) -> list[str]:
    parts = {
        "input": one.input_nano,
        "cached": one.cached_nano,
        "output": one.output_nano,
        "thoughts": one.thoughts_nano,
        "tool": one.tool_nano,
    }
    shown = [f"{name} {dollars(nano)}" for name, nano in parts.items() if nano]
    return shown + [
        plain(f"{charge.kind} × {charge.quantity} {dollars(charge.nano)}") for charge in one.charges
    ]


def place(one: AttemptRow) -> str:
    """Where a try went."""
    return " on ".join(part for part in (one.model, f"project {one.project}" if one.project else "") if part)


def means(one: AttemptRow) -> str:
    """What a try met, in words; empty where its reason says it, or where it went well."""
    return f"{MET[one.reason]}{_asked_to_wait(one)}" if one.reason in MET else ""


def then(row: CallRow, tries: Sequence[AttemptRow], at: int) -> str:
    """What followed the try at this place."""
    one, rest = tries[at], tries[at + 1 :]
    if one.reason == "hedged":
        return "nothing of it was used"
    if one.number == (row.answered or tries[-1].number):
        return _given(row, one, later=bool(rest))
    following = next((other for other in rest if not _beside(one, other)), None)
    if following is None:
        return plain(f"the call went on with what attempt {row.answered or tries[-1].number} brought")
    return plain(f"{_step(one, following)}: attempt {following.number}")


def _given(row: CallRow, one: AttemptRow, *, later: bool) -> str:
    """What became of the try whose answer the client got."""
    if row.outcome in ("cancelled", "interrupted"):
        return f"the call ended as {row.outcome}"
    if one.verdict == "ok":
        return "its answer went to the client"
    if one.verdict == "cut":
        return "what had come went to the client, closed by an error"
    if row.status == one.status and row.outcome == "refused":
        return "no other way would have helped: its answer went to the client"
    other = "the later tries brought nothing better" if later else "no other way was left"
    return f"{other}: the client got status {row.status}"


def _step(one: AttemptRow, following: AttemptRow) -> str:
    """From one try to the next."""
    if following.model == one.model and following.project == one.project:
        if following.credential != one.credential:
            return "another key of the same project was tried"
        return "the same target was tried again"
    if following.model == one.model:
        return f"the same model was tried on project {following.project}"
    if following.project == one.project:
        return f"another model was tried, {following.model}"
    return f"another target was tried, {place(following)}"


def _beside(one: AttemptRow, other: AttemptRow) -> bool:
    """Whether another try went out while this one was under way: it did not follow from its end."""
    return other.hedge and other.sent_at < one.sent_at + one.duration


def _asked_to_wait(one: AttemptRow) -> str:
    return f"; it named {span(one.retry_after)} to wait" if one.retry_after else ""


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


def _whose(row: CallRow) -> str:
    parts = [_of("key ", row.key), _of("user ", row.user), _of("tags ", ", ".join(row.tags))]
    return ", ".join(filter(None, parts))


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
