"""Ports on this machine: pick a free one, or wait until the one that is wanted can be had."""

from __future__ import annotations

import contextlib
import socket
import time


class PortTaken(Exception):
    """Another program listens on a port; the text says what to do."""


def pick(host: str) -> int:
    """A port that is free now. It is not held: another program may take it before it is used."""
    with _socket(host) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def claim(host: str, port: int, option: str, patience: float) -> None:
    """Return once ``port`` can be listened on; after ``patience`` seconds raise PortTaken naming ``option``.

    Raises PortTaken too for an address that this machine does not have.
    """
    deadline = time.monotonic() + patience
    while True:
        with _socket(host) as probe:
            try:
                probe.bind((host, port))
                return
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise PortTaken(
                        f"Cannot listen on {host}:{port}: {error.strerror}. "
                        f"Stop what uses it, or choose another with {option} (0 picks a free one)."
                    ) from None
        time.sleep(0.05)


def _socket(host: str) -> contextlib.closing[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = socket.socket(family, socket.SOCK_STREAM)
    # As servers do: a port whose last connections are still fading is free.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return contextlib.closing(probe)
