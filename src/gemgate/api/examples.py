"""Examples of the document: a body for each Struct that comes in, an answer for each shape, problems.

Laws:

- a body can be sent as it stands to any console: it names nothing that must be there before;
- answers were given by a console over a seeded record, with lists cut to their first entries; they are data:
  ``gemgate/data/answers.json``, by the name of the definition;
- no secret stands in any of them.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any, Final

import msgspec

from gemgate.api.budgets import BudgetBody, BudgetChange
from gemgate.api.exports import ExportBody
from gemgate.api.keys import KeyBody, KeyChange, Rotation
from gemgate.api.limits import LimitBody
from gemgate.api.payloads import RuleBody
from gemgate.api.prices import PriceBody
from gemgate.api.problems import ProblemBody
from gemgate.api.questions import Question
from gemgate.api.reprice import RepriceBody
from gemgate.api.route_words import NewRoute, RouteBody

_FILE: Final = "answers.json"
_ROUTE: Final = {"targets": ["gemini-3.8-flash", "gemini-3.5-flash-lite"], "limits": {"rpm": 60}}

BODIES: Final[dict[type[msgspec.Struct], dict[str, Any]]] = {
    BudgetBody: {
        "name": "everything",
        "scope": "all",
        "unit": "money",
        "amount": 50_000_000_000,
        "period": "month",
        "zone": "Europe/Berlin",
    },
    BudgetChange: {"amount": 80_000_000_000, "soft": 0.9},
    ExportBody: {"what": "costs", "format": "csv", "from": "-7d", "step": "day", "group": ["model"]},
    KeyBody: {"name": "shop", "rpm": 60, "tags": ["team:shop"]},
    KeyChange: {"rpm": 120, "concurrency": None},
    LimitBody: {"rpm": 60, "tpm": 250_000},
    NewRoute: {"name": "fast", **_ROUTE},
    PriceBody: {
        "model": "gemini-3.8-flash",
        "from": "2026-11-23",
        "until": "2026-11-24",
        "input": 700_000_000,
        "output": 3_500_000_000,
        "cached": 70_000_000,
        "source": "our contract",
        "replace": True,
    },
    Question: {"model": "gemini-3.8-flash", "prompt": "Say hello", "tags": ["demo"]},
    RepriceBody: {"from": "-7d", "to": "now", "dry_run": True},
    Rotation: {"grace": 3_600},
    RouteBody: _ROUTE,
    RuleBody: {"keep_seconds": 86_400, "redact": {"patterns": ["PATIENT-[0-9]+"]}},
}
"""By the Struct: a body that can be sent as it stands."""

EVENTS: Final = {
    "generate": 'data: {"text":"Hello"}\n\ndata: {"text":"!"}\n\nevent: end\n'
    'data: {"model":"gemini-3.8-flash","finish":"STOP","block":"","usage":{"input":3,"cached":0,"output":2,'
    '"thoughts":0,"tool":0,"total":5},"call_id":"01a20acf-47c8-71ef-89b2-5ca2b7e46094","route":"",'
    '"project":"demo","tries":1,"list_nano":9250,"billed_nano":9250,"estimated":false,"duration":1370881}\n\n',
    # The data is a call as the list gives it; cut here.
    "calls": 'id: 812\nevent: call\ndata: {"seq":812,"call_id":"01a20acf-47c8-71ef-89b2-5ca2b7e46094"}\n\n'
    ": still here\nid: 815\n\n",
}
"""By the namespace: what a stream of server-sent events looks like."""

FILES: Final = {
    "exports": "time,start,until,model,list_nano,billed_nano\n"
    "2026-11-20T00:00:00+00:00,1795132800000000,1795219200000000,gemini-2.5-flash,1081500,1081500\n",
    "payloads": '{"contents": [{"role": "user", "parts": [{"text": "Say hello"}]}]}',
}
"""By the namespace: how a file of it begins."""

# Code, sentence and hint of one problem for each status. What is not found, and what stands against a change, is
# another thing in each namespace.
_PROBLEMS: Final = {
    400: ("BAD_REQUEST", "The request cannot be read.", ""),
    401: ("TOKEN_NEEDED", "This needs an admin token.", "Send it in the header x-gemgate-token."),
    402: ("BUDGET_SPENT", "The budget everything is spent.", "Raise it, or wait until its period ends."),
    403: ("ROLE_NEEDED", "The token's role may not do this.", "Ask an administrator."),
    404: ("NOTHING_HERE", "There is nothing at this path.", "The document is at /api/v1/swagger.json."),
    405: (
        "WRONG_METHOD",
        "This path does not take this method.",
        "The header Allow lists those that it takes.",
    ),
    409: ("FROM_FILE", "gemgate.toml defines this.", "Change it in that file."),
    410: ("EXPIRED", "The file was taken away.", "Ask for the export again."),
    413: ("TOO_LARGE", "The body is larger than the console takes.", "Send less at once."),
    415: ("NOT_JSON", "The body must be JSON.", "Send the header Content-Type: application/json."),
    416: ("REQUESTED_RANGE_NOT_SATISFIABLE", "The file ends before the range.", "Ask without Range."),
    422: ("TOO_MUCH", "The answer needs too many calls read one by one.", "Ask for a shorter span."),
    429: ("TOO_MANY_EXPORTS", "100 exports wait already.", "Ask again later, or cancel one."),
    500: ("INTERNAL", "A fault of gemgate's.", "Its log says where."),
    502: ("GATEWAY_BROKE_OFF", "The gateway's answer broke off.", "/calls shows what became of the call."),
    503: ("STORE_BUSY", "Another program holds the record.", "Ask again in some seconds."),
    504: ("GATEWAY_SILENT", "The gateway did not answer in time.", "/health tells how it is."),
}
_THERE_IS_NO: Final = {
    "budgets": ("BUDGET_NOT_FOUND", "budget"),
    "calls": ("CALL_NOT_FOUND", "call"),
    "exports": ("EXPORT_NOT_FOUND", "export"),
    "keys": ("KEY_NOT_FOUND", "key"),
    "limits": ("LIMIT_NOT_FOUND", "stored limit"),
    "models": ("MODEL_NOT_FOUND", "model"),
    "payloads": ("PAYLOAD_NOT_FOUND", "stored body"),
    "prices": ("PRICE_NOT_FOUND", "price"),
    "projects": ("PROJECT_NOT_FOUND", "project"),
    "routes": ("ROUTE_NOT_FOUND", "route"),
}
_AGAINST: Final = {
    "advice": ("UNDER_WAY", "The record is being looked over just now.", "Read /advice in some seconds."),
    "calls": ("SEVERAL_CALLS", "Several calls begin with this id.", "Give more of the id."),
    "exports": ("NOT_DONE", "The export is not done yet.", "Ask for its state."),
    "payloads": ("SEVERAL_CALLS", "Several calls begin with this id.", "Give more of the id."),
    "prices": ("PRICE_OVERLAPS", "The price would take days from another.", 'Send "replace": true.'),
}
_OF_QUESTIONS: Final = {
    429: ("KEY_RATE", "The calls or tokens of the key's minute are used up.", "Ask again after Retry-After."),
    503: ("GATEWAY_DOWN", "Nobody answers where the gateway should be.", "Start it with gemgate serve."),
}


def answer(definition: str) -> Any:
    """An answer of this definition, None where there is none."""
    return _answers().get(definition)


def problem(status: int, title: str, namespace: str, fields: tuple[str, tuple[str, ...]]) -> ProblemBody:
    """A problem of this status in this namespace. ``fields``: ``body`` or ``query``, and the names known there."""
    code, detail, hint = _PROBLEMS.get(status, (title.upper().replace(" ", "_"), title + ".", ""))
    errors: dict[str, str] = {}
    if status == 400:
        part, known = fields
        code = f"BAD_{part.upper()}"
        detail = f"The {'query string' if part == 'query' else part} does not hold what is asked for here."
        words = (
            f"There is no such field; known here: {', '.join(known)}." if known else "No field is known here."
        )
        errors = {"colour": words}
    elif status == 404 and namespace in _THERE_IS_NO:
        code, thing = _THERE_IS_NO[namespace]
        detail, hint = f"There is no such {thing}.", "The list has them all."
    elif status == 409:
        code, detail, hint = _AGAINST.get(namespace, (code, detail, hint))
    elif namespace == "generate":
        code, detail, hint = _OF_QUESTIONS.get(status, (code, detail, hint))
    return ProblemBody(
        type=f"urn:gemgate:problem:{code.lower()}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        errors=errors,
        hint=hint,
        request_id="0f8e1c2b3a495867",
    )


@functools.cache
def _answers() -> dict[str, Any]:
    """All answers. Raises OSError or ValueError for a broken installation."""
    found: dict[str, Any] = msgspec.json.decode((resources.files("gemgate") / "data" / _FILE).read_bytes())
    return found
