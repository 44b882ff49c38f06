"""Asks the console's API at a steady rate, as people and their dashboards do, and says how long each question took.

Questions are due on a schedule and are put by threads of their own, so a slow answer does not hold the next one
back; a question's time counts from when it was due.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle

THREADS = 16
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Question:
    """One path of the API, under the name that its figures carry. ``most`` is the bar for p95 in ms."""

    name: str
    path: str
    most: float


@dataclass(slots=True)
class Answers:
    """What came back: ms of each good answer by question, and what was wrong with the others."""

    times: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def quantile(values: Sequence[float], share: float) -> float:
    """By nearest rank."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, -int(-share * len(ranked) // 1) - 1))]


class Asker:
    """Puts the questions in turn, ``rate`` of them a second, until ``stop``."""

    def __init__(self, port: int, questions: Sequence[Question], rate: float) -> None:
        self.answers = Answers()
        self._port = port
        self._rate = rate
        self._order = cycle(random.Random(1).sample(list(questions), len(questions)))
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="asker")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once what was asked is answered."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        begun, count = time.monotonic(), 0
        with ThreadPoolExecutor(THREADS) as pool:
            while not self._over.is_set():
                due = begun + count / self._rate
                count += 1
                if self._over.wait(max(0.0, due - time.monotonic())):
                    break
                pool.submit(self._ask, next(self._order), due)

    def _ask(self, question: Question, due: float) -> None:
        status, body = ask(self._port, question.path)
        took = (time.monotonic() - due) * 1000
        with self._lock:
            if status == 200:
                self.answers.times.setdefault(question.name, []).append(took)
                self.answers.sizes[question.name] = len(body)
            else:
                self.answers.wrong.append(f"{question.name}: {status} {body[:200]!r}")


def ask(port: int, path: str) -> tuple[int, bytes]:
    """One GET; status 0 and the reason where there was no answer."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error).encode()
    finally:
        link.close()
