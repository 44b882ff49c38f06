"""A call (what a client asked), its attempts (tries at an upstream) and what the record keeps of both.

These are the values that the gateway hands to the store. Names stand here as text; the store turns them into
integers of its dimension tables. Times are UTC microseconds since 1970, spans are microseconds, money is
integer nano-dollars, sizes are bytes.
"""

from __future__ import annotations

import enum

import msgspec

from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind


class Outcome(enum.StrEnum):
    """How a call ended, from its client's point of view. Every call has exactly one."""

    OK = "ok"  # answered, whole (an error that is the caller's own fault is `refused`, not this)
    REFUSED = "refused"  # gemgate or Google refused the request itself (4xx)
    FAILED = "failed"  # no upstream gave an answer (5xx, 429, no connection)
    CUT = "cut"  # the answer began, broke, and ended in an error event
    CANCELLED = "cancelled"  # the client left first
    INTERRUPTED = "interrupted"  # gemgate died or was stopped while the call was under way


class Streaming(enum.StrEnum):
    """The form in which the answer travels."""

    NONE = "none"
    SSE = "sse"
    ARRAY = "array"


class Charge(msgspec.Struct, frozen=True, gc=False):
    """Money for a rare kind (``audio_input``, ``image_output``, ``search`` …). ``nano`` None: unpriced."""

    kind: str
    quantity: int
    nano: int | None


class Cost(msgspec.Struct, frozen=True):
    """The price of one try in nano-dollars, by kind of token, at list price.

    ``total`` is the sum of all kinds, or None when any part has no known price (`unpriced`). ``billed`` is what
    Google charges: 0 on a free tier, None when unpriced. ``price`` names the row of the price book used.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    thoughts: int = 0
    tool: int = 0
    charges: tuple[Charge, ...] = ()
    total: int | None = 0
    billed: int | None = 0
    price: str = ""


class Charged(msgspec.Struct, frozen=True, gc=False):
    """So much of one budget in one of its slots: ``amount`` is nano-dollars or tokens, as the budget's unit says.

    Held before a try, spent when its call is settled. ``slot`` is the start of the budget's period (UTC µs) and
    stays the one that the hold was taken in.
    """

    budget: int
    slot: int
    amount: int


class Kept(msgspec.Struct, frozen=True, gc=False):
    """What an answer has shown and a later call of a plain client must have put back (a thought signature).

    ``name`` is a keyed hash, ``body`` opaque to the store, ``expires_at`` UTC µs.
    """

    name: str
    body: bytes
    expires_at: int


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that people should hear of: a ``kind`` (a stable word), whom it is about, and a sentence."""

    at: int
    kind: str
    subject: str
    sentence: str


class Intent(msgspec.Struct, kw_only=True):
    """What is committed before the first byte of a try goes to Google: enough to close it after a crash.

    ``route``, ``why``, ``waited`` and ``hedge`` are those of ``Record`` and ``Attempt``, ``key``, ``user``,
    ``door`` and ``tags`` those of ``Record``. ``output_estimate`` is in tokens; ``held`` is what this try holds
    of each budget, and what its call is charged with if gemgate dies.
    """

    call_id: bytes
    attempt: int
    boot: bytes
    received_at: int
    sent_at: int
    method: str
    version: str
    model: str
    project: str
    credential: str
    client: str
    streaming: Streaming = Streaming.NONE
    request_bytes: int = 0
    input_estimate: int = 0
    tier: str = ""
    route: str = ""
    why: str = ""
    waited: int = 0
    hedge: bool = False
    key: int = 0
    user: str = ""
    door: str = ""
    tags: tuple[str, ...] = ()
    output_estimate: int = 0
    held: tuple[Charged, ...] = ()


class Attempt(msgspec.Struct, kw_only=True):
    """One try as the record keeps it. ``first_byte`` and ``duration`` count from ``sent_at``.

    ``estimated`` says that ``usage`` is not Google's last word (cut, cancelled or never seen). ``why`` is the
    plan's reason for this target, in one of few stable words; ``waited`` is the µs that the call waited before
    this try; ``hedge`` marks the second try of a race.
    """

    number: int
    model: str
    project: str
    credential: str
    sent_at: int
    first_byte: int | None
    duration: int
    verdict: Kind
    status: int
    reason: str = ""
    message: str = ""
    quota: str = ""
    retry_after: int = 0
    model_served: str = ""
    tier_served: str = ""
    response: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    usage: Usage | None = None
    estimated: bool = False
    cost: Cost | None = None
    why: str = ""
    waited: int = 0
    hedge: bool = False


class Made(msgspec.Struct, frozen=True):
    """A thing that belongs to the project (and perhaps the model) that made it, as an answer has shown.

    ``name`` is Google's resource name (``files/x``) or a keyed hash (``signature:<16 hex>``). ``model`` is empty
    where any model of the project may use it. ``expires_at`` is UTC µs, 0 for never. ``tenant`` says whose it
    is (a word of the gateway's), empty where nobody's.
    """

    name: str
    project: str
    model: str = ""
    expires_at: int = 0
    tenant: str = ""


class Shape(msgspec.Struct, kw_only=True, frozen=True):
    """What advice needs to know of a request later and cannot ask afterwards; no content is kept.

    ``request_hash`` and ``prefix_hashes`` are keyed 64-bit hashes (of the body, and of its prefixes at 8 KiB,
    16 KiB, 32 KiB … bounds). ``thinking`` is ``level:high`` or ``budget:1024`` or empty.
    """

    tools: int = 0
    turns: int = 0
    media: int = 0
    max_output: int | None = None
    thinking: str = ""
    json_output: bool = False
    cached_content: bool = False
    request_hash: int = 0
    prefix_hashes: tuple[int, ...] = ()


class Record(msgspec.Struct, kw_only=True):
    """The one complete row of a call, with its attempts (none when it was refused before any try).

    ``answered`` is the number of the try whose answer the client got, 0 for the last one: the call's project,
    model served and tier served are that one's. ``route`` names the route that planned the call, ``made`` is
    what the answer has shown to belong to a project.

    ``key`` is the virtual key's number, 0 for none; ``door`` is empty for Google's own paths, else what of
    OpenAI's was asked; ``tags`` are the caller's, normalised. ``charged`` is what the call has spent of each
    budget, ``kept`` what it must remember of its answer, ``events`` what it has brought about.
    """

    call_id: bytes
    boot: bytes
    received_at: int
    first_byte: int | None  # µs from received_at to the first byte given to the client
    duration: int  # µs from received_at to the last byte
    waited: int = 0  # µs spent waiting for room or for a free target
    method: str
    version: str
    model: str
    client: str
    outcome: Outcome
    status: int
    reason: str = ""  # our stable word when outcome is not ok
    finish: str = ""
    block: str = ""
    streaming: Streaming = Streaming.NONE
    tier: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    shape: Shape = Shape()
    attempts: list[Attempt] = []
    route: str = ""
    answered: int = 0
    made: tuple[Made, ...] = ()
    key: int = 0
    user: str = ""
    door: str = ""
    tags: tuple[str, ...] = ()
    charged: tuple[Charged, ...] = ()
    kept: tuple[Kept, ...] = ()
    events: tuple[Event, ...] = ()


def mint(now: int, chance: bytes) -> bytes:
    """A UUIDv7 (RFC 9562) from microseconds and 10 random bytes: sortable by time, 16 bytes."""
    millis = now // 1000
    # rand_a carries the microseconds within the millisecond, so ids of one process sort finely.
    sub = ((now % 1000) << 12) // 1000
    return (
        millis.to_bytes(6, "big")
        + (0x7000 | sub).to_bytes(2, "big")
        + bytes([0x80 | (chance[0] & 0x3F)])
        + chance[1:8]
    )


def spell(call_id: bytes) -> str:
    """The UUID's usual text form."""
    text = call_id.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def unspell(text: str) -> bytes:
    """The 16 bytes of a UUID's text. Raises ValueError when it is none."""
    raw = bytes.fromhex(text.replace("-", "").strip())
    if len(raw) != 16:
        raise ValueError(f"a call id has 32 hexadecimal digits, this one has {len(raw) * 2}: {text!r}")
    return raw
