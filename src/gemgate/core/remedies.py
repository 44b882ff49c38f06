"""What a person should do about an error of the record: one sentence for each reason that calls and tries end with.

``core.actions`` says what gemgate itself does about it. A reason that is not here (an outcome of a client's own, a
word that only Google uses) has no remedy that is known.
"""

from __future__ import annotations

from typing import Final

_QUOTA: Final = (
    "Ask Google for a higher limit, add a project with a key of its own, or let another model answer."
)
_NETWORK: Final = (
    "Look at the network between this machine and Google, and at proxies and firewalls on the way."
)
_GOOGLES: Final = "Let another model or project answer (fallback); Google's status page tells of outages."
_REQUEST: Final = "Correct the request; `gemgate call ID` shows Google's own words."
_TIME: Final = "Ask for less at a time, stream the answer, or raise the timeouts of [upstream]."
_KEY: Final = "Make a new key in Google AI Studio and put it into the project."
_LATER: Final = "Repeat after Retry-After, or raise the key's limit: `gemgate keys change`."
_BUDGET: Final = "Wait for the next period, or raise the budget: `gemgate budgets change`."

REMEDIES: Final[dict[str, str]] = {
    "quota_minute": _QUOTA,
    "quota_tokens": _QUOTA,
    "quota_day": _QUOTA,
    "quota_zero": "Take the model off this project's routes, or move the project to a paid tier.",
    "quota_storage": "Delete files that are no longer needed, or upload to another project.",
    "prepaid": "Pay in at Google's billing, or take the project out.",
    "exhausted": _QUOTA,
    "no_room": _QUOTA,
    "overloaded": _GOOGLES,
    "gateway": _GOOGLES,
    "internal": _GOOGLES,
    "cancelled": _GOOGLES,
    "disconnected": _NETWORK,
    "connect": _NETWORK,
    "connect_timeout": _NETWORK,
    "tls": "Look at the machine's clock and certificates, and at upstream.ca_file.",
    "cut": _NETWORK,
    "garbage": "Look at what stands between this machine and Google: it answered instead.",
    "empty_answer": "Look at the prompt and its safety settings; let another model answer.",
    "deadline": _TIME,
    "first_byte_timeout": _TIME,
    "stall_timeout": _TIME,
    "total_timeout": _TIME,
    "key_invalid": _KEY,
    "key_leaked": "Delete the key at Google, and put a new one into the project.",
    "unauthenticated": _KEY,
    "denied": "See in Google's console what the key may do, or use a key of another project.",
    "credentials_doubled": "Report it: gemgate sent two credentials.",
    "project_suspended": "See in Google's console why the project is shut, or take it out.",
    "project_disabled": "Switch the Gemini API on for the project in Google's console, or take it out.",
    "region": "Use a project with billing: the free tier is not offered where this machine is.",
    "model_unknown": "Correct the model's name, or make a route of this name.",
    "model_closed": "Use another model: Google no longer gives this one to the project.",
    "not_found": "Upload or make the thing anew: it is gone, or was made by another project.",
    "precondition": _REQUEST,
    "signature_corrupt": "Send thought signatures back as they came.",
    "signature_missing": "Send the thought signatures of earlier answers back with the history.",
    "context_overflow": "Send a shorter prompt, or use a model with a larger window.",
    "invalid": _REQUEST,
    "refused": _REQUEST,
    "body_length": "Look at the client: it sent another length than it had announced.",
    "unimplemented": "Leave it out: Google does not offer this.",
    "key_missing": "Send a virtual key; docs/keys.md names the places.",
    "key_unknown": "Look at the key that the client sends: it is none of this gateway's.",
    "key_expired": "Give the client the new secret, or let the key live longer: `gemgate keys change`.",
    "key_disabled": "`gemgate keys enable NAME`, if it should work.",
    "key_stopped": "Find out why the key ran away, then `gemgate keys enable NAME`.",
    "address_not_allowed": "`gemgate keys change NAME --network`, if the client may call from there.",
    "model_not_allowed": "`gemgate keys change NAME --route`, if the key may use it.",
    "key_misplaced": "Send the key in a header, and nowhere else.",
    "right_missing": "`gemgate keys change NAME --right`, if the key may do this.",
    "thing_not_found": "Use a thing that the same key has made.",
    "budget_spent": _BUDGET,
    "budget_held": "Repeat after Retry-After: calls under way hold the rest of the budget.",
    "uncounted_call": "`gemgate budgets change NAME --allow-unpriced`, or leave such calls out.",
    "unpriced_model": "Add a price for the model, use another one, or allow it: --allow-unpriced.",
    "key_rate": _LATER,
    "key_busy": _LATER,
    "too_many_tags": "Send fewer tags.",
    "bad_tag": "Correct x-gemgate-tags.",
    "keys_unread": "`gemgate doctor` says why the record could not be read.",
    "no_target": "`gemgate route MODEL` shows why no target can be tried.",
    "no_route": "Use another name, or give the route a wider `when`.",
    "no_eligible_target": "`gemgate call ID` says, target by target, why none may serve the call.",
    "unknown_project": "Leave x-gemgate-project out, or correct it.",
    "no_key": "Give the project a Google key.",
    "no_credential": "Send a Google key of the client's own: upstream.credentials is `client`.",
    "malformed_json": "Correct the body: it is no JSON.",
    "body_too_large": "Upload large parts with the Files API, or raise gateway.max_body.",
    "live_not_served": "Connect to Google directly for the Live API.",
    "store_down": "`gemgate doctor` says why the record cannot be written.",
    "record_down": "`gemgate doctor` says why the record cannot be written.",
    "invalid_request": "Correct the field that the message names.",
    "unsupported_parameter": "Leave the parameter out, or set openai.parameters to drop what Google lacks.",
    "previous_response_not_found": "Store answers (`store: true`), or send the whole input.",
    "not_kept": "Store answers (`store: true`): this one was not kept.",
    "model_not_found": "Look at the list of models: no model can have this name.",
    "unknown_path": "See docs/openai.md: this path of OpenAI's is not served.",
    "unreadable_answer": "Repeat, or call in Google's own form.",
    "bad_header": "Correct the header that the message names.",
    "bad_page_token": "Begin the list anew: the page token is none of this gateway's.",
    "method_override": "Send the verb that is meant, without an override of the method.",
    "list_form": "Ask for plain JSON: leave `alt` and `callback` out.",
    "list_unreadable": "Ask for plain JSON.",
    "endless_list": "Give the key the right `shared`: `gemgate keys change NAME --right shared`.",
    "encoded_body": "Send the body plain, without Content-Encoding.",
    "head_too_large": "Send fewer or shorter headers, or raise gateway.max_header.",
    "host_not_allowed": "Add the name to gateway.allowed_hosts, if clients may use it.",
    "origin_not_allowed": "Add the page's origin to gateway.cors_origins, if it may call.",
    "pinned_twice": "Use things of one project in a call: upload them to the same one.",
    "pinned_gone": "Make the thing anew: its project is gone.",
    "pinned_elsewhere": "Leave the project out, or name the one that holds the thing.",
    "signatures_elsewhere": 'Begin the conversation anew, or set signatures to "replace".',
    "client_left": "Nothing, or raise the client's own timeout, if it leaves before answers come.",
    "hedged": "Nothing: another try answered first. Without `hedge` in the route there are none of these.",
    "interrupted": "Nothing, if gemgate was stopped on purpose; else see its log for why it ended.",
    "shutdown": "Repeat: gemgate was stopped while the call was under way.",
}


def remedy(reason: str) -> str:
    """What to do about a reason of the record, empty where nothing is known."""
    return REMEDIES.get(reason.lower(), "")
