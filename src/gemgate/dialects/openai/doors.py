"""Which of OpenAI's doors a verb and a path mean.

Laws:

- all under ``/openai/v1`` is OpenAI's, also what is not served there;
- under ``/v1``, which Google uses too, only the paths that Google does not have are OpenAI's, and the list of
  models when the credential is a bearer's alone, as OpenAI's clients send it and Google's do not;
- a model may stand in a path encoded, with slashes, and with ``models/`` in front.
"""

from __future__ import annotations

import re
import urllib.parse

import msgspec

CHAT, RESPONSES, EMBEDDINGS, MODELS = "chat.completions", "responses", "embeddings", "models"


class Door(msgspec.Struct, frozen=True, gc=False):
    """A door found.

    ``name`` is ``chat.completions``, ``responses``, ``embeddings``, ``models``, or empty for a path of OpenAI's
    that is not served. ``action`` is ``create``, ``get``, ``list``, ``delete``, ``cancel`` or ``input_items``;
    ``resource`` the id that the path names (of a model without ``models/``), empty where none stands.
    """

    name: str
    resource: str = ""
    action: str = ""


NOT_SERVED = Door("")

_MAYBE = re.compile(r"/+(openai/+)?v1(?:/+(chat|responses|embeddings|models))?(?:/|$)")
_WHOLE = {
    ("POST", "chat/completions"): Door(CHAT, action="create"),
    ("POST", "responses"): Door(RESPONSES, action="create"),
    ("POST", "embeddings"): Door(EMBEDDINGS, action="create"),
    ("GET", "models"): Door(MODELS, action="list"),
}
_RESPONSE = {
    ("GET", ""): "get",
    ("DELETE", ""): "delete",
    ("POST", "cancel"): "cancel",
    ("GET", "input_items"): "input_items",
}


def match(verb: str, raw_path: str, bearer_only: bool) -> Door | None:
    """The door that ``verb`` on ``raw_path`` (without query, as it came) means; None: the path is not OpenAI's.

    ``bearer_only``: the call's one credential is a bearer token, with neither an ``x-goog-`` header nor a key
    in the query.
    """
    found = _MAYBE.match(raw_path)
    if found is None or not (found[1] or found[2]):
        return None
    words = [word for word in urllib.parse.unquote(raw_path).split("/") if word]
    if found[1]:
        return _door(verb, words[2:])
    if found[2] != MODELS:
        return _door(verb, words[1:])
    if verb != "GET" or not bearer_only or "operations" in words:
        return None
    return _door(verb, words[1:])


def _door(verb: str, words: list[str]) -> Door:
    """The door behind the words after the version."""
    if ".." in words or "." in words:
        return NOT_SERVED
    found = _WHOLE.get((verb, "/".join(words)))
    if found is not None:
        return found
    if len(words) > 1 and words[0] == MODELS and verb == "GET":
        return Door(MODELS, "/".join(words[1:]).removeprefix("models/"), "get")
    if words[:1] == [RESPONSES] and len(words) in (2, 3):
        action = _RESPONSE.get((verb, "".join(words[2:])))
        if action is not None:
            return Door(RESPONSES, words[1], action)
    return NOT_SERVED
