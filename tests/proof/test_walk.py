"""Promise P6 and P9 at every path: who has no key, a wrong one or one without the right gets the right refusal in the
words of the door, and the upstream hears nothing. What came as a key is nowhere in what is kept.

Every method of Google's inventory, each door of OpenAI, paths that nobody knows and the console's are asked with each
kind of key. Keys are looked up by the hash of the whole token; that is looked for in the code, too.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import inspect
import re
import sqlite3
import textwrap
from collections.abc import Iterator, Sequence
from itertools import count, product
from pathlib import Path
from typing import Any, Final

import pytest

from gemgate.api.app import build
from gemgate.api.problems import MEDIA
from gemgate.api.roles import Role, roles_of
from gemgate.config import Settings
from gemgate.core import access
from gemgate.dialects.gemini import methods
from gemgate.store import keys, tokens
from gemgate.store.connection import visitor
from gemgate.store.tables import metadata
from tests.gateway.keyed import token
from tests.gateway.launch import Gateway, until
from tests.proof import braked, stage
from tests.proof.braked import key, put
from tests.proof.caller import Answer, Caller, run
from tests.proof.paths import PATHS, PLACES, SOCKET, Path_, walk
from tests.simulator.launch import Simulator

ROTATED: Final = "the secret of before"
REFUSED: Final = {
    "": (401, "KEY_MISSING"),
    "nobody": (401, "KEY_UNKNOWN"),
    "expired": (401, "KEY_EXPIRED"),
    ROTATED: (401, "KEY_EXPIRED"),
    "disabled": (403, "KEY_DISABLED"),
    "stopped": (403, "KEY_STOPPED"),
    "elsewhere": (403, "ADDRESS_NOT_ALLOWED"),
}
"""What each key meets, by its name; no key without one."""
HEADERS: Final = {
    "": "",
    "x-goog-api-key": "{}",
    "x-gemgate-key": "{}",
    "x-gemgate-token": "{}",
    "authorization": "Bearer {}",
}
TAKEN: Final = ("x-gemgate-token", "authorization")
"""Where the console looks for a token of its own."""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One project without limits."""
    with stage.simulator(tmp_path_factory.mktemp("walk"), [stage.Project("one")], "--instant") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that knows a key in every state."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    put(
        folder / "data",
        [
            key("good"),
            key("root", rights=frozenset(access.RIGHTS)),
            key("narrow", routes=("other-*",)),
            key("expired", expires_at=2),
            key("disabled", disabled_at=2),
            key("stopped", stopped_at=2, stopped_why="It ran away."),
            key("elsewhere", networks=("10.0.0.0/8",)),
        ],
    )
    with contextlib.closing(visitor(folder / "data" / "gemgate.db")) as conn:
        conn.execute("BEGIN IMMEDIATE")
        good = keys.find(conn, "good")
        assert good is not None
        before = access.Token(digest=access.digest(token(ROTATED)), key=good.id, valid_until=2)
        conn.execute(
            "INSERT INTO key_tokens(digest, key_id, created_at, valid_until, hint) VALUES(?, ?, 1, 2, '')",
            (before.digest, before.key),
        )
        conn.keep()
    with stage.gateway(folder, upstream, [stage.Project("one")]) as running:
        yield running


def in_the_words_of(door: str, answer: Answer) -> None:
    """Assert that an error has the form of the door it came through."""
    error = answer.error()
    assert error["message"], answer.body
    assert answer.headers["content-type"].startswith("application/json")
    if door == "openai":
        assert {"message", "type", "param", "code"} <= error.keys()
        assert error["code"] == error["code"].lower()
        assert answer.headers["x-should-retry"] == "false"
    elif door.startswith("openai."):
        assert {"message", "type"} <= error.keys()
    else:
        assert error["code"] == answer.status
        assert error["status"] in ("UNAUTHENTICATED", "PERMISSION_DENIED")
        assert answer.detail("ErrorInfo")["metadata"]["retryable"] == "false"


def heard(upstream: Simulator) -> int:
    """How many requests the simulator has met at all."""
    return int(upstream.state()["requests"])


def test_the_walk_visits_every_method_and_door() -> None:
    asked = {one.method for one in PATHS}
    sockets = {"BidiGenerateContent", "BidiGenerateContentConstrained", "BidiGenerateMusic"}
    assert asked == (methods.METHODS - sockets) | {"unknown", "openai"}


@pytest.mark.parametrize("name", REFUSED, ids=[name or "no key" for name in REFUSED])
def test_nobody_without_a_good_key_gets_anything_anywhere(
    gateway: Gateway, upstream: Simulator, name: str
) -> None:
    before, places = heard(upstream), count()
    asked = [(one, name, PLACES[next(places) % len(PLACES)]) for one in PATHS]
    status, word = REFUSED[name]
    for (one, _, place), answer in zip(asked, walk(gateway, asked), strict=True):
        found = answer.status, braked.code(answer)
        assert found == (status, word), f"{one.verb} {one.path} with the key in {place}: {answer.body!r}"
        in_the_words_of(one.method, answer)
        assert answer.headers["x-gemgate-attempts"] == "0"
    assert heard(upstream) == before, "the upstream was asked"


@pytest.mark.parametrize("name", ["nobody", "disabled"])
def test_each_place_is_looked_into_at_each_door(gateway: Gateway, upstream: Simulator, name: str) -> None:
    before = heard(upstream)
    some = [one for one in PATHS if one.method in ("models.generateContent", "models.list", "openai")]
    asked = [(one, name, place) for one in some for place in PLACES]
    for answer in walk(gateway, asked):
        assert (answer.status, braked.code(answer)) == REFUSED[name]
    assert heard(upstream) == before


def test_a_key_without_the_right_is_refused_and_one_with_it_is_not(
    gateway: Gateway, upstream: Simulator
) -> None:
    dangerous = [one for one in PATHS if access.needed(one.method)]
    assert {access.needed(one.method) for one in dangerous} == access.RIGHTS.keys() - {"shared"}
    before, places = heard(upstream), count()
    asked = [(one, "good", PLACES[next(places) % len(PLACES)]) for one in dangerous]
    for (one, _, _), answer in zip(asked, walk(gateway, asked), strict=True):
        if one.path == SOCKET:
            continue  # a plain GET of it is refused for what it is
        assert (answer.status, braked.code(answer)) == (403, "RIGHT_MISSING"), (one, answer.body)
        in_the_words_of(one.method, answer)
    assert heard(upstream) == before
    for one, answer in zip(
        dangerous, walk(gateway, [(one, "root", PLACES[0]) for one in dangerous]), strict=True
    ):
        assert braked.code(answer) != "RIGHT_MISSING", one
    assert heard(upstream) > before


NAMING: Final = [
    one
    for one in PATHS
    if (one.method.startswith("models.") and one.verb == "POST")
    or (one.method == "openai" and b'"model"' in one.body)
    or one.method
    in ("interactions.create", "cachedContents.create", "openai.chat.completions", "openai.embeddings")
]
"""What uses a model that path or body names."""
MADE: Final = [
    Path_("decisions.create", "POST", "/v1beta/decisions", b'{"model": "gemini-3.8-flash", "input": "x"}'),
    Path_(
        "openai.videos.create",
        "POST",
        "/v1beta/openai/videos",
        b'{"model": "veo-3.1-generate-001", "prompt": "x"}',
    ),
    Path_("tunedModels.create", "POST", "/v1beta/tunedModels", b'{"baseModel": "models/gemini-3.8-flash"}'),
]
"""The same, in bodies that make something."""


def test_a_key_for_other_models_reaches_none_by_any_method(gateway: Gateway, upstream: Simulator) -> None:
    before, naming = heard(upstream), NAMING + MADE
    for one, answer in zip(
        naming, walk(gateway, [(one, "narrow", PLACES[0]) for one in naming]), strict=True
    ):
        assert (answer.status, braked.code(answer)) == (403, "MODEL_NOT_ALLOWED"), (one, answer.body)
    assert heard(upstream) == before


def test_a_good_key_opens_every_door_from_each_place(gateway: Gateway, upstream: Simulator) -> None:
    upstream.clear()
    opens = (
        "models.generateContent",
        "models.streamGenerateContent",
        "models.list",
        "openai.chat.completions",
    )
    some = [one for one in PATHS if one.method in opens]
    some += [
        one for one in PATHS if one.method == "openai" and ("chat" in one.path or "embeddings" in one.path)
    ]
    asked = [(one, "good", place) for one in some for place in PLACES]
    for (one, _, place), answer in zip(asked, walk(gateway, asked), strict=True):
        assert answer.status == 200, (one, place, answer.body)
    lines = upstream.log()
    assert len(lines) == len(asked)
    # One credential, the project's own, and nothing of the client's key beside it.
    assert len({tuple(line["credentials"]) for line in lines}) == 1
    assert all(len(line["credentials"]) == 1 for line in lines)
    assert not any("x-gemgate-key" in line["header_names"] or "key" in line["query_names"] for line in lines)


def test_things_of_nobody_are_not_asked_for(gateway: Gateway, upstream: Simulator) -> None:
    """Whatever a key may call, a thing that it has not made is none."""
    before = heard(upstream)
    named = [
        one
        for one in PATHS
        if "/nothing" in one.path and not access.needed(one.method) and "models/" not in one.path
    ]
    for one, answer in zip(named, walk(gateway, [(one, "good", PLACES[0]) for one in named]), strict=True):
        assert (answer.status, braked.code(answer)) == (404, "THING_NOT_FOUND"), (one, answer.body)
    assert heard(upstream) == before


def test_the_gateways_own_pages_need_no_key_and_ask_nobody(gateway: Gateway, upstream: Simulator) -> None:
    before = heard(upstream)
    own = [Path_("page", "GET", path) for path in ("/", "/healthz", "/favicon.ico")]
    for name in ("", "nobody", "disabled", "good"):
        found = [answer.status for answer in walk(gateway, [(one, name, PLACES[0]) for one in own])]
        assert found == [200, 200, 404]
    assert heard(upstream) == before


def test_a_virtual_key_opens_nothing_on_the_console(gateway: Gateway, upstream: Simulator) -> None:
    """The other port, once it asks for a token: a key that opens the gateway is none there, wherever it stands."""
    before = heard(upstream)
    with contextlib.closing(visitor(gateway.data / "gemgate.db")) as conn:
        conn.execute("BEGIN IMMEDIATE")
        tokens.create(conn, tokens.Token(name="walker", role="viewer", created_at=1), tokens.mint(bytes(32)))
        conn.keep()
    app = build(Settings(data=gateway.data))
    closed = 0
    with app.test_client() as client:
        for rule in app.url_map.iter_rules():
            needed = roles_of(app.view_functions[rule.endpoint])
            path = re.sub(r"<(int:)?[^>]*>", lambda found: "1" if found[1] else "x", rule.rule)
            for method, header in product(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}), HEADERS):
                if needed.get(method, needed.get("*")) is Role.ANYONE:
                    continue
                headers = {header: HEADERS[header].format(token("good"))} if header else {}
                answer = client.open(path, method=method, headers=headers, json=None)
                assert (answer.status_code, answer.content_type) == (401, MEDIA), (method, path, header)
                assert answer.json["code"] == ("TOKEN_UNKNOWN" if header in TAKEN else "TOKEN_NEEDED")
                assert b"gemini-" not in answer.data
                closed += 1
    assert closed > 200
    assert heard(upstream) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: secret[:-1],
        lambda secret: secret + "x",
        lambda secret: secret[:-1] + ("a" if secret[-1] != "a" else "b"),
        lambda secret: secret[: len(access.PREFIX) + 8],
        lambda secret: secret.upper(),
        lambda secret: access.PREFIX,
        lambda secret: access.digest(secret).hex(),
        lambda secret: access.hint(secret).replace("…", "..."),
    ],
)
def test_only_the_whole_token_is_the_key(gateway: Gateway, change: Any) -> None:
    (good,) = (one for one in PATHS if (one.method, one.path) == ("models.list", "/v1beta/models"))

    async def work(caller: Caller) -> list[Answer]:
        return [await caller.ask(good.path, b"", [("x-goog-api-key", change(token("good")))], "GET")]

    (answer,) = run(gateway.url, work)
    assert (answer.status, braked.code(answer)) == (401, "KEY_UNKNOWN")


def test_keys_are_looked_up_by_the_hash_of_the_whole_token() -> None:
    for reader in (access.Keys.find, access.Keys.holder):
        (read,) = ast.parse(textwrap.dedent(inspect.getsource(reader))).body
        taken = [node for node in ast.walk(read) if isinstance(node, ast.Call) and node.args]
        named = [ast.unparse(call.func) for call in taken if ast.unparse(call.args[0]) == "token"]
        assert named == ["self._token"], "the token is looked up in one place"
        uses = [node for node in ast.walk(read) if isinstance(node, ast.Name) and node.id == "token"]
        assert len(uses) == 1
    (find,) = ast.parse(textwrap.dedent(inspect.getsource(access.Keys._token))).body
    assert isinstance(find, ast.FunctionDef)
    uses = [node for node in ast.walk(find) if isinstance(node, ast.Name) and node.id == "token"]
    assert len(uses) == 1, "the token is used for something else than its hash"
    calls = [node for node in ast.walk(find) if isinstance(node, ast.Call)]
    of = next(call for call in calls if uses[0] in call.args)
    assert isinstance(of.func, ast.Name)
    assert of.func.id == "digest"
    assert any(ast.unparse(call.func) == "hmac.compare_digest" for call in calls)
    whole = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(access.digest))))
    assert "hashlib.sha256(token.encode(" in whole
    # In the store there is nothing that a token could be looked up by but its hash, and a hint for people.
    columns = {column.name for column in metadata.tables["key_tokens"].columns}
    assert columns == {"digest", "key_id", "created_at", "valid_until", "hint"}


def test_what_came_as_a_key_is_nowhere_in_what_is_kept(gateway: Gateway) -> None:
    """Answered, refused, recorded in the store or, while that is locked, in the spill file: the data folder, the log
    and the state hold no token."""
    some = [one for one in PATHS if one.method in ("models.generateContent", "unknown", "openai")]
    names = ("good", "nobody", ROTATED, "disabled")
    asked = [(one, name, place) for one, name, place in product(some, names, PLACES)]
    walk(gateway, asked)
    folders = [gateway.data, gateway.log_file]
    _without(folders, names)
    locker = sqlite3.connect(gateway.data / "gemgate.db", isolation_level=None)
    try:
        locker.execute("BEGIN IMMEDIATE")
        walk(gateway, asked[:: len(asked) // 12])
        until(lambda: any((gateway.data / "spill").glob("*.spill")), "rows in the spill file")
        _without(folders, names)
    finally:
        locker.close()
    gateway.kill()
    _without(folders, names)
    gateway.start()


def _without(places: Sequence[Path], names: Sequence[str]) -> None:
    """Assert that no file in these places has a token of these names, plain or encoded."""
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*"))]
    files = [file for file in files if file.is_file()]
    assert any(file.suffix == ".db" for file in files)
    for name in names:
        secret = token(name).removeprefix(access.PREFIX).encode()
        for form in (secret, base64.b64encode(secret)[:-4], secret.hex().encode()):
            for file in files:
                assert form not in file.read_bytes(), f"{file.name} has the token of {name}"
