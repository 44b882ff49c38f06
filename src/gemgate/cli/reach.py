"""Asks the upstream with each key, for `gemgate doctor`: does the key work, and is our clock right?"""

from __future__ import annotations

import email.utils
import http.client
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from gemgate.cli.checks import Finding, Level
from gemgate.cli.shown import sentence
from gemgate.config import Secret, Settings
from gemgate.core.fingerprint import redact

_PATH = "/v1beta/models?pageSize=1"
_MOST_SAID = 160  # characters of a message of Google's
_SKEWED, _LOST = 5.0, 60.0  # seconds of difference between the clocks


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream said: status, a reason of Google's or of the network's, and its clock (Unix time)."""

    status: int
    reason: str
    date: float | None = None


def keys(settings: Settings, now: Callable[[], float]) -> list[Finding]:
    """One finding for each key, by project and number, and one for the clock."""
    if settings.simulated:
        remedy = "Set GEMINI_API_KEY, or add [[project]] to gemgate.toml, to reach Google."
        why = "demo is set" if settings.demo else "no Google key is configured"
        return [Finding(Level.WARN, "keys", f"{why}: the simulator answers", remedy)]
    found = []
    dates = []
    if not settings.projects:
        found.append(Finding(Level.OK, "keys", "clients bring their own keys"))
        answer = ask(settings, None)
        dates.append((answer, now()))
        found.append(_reached(answer))
    for project in settings.projects:
        for number, key in enumerate(project.keys, 1):
            answer = ask(settings, key)
            dates.append((answer, now()))
            found.append(key_finding(f"project {project.name}, key {number}", answer))
    return found + [
        clock_finding(answer.date - here) for answer, here in dates[:1] if answer.date is not None
    ]


def ask(settings: Settings, key: Secret | None) -> Answer:
    """A real request for one model. The key goes in a header, and nowhere else."""
    parts = urlsplit(settings.upstream.base_url)
    host, patience = parts.hostname or "", settings.upstream.connect_timeout
    if parts.scheme == "https":
        trusted = str(settings.upstream.ca_file) if settings.upstream.ca_file else None
        context = ssl.create_default_context(cafile=trusted)
        link: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=patience, context=context
        )
    else:
        link = http.client.HTTPConnection(host, parts.port, timeout=patience)
    headers = {"x-goog-api-key": key.reveal()} if key else {}
    try:
        link.request("GET", parts.path.rstrip("/") + _PATH, headers=headers)
        answer = link.getresponse()
        return Answer(answer.status, reason_in(answer.read(65536)), _date(answer.getheader("Date")))
    except ssl.SSLCertVerificationError:
        return Answer(0, "its certificate is not trusted here")
    except socket.gaierror:
        return Answer(0, f"the name {host} is not known here")
    except TimeoutError:
        return Answer(0, f"no answer within {patience:g} s")
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, getattr(error, "strerror", None) or type(error).__name__)
    finally:
        link.close()


def reason_in(body: bytes) -> str:
    """Google's short reason in an error body (``API_KEY_INVALID``), else its status and message, else nothing."""
    try:
        error = json.loads(body)["error"]
        details = [one.get("reason", "") for one in error.get("details", []) if isinstance(one, dict)]
        # Only the message tells a leaked key from a suspended project; some of Google's name the key itself.
        said = sentence(redact(str(error.get("message", ""))))[:_MOST_SAID]
        whole = f"{error.get('status', '')}{f' ({said})' if said else ''}"
        return next((str(reason) for reason in details if reason), whole)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def key_finding(name: str, answer: Answer) -> Finding:
    """What an answer says of the key that was used."""
    said = f"{answer.status} {answer.reason}".strip()
    if answer.status == 200:
        return Finding(Level.OK, "keys", f"{name} works")
    if answer.status == 0:
        remedy = "Check network, proxy and upstream.base_url."
        return Finding(Level.FAIL, "keys", f"{name}: upstream not reached, {answer.reason}", remedy)
    if answer.status in (429, 500, 502, 503, 504):
        remedy = "Nothing to do now: it passes, or the project's quota is used up."
        return Finding(Level.WARN, "keys", f"{name} was answered {said}", remedy)
    remedy = "Make a new key in Google AI Studio, and check that the project is not suspended."
    return Finding(Level.FAIL, "keys", f"{name} is refused: {said}", remedy)


def clock_finding(ahead: float) -> Finding:
    """What it means that the upstream's clock is ``ahead`` seconds of ours. Date headers are whole seconds."""
    text = f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the upstream's clock"
    if abs(ahead) <= _SKEWED:
        return Finding(Level.OK, "clock", "agrees with the upstream's")
    level = Level.FAIL if abs(ahead) > _LOST else Level.WARN
    remedy = "Set the clock (NTP): prices and daily quotas go by it."
    return Finding(level, "clock", text, remedy)


def _reached(answer: Answer) -> Finding:
    if answer.status:
        return Finding(Level.OK, "upstream", "it answers")
    remedy = "Check network, proxy and upstream.base_url."
    return Finding(Level.FAIL, "upstream", f"not reached: {answer.reason}", remedy)


def _date(text: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
