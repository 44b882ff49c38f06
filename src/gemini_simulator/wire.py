"""JSON as Google writes it, and the ways in which an answer can be spoilt on its way out."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from gemini_simulator.faults import OVERLOADED
from gemini_simulator.http import ApiError

GARBAGE_PAGE = b"<!DOCTYPE html><html><title>Error</title><p>The document has moved.</html>\n"
GARBAGE_EVENT = b'data: {"candidates": [{"content": {"parts": [{"te\xff\xfe\r\n\r\n'


class Cut(Exception):
    """The connection is to break here."""


def line(payload: Any) -> bytes:
    """JSON on one line, with a space after colons and commas."""
    return msgspec.json.format(msgspec.json.encode(payload), indent=0)


def pretty(payload: Any) -> bytes:
    """JSON over many lines, two spaces deep, as Google's unary answers are."""
    return msgspec.json.format(msgspec.json.encode(payload), indent=2) + b"\n"


def event(payload: Any) -> bytes:
    """One event of a native stream: a data line that ends in CRLF, and a blank one."""
    return b"data: " + line(payload) + b"\r\n\r\n"


def _in_stream_error(framed: bool, array: bool, named: bool) -> bytes:
    """An error in the middle of a stream, in the form that the stream has."""
    payload = ApiError(503, OVERLOADED).payload()
    if array:
        return b",\r\n" + pretty(payload).rstrip() + b"\r\n]"
    if named:
        body = {
            "event_type": "error",
            "event_id": "",
            "error": {"code": "unavailable", "message": OVERLOADED},
        }
        return b"event: error\r\ndata: " + line(body) + b"\r\n\r\n"
    return event(payload) if framed else pretty(payload)


async def damaged(
    chunks: AsyncIterator[bytes], faults: dict[str, str], array: bool = False, named: bool = False
) -> AsyncIterator[bytes]:
    """``chunks``, each one event, as far as ``faults`` let them come.

    ``array`` says that the stream is a JSON array, ``named`` that its events have names. Raises Cut where the
    connection is to break.
    """
    stops = {
        name: int(faults[name] or 1)
        for name in ("cut_after", "end_after", "stall_after", "in_stream_error", "in_stream_error_framed")
        if name in faults
    }
    if "garbage" in faults:
        yield GARBAGE_EVENT
        return
    count = 0
    async for chunk in chunks:
        struck = next((name for name, at in stops.items() if at <= count), "")
        if struck == "cut_after":
            raise Cut
        if struck == "end_after":
            return
        if struck == "stall_after":
            await asyncio.Event().wait()
        if struck:
            error = _in_stream_error(struck.endswith("framed"), array, named)
            yield error.replace(b",\r\n", b"[", 1) if array and not count else error
            return
        yield chunk
        count += 1


def reset(transport: asyncio.Transport) -> None:
    """Break the connection with a TCP reset."""
    own = transport.get_extra_info("socket")
    with socket.socket(fileno=os.dup(own.fileno())) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
