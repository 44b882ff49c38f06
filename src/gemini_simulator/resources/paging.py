"""Pages of a list: pageSize and pageToken in both spellings."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from gemini_simulator.http import ApiError, Request


def page(request: Request, items: Sequence[Any], default: int, most: int) -> tuple[list[Any], str]:
    """One page of ``items`` and the token of the next, empty at the end.

    Raises ApiError 400 for a size or token that is none of ours.
    """
    size = _size(request.query.get("pageSize") or request.query.get("page_size") or "", default, most)
    start = _start(request.query.get("pageToken") or request.query.get("page_token") or "")
    chosen = list(items[start : start + size])
    end = start + len(chosen)
    return chosen, _token(end) if end < len(items) else ""


def _size(asked: str, default: int, most: int) -> int:
    if not asked:
        return default
    try:
        size = int(asked)
    except ValueError:
        raise ApiError(400, f"Invalid value at 'page_size' (TYPE_INT32), \"{asked}\"") from None
    if size < 0:
        raise ApiError(400, "page_size must not be negative.")
    return min(size, most) or default


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode().rstrip("=")


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().partition(":")
        if word != "from":
            raise ValueError(word)
        return int(number)
    except (ValueError, binascii.Error):
        raise ApiError(400, "Invalid page token.") from None
