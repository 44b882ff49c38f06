"""The named faults: what each does in a sentence, and which of them a request is to suffer.

A fault comes from the request's ``x-simulate: name[=value][,name…]`` header, from its project, or from the
script's ``faults`` list, whose rules may narrow it to a model (in the path or in the body, under any of its names),
project, key or method, a span of time (``from`` and ``until``, simulated seconds since the rules were given), a
``rate``, the ``nth`` call, the ``first`` n calls, or ``every`` nth. Whom a ``rate`` strikes follows from the seed and
the number of the call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gemini_simulator.http import ApiError
from gemini_simulator.prose import Dice
from gemini_simulator.quota import Refusal, refusal
from gemini_simulator.world import Project, World

BUSY = (
    "This model is currently experiencing high demand. Spikes in demand are usually temporary. "
    "Please try again later."
)
OVERLOADED = "The model is overloaded. Please try again later."
INTERNAL = (
    "An internal error has occurred. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting"
)

# Answers that are an error from the first byte: name -> (status, rpc status or "", message, sentence).
ERRORS: dict[str, tuple[int, str, str, str]] = {
    "leaked_key": (
        403,
        "",
        "Your API key was reported as leaked. Please use another API key.",
        "The key was found in public.",
    ),
    "consumer_suspended": (
        403,
        "",
        "Permission denied: Consumer 'api_key:REDACTED' has been suspended.",
        "The project is suspended.",
    ),
    "failed_precondition_region": (
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use.",
        "No free tier here.",
    ),
    "prepay_depleted": (
        402,
        "",
        "Your prepayment credits are depleted. Please go to AI Studio at "
        "https://ai.studio/projects to manage your project and billing.",
        "The prepaid balance is empty.",
    ),
    "context_overflow": (
        400,
        "",
        "The input token count exceeds the maximum number of tokens allowed (1048576).",
        "Prompt too long.",
    ),
    "exhausted_bare": (
        429,
        "",
        "Resource has been exhausted (e.g. check quota).",
        "A 429 without details.",
    ),
    "overloaded_new": (
        503,
        "",
        BUSY,
        "The model is overloaded (wording of 2026).",
    ),
    "overloaded": (
        503,
        "",
        BUSY,
        "The same, by its short name.",
    ),
    "internal_long": (
        500,
        "",
        INTERNAL,
        "An internal error.",
    ),
    "internal": (
        500,
        "",
        INTERNAL,
        "The same, by its short name.",
    ),
    "deadline": (
        504,
        "",
        "Deadline expired before operation could complete.",
        "Not finished in time.",
    ),
    "cancelled": (
        499,
        "",
        "The operation was cancelled.",
        "The operation was cancelled.",
    ),
    "model_not_found": (
        404,
        "",
        "models/{model} is not found for API version {version}, or is not supported for "
        "{method}. Call ModelService.ListModels to see the list of available models and their "
        "supported methods.",
        "No such model.",
    ),
    "model_closed_to_new_users": (
        404,
        "",
        "This model models/{model} is no longer available to new users. Please update your "
        "code to use models/gemini-3.6-flash. We recommend to use the latest model.",
        "Closed to new projects.",
    ),
    "thought_signature_missing": (
        400,
        "",
        "Function call is missing a thought_signature in functionCall parts. This is required "
        "for tools to work correctly, and missing thought_signature may lead to degraded model"
        " performance. Additional data, function call `default_api:get_weather` , position 2. "
        "Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more "
        "details.",
        "A signature is missing.",
    ),
    "thought_signature_corrupt": (
        400,
        "",
        "Corrupted thought signature.",
        "A signature is foreign or altered.",
    ),
    "penalty_unsupported": (
        400,
        "",
        "Penalty is not enabled for this model",
        "The model takes no penalties.",
    ),
    "multiple_credentials": (
        400,
        "",
        "Multiple authentication credentials received. Please pass only one.",
        "Two credentials.",
    ),
    "openai_unknown_field": (
        400,
        "",
        'Invalid JSON payload received. Unknown name "frequency_penalty": Cannot find field.',
        "A field the OpenAI layer does not know.",
    ),
}

# Quota refusals: name -> (windows, tier, limits, retry seconds, sentence).
QUOTAS: dict[str, tuple[Refusal, str]] = {
    "quota_rpd_free": (Refusal("free", [("rpd", 20)], 38.90923309), "Free requests per day are used up."),
    "quota_rpm_free": (Refusal("free", [("rpm", 2)], 56.2), "Free requests per minute are used up."),
    "quota_tpm_free": (
        Refusal("free", [("tpm", 250_000)], 26.5),
        "Free input tokens per minute are used up.",
    ),
    "quota_limit_zero": (
        Refusal("free", [("tpm", 0), ("rpm", 0), ("rpd", 0)], 47.3),
        "The tier does not have the model.",
    ),
    "quota_rpd_paid": (
        Refusal("tier1", [("rpd", 250)], 68933.149597459),
        "Paid requests per day are used up.",
    ),
    "quota_tpm_paid_tier1": (
        Refusal("tier1", [("tpm", 1_000_000)], 45.811974541),
        "Paid input tokens per minute.",
    ),
    "live_ws_quota_close": (
        Refusal("free", [("rpd", 20)], 38.90923309),
        "The daily limit, which Live tells as close 1011; here a refused upgrade.",
    ),
    "openai_429_array": (
        Refusal("free", [("rpd", 20)], 31.8),
        "The daily 429, as the OpenAI layer wraps it.",
    ),
}

# Everything that is no plain error answer: name -> sentence. ``=N`` and ``=S`` show that it takes a value.
EFFECTS = {
    "status": "=N: an error of status N, 400 to 599, in Google's form.",
    "api_key_invalid": "The key is not known (400).",
    "api_key_auth_key_rejected": "The credential is of the wrong kind (401).",
    "mid_stream_bare": "As in-stream-error=1.",
    "stream_truncated": "As end-after=1.",
    "interactions_error_event": "As in-stream-error=1 on a stream of interactions.",
    "blocked_prompt": "The prompt is blocked: 200, promptFeedback, no candidates.",
    "blocked": "The same, by its short name.",
    "cut_after": "=N: the connection breaks after N events; 0 breaks it before the first.",
    "end_after": "=N: the body ends cleanly after N events, without a finish reason.",
    "stall_after": "=N: after N events nothing more comes, and the connection stays open.",
    "stall": "As stall-after=1.",
    "in_stream_error": "=N: after N events a bare pretty-printed error object (an error event in interactions).",
    "in_stream_error_framed": "=N: after N events an error object in a data: line.",
    "empty": "An answer whose candidate has neither parts nor a finish reason.",
    "garbage": "A 200 that is no JSON: text/html, or in a stream bytes that mean nothing.",
    "slow_first_byte": "=S: S simulated seconds until the first byte, instead of the model's own.",
    "slow": "=S: S simulated seconds more until the first byte.",
    "reset": "The connection is reset before any byte of an answer.",
    "half_headers": "The connection ends in the middle of the answer's headers.",
    "truncated_json": "A Content-Length larger than the body that comes.",
    "max_tokens_thinking": "MAX_TOKENS is reached while thinking: content {} and no candidate tokens.",
    "gzip": "The answer is gzip-encoded when the client accepts that.",
    "tier": "=NAME: the service tier that is served, whatever was asked.",
    "tokens": "=N: the answer is N tokens long.",
    "output": "=N: the answer is N tokens of text, and no thoughts and no function calls come with it.",
    "input": "=N: the prompt counts as N tokens, in quotas, usage and price.",
    "events": "=N: a stream has N events with text.",
    "thoughts": "=N: N thinking tokens.",
    "tokens_per_second": "=N: the speed of the answer.",
    "parallel_calls": "=N: N function calls in one answer.",
    "tool_turns": "=N: function calls come in N turns, one after the other, before the text; 1 without it.",
    "no_call": "Text, though functions are declared.",
    "continue_after": "=N: Gemini 4 hands out a continuation token after N tokens.",
    "finish": "=REASON: the finish reason of the answer.",
    "cached": "=N: N prompt tokens count as cached.",
}


ALIASES = (
    ("mid_stream_bare", "in_stream_error", "1"),
    ("interactions_error_event", "in_stream_error", "1"),
    ("stream_truncated", "end_after", "1"),
    ("stall", "stall_after", "1"),
    ("blocked_prompt", "blocked", ""),
)


def names() -> dict[str, str]:
    """Every fault's name and what it does, in the order of the tables."""
    table = {name: f"{entry[0]}: {entry[3]}" for name, entry in ERRORS.items()}
    table |= {name: f"429: {sentence}" for name, (_, sentence) in QUOTAS.items()} | EFFECTS
    return {name.replace("_", "-"): sentence for name, sentence in table.items()}


def parse(text: str) -> dict[str, str]:
    """``a=1, b`` -> {"a": "1", "b": ""}; hyphens and underscores are the same. Raises ApiError for unknown names."""
    found: dict[str, str] = {}
    for item in text.split(","):
        name, _, value = item.strip().partition("=")
        name = name.strip().lower().replace("-", "_")
        if not name:
            continue
        if name not in ERRORS and name not in QUOTAS and name not in EFFECTS:
            raise ApiError(400, f"x-simulate: there is no fault named {name.replace('_', '-')!r}.")
        found[name] = value = value.strip()
        numbered = EFFECTS.get(name, "").startswith(("=N:", "=S:"))
        if numbered and (value or name == "status") and not _fits(name, value):
            raise ApiError(400, f"x-simulate: {name.replace('_', '-')} takes a number, not {value!r}.")
    for long, short, value in ALIASES:
        if long in found:
            found.setdefault(short, found.pop(long) or value)
    return found


def _fits(name: str, value: str) -> bool:
    """Whether ``value`` is a number from 0 on: a whole one for counts, any for seconds and speeds."""
    if name == "status":
        return value.isascii() and value.isdigit() and 400 <= int(value) <= 599
    if not EFFECTS[name].startswith("=S") and name != "tokens_per_second":
        return value.isascii() and value.isdigit()
    try:
        return 0 <= float(value) < float("inf")
    except ValueError:
        return False


def name_models(world: World) -> bool:
    """Whether any rule is for some models only, so that the model must be known before a request is let in."""
    return any(rule.get("model") not in (None, "*") for rule in world.script.get("faults", []))


def active(
    world: World, project: Project, key: str, asked: tuple[str, Iterable[str]], header: str
) -> dict[str, str]:
    """The faults of one request; ``asked`` is (method id, the model's names). The header wins over all others."""
    method, models = asked
    found: dict[str, str] = parse(project.faults)
    for number, rule in enumerate(world.script.get("faults", [])):
        narrow = {"project": project.name, "key": key, "method": method}
        if (
            (rule.get("model") in (None, "*") or rule["model"] in models)
            and all(rule.get(name) in (None, "*", value) for name, value in narrow.items())
            and _due(world, number, rule)
        ):
            found |= parse(str(rule["simulate"]))
    return found | parse(header) if header else found


def _due(world: World, number: int, rule: dict[str, Any]) -> bool:
    """Whether a matching rule strikes this time; counts its calls."""
    name = f"rule-{number}"
    world.fault_uses[name] = call = world.fault_uses.get(name, 0) + 1
    age = world.clock.now() - float(rule.get("began", world.started))
    if not rule.get("from", 0) <= age < rule.get("until", float("inf")):
        return False
    if "nth" in rule:
        wanted = rule["nth"] if isinstance(rule["nth"], list) else [rule["nth"]]
        return call in wanted
    if "first" in rule:
        return bool(call <= int(rule["first"]))
    if "every" in rule:
        return call % int(rule["every"]) == 0
    if "rate" in rule:
        return Dice(f"{world.seed}:{name}:{call}").below(1_000_000) < float(rule["rate"]) * 1_000_000
    return True


def error(found: dict[str, str], asked: dict[str, str]) -> ApiError | None:
    """The plain error among ``found``, if one is; ``asked`` fills model, family, version and method in."""
    for name in found:
        if name in ERRORS:
            status, rpc, message, _ = ERRORS[name]
            return ApiError(status, message.format(**asked), rpc, _details(name, message))
        if name in QUOTAS:
            return refusal(QUOTAS[name][0], asked["family"])
        if name == "status":
            return ApiError(int(found[name]), f"A simulated error of status {found[name]}.")
    return None


def _details(name: str, message: str) -> list[dict[str, Any]]:
    if name == "consumer_suspended":
        metadata = {
            "service": "generativelanguage.googleapis.com", "consumer": "projects/REDACTED",
            "containerInfo": "api_key:REDACTED",
        }  # fmt: skip
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        return [
            {"@type": kind, "reason": "CONSUMER_SUSPENDED", "domain": "googleapis.com", "metadata": metadata}
        ]
    if name == "openai_unknown_field":
        return [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"description": message}],
            }
        ]
    return []
