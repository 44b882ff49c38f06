"""Brings the sums forward, asked by another process: ``python -m gemgate.jobs.summing --data DIR``.

A line on stdin asks for one run of the job, a line on stdout answers with what was done or what was wrong, as JSON:
``{"said": …}`` or ``{"fault": …}``. It ends when its stdin closes, at the next pause of what it does.
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from gemgate.config import Settings
from gemgate.core.errors import place_of
from gemgate.jobs.context import Context


def serve(run: Callable[[Context], str], arguments: list[str]) -> int:
    """Answer until stdin closes."""
    parser = argparse.ArgumentParser(prog="gemgate.jobs.summing")
    parser.add_argument("--data", type=Path, required=True)
    context = Context(Settings(data=parser.parse_args(arguments).data))
    # A key pressed in the terminal reaches all its processes; this one ends with its parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked: SimpleQueue[bool] = SimpleQueue()
    threading.Thread(target=_hear, args=(asked, context.stopping), name="stdin", daemon=True).start()
    while asked.get():
        try:
            answer = {"said": run(context)}
        except (sqlite3.Error, OSError) as error:
            answer = {"fault": f"{type(error).__name__} at {place_of(error)}"}
        print(json.dumps(answer), flush=True)
    while context.at_end:
        context.at_end.pop()()
    return 0


def _hear(asked: SimpleQueue[bool], stopping: threading.Event) -> None:
    for _ in sys.stdin:
        asked.put(True)
    stopping.set()
    asked.put(False)
