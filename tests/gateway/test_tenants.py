"""What a key made, only that key sees, lists and uses: shown on a gateway with two projects and several keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.keyed import add_key, put_key, token
from tests.gateway.launch import Gateway, until
from tests.simulator.launch import Simulator

ONE, TWO = "AIzaTenantsFirstProjectKey0000000000000a", "AIzaTenantsSecondProjectKey000000000000b"
SCRIPT = {
    "projects": [
        {"name": "one", "tier": "open", "keys": [ONE]},
        {"name": "two", "tier": "open", "keys": [TWO]},
    ]
}
PROJECTS = f"""
[[project]]
name = "one"
keys = ["{ONE}"]
spend = 1000000
[[project]]
name = "two"
keys = ["{TWO}"]
spend = 1000000
"""
MODEL = "gemini-3.8-flash"
CACHING = "gemini-2.5-flash"
GENERATE = f"/v1beta/models/{MODEL}:generateContent"
LONG = "The harbour at night is quiet and the boats are asleep. " * 900


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Two projects without limits."""
    with Simulator("--instant", script=SCRIPT, folder=tmp_path_factory.mktemp("script")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in front of both."""
    with Gateway(tmp_path_factory.mktemp("gateway"), simulator.url, projects=PROJECTS) as running:
        with httpx.Client(base_url=running.url, timeout=30) as nobody:
            upload(nobody, "before", project="one")  # while there is no key
        yield running


@pytest.fixture(scope="module")
def ann(gateway: Gateway) -> Iterator[httpx.Client]:
    """One key."""
    with add_key(gateway, "ann") as client:
        yield client


@pytest.fixture(scope="module")
def bob(gateway: Gateway) -> Iterator[httpx.Client]:
    """Another key."""
    with add_key(gateway, "bob") as client:
        yield client


@pytest.fixture(scope="module")
def root(gateway: Gateway) -> Iterator[httpx.Client]:
    """A key that sees everything."""
    with add_key(gateway, "root", rights=frozenset({"shared"})) as client:
        yield client


def upload(client: httpx.Client, name: str, project: str = "", data: bytes = b"The harbour at night.") -> str:
    """Upload a file in one request; its name."""
    headers = {"content-type": "text/plain"} | ({"x-gemgate-project": project} if project else {})
    answer = client.post("/upload/v1beta/files?uploadType=media", content=data, headers=headers)
    assert answer.status_code == 200, answer.text
    made: str = answer.json()["file"]["name"]
    return made


def about(name: str, **more: Any) -> dict[str, Any]:
    """A prompt with a file."""
    part = {"fileData": {"mimeType": "text/plain", "fileUri": f"https://x/v1beta/{name}"}}
    return {"contents": [{"role": "user", "parts": [{"text": "What does it say?"}, part]}], **more}


def assert_unseen(client: httpx.Client, simulator: Simulator, verb: str, path: str, **more: Any) -> None:
    """The thing does not exist for this key, and nothing of the call reaches Google."""
    simulator.clear()
    answer = client.request(verb, path, **more)
    assert answer.status_code == 404, (path, answer.text)
    assert "THING_NOT_FOUND" in answer.text or "thing_not_found" in answer.text
    assert answer.headers["x-gemgate-attempts"] == "0"
    assert simulator.log() == []


def listed(client: httpx.Client, path: str, field: str, size: int = 0) -> list[list[str]]:
    """The names on each page of a list, to its end."""
    pages, token = [], ""
    while True:
        query = {"pageSize": str(size)} if size else {}
        page = client.get(path, params=query | ({"pageToken": token} if token else {}))
        assert page.status_code == 200, page.text
        body = page.json()
        assert set(body) <= {field, "nextPageToken", "next_page_token"}
        pages.append([item.get("name") or item["id"] for item in body.get(field, [])])
        token = body.get("nextPageToken") or body.get("next_page_token", "")
        if not token:
            return pages


def test_files(gateway: Gateway, simulator: Simulator, ann: httpx.Client, bob: httpx.Client) -> None:
    name = upload(ann, "a")
    assert ann.get(f"/v1beta/{name}").json()["name"] == name
    assert ann.post(GENERATE, json=about(name)).status_code == 200
    for verb, path in (
        ("GET", f"/v1beta/{name}"),
        ("GET", f"/v1/{name}:download?alt=media"),
        ("GET", f"/download/v1beta/{name}:download?alt=media"),
        ("GET", f"/v1beta//{name}"),
        ("GET", f"/v1beta/{name.replace('files', '%66iles')}"),
        ("DELETE", f"/v1beta/{name}"),
    ):
        assert_unseen(bob, simulator, verb, path)
    for path in (
        GENERATE,
        f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
        f"/v1beta/models/{MODEL}:countTokens",
        f"/v1beta/models/{MODEL}:embedContent",
    ):
        assert_unseen(bob, simulator, "POST", path, json=about(name))
    assert ann.post(GENERATE, json=about(name)).status_code == 200


def test_no_trick_shows_another_ones_file(simulator: Simulator, ann: httpx.Client, bob: httpx.Client) -> None:
    other, mine = upload(ann, "a"), upload(bob, "b")
    text = json.dumps(about(mine))
    twice = text.replace(f'"https://x/v1beta/{mine}"', f'"{other}", "fileUri": "{mine}"')
    escaped = text.replace(mine, other).replace("files", "\\u0066iles")
    for body in (twice, escaped):
        assert_unseen(bob, simulator, "POST", GENERATE, content=body.encode())
    simulator.clear()
    for status, answer in (
        (415, bob.post(GENERATE, content=text.encode(), headers={"content-encoding": "gzip"})),
        (400, bob.post(GENERATE, json=about(mine), headers={"x-http-method-override": "GET"})),
        (400, bob.post("/v1beta/cachedContents", json={}, headers={"x-http-method-override": "GET"})),
        (400, bob.get(f"/v1beta/{mine}?$httpMethod=GET")),
        (400, bob.get("/v1beta/files?alt=proto")),
        (400, bob.get("/v1beta/files?callback=x")),
        (403, bob.get("/v1beta/nothing/known")),
        (403, bob.get(f"/v1beta/{mine}%2F..%2F{other.removeprefix('files/')}")),
    ):
        assert answer.status_code == status, answer.text
        assert other not in answer.text
    assert simulator.log() == []


def test_resumable_uploads(simulator: Simulator, ann: httpx.Client, bob: httpx.Client) -> None:
    data = b"The harbour at night."
    begun = ann.post(
        "/upload/v1beta/files",
        json={"file": {"displayName": "harbour"}},
        headers={
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": str(len(data)),
            "x-goog-upload-header-content-type": "text/plain",
        },
    )
    place = begun.headers["x-goog-upload-url"]
    leg = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    for command in ("query", "cancel", "upload, finalize"):
        headers = {"x-goog-upload-command": command, "x-goog-upload-offset": "0"}
        assert_unseen(bob, simulator, "POST", place, content=data, headers=headers)
    assert_unseen(
        bob, simulator, "POST", place.replace("upload_id", "upload%5Fid"), content=data, headers=leg
    )
    sent = ann.post(place, content=data, headers=leg)
    assert sent.status_code == 200, sent.text
    name = sent.json()["file"]["name"]
    assert_unseen(bob, simulator, "GET", f"/v1beta/{name}")
    assert ann.get(f"/v1beta/{name}").status_code == 200


def test_lists_show_ones_own_whatever_the_size_of_a_page(
    gateway: Gateway, ann: httpx.Client, bob: httpx.Client, root: httpx.Client
) -> None:
    """Things of two keys lie mixed on two projects; each page is full, and none is empty that has one after it."""
    before = {name for page in listed(ann, "/v1beta/files", "files") for name in page}
    mine = set(before)
    with add_key(gateway, "cat") as cat:
        theirs = set()
        for at in range(7):
            mine.add(upload(ann, "a", project=("one", "two")[at % 2]))
            theirs.add(upload(cat, "c", project=("two", "one")[at % 2]))
        for client, own in ((ann, mine), (cat, theirs)):
            for size in (0, 1, 2, 3, 7, 100):
                pages = listed(client, "/v1beta/files", "files", size)
                names = [name for page in pages for name in page]
                assert set(names) == own
                assert len(names) == len(own)
                assert all(len(page) == (size or 50) for page in pages[:-1])
                assert pages[-1]
        everything = {name for page in listed(root, "/v1beta/files", "files", 5) for name in page}
        assert everything >= mine | theirs
    with add_key(gateway, "new") as new:
        assert listed(new, "/v1beta/files", "files") == [[]]
        assert new.get("/v1beta/files").content == b"{}"


def test_who_sees_everything(
    gateway: Gateway, simulator: Simulator, bob: httpx.Client, root: httpx.Client
) -> None:
    """Also what was made before there were keys; no other key sees that, nor what such a key has read."""
    everything = [name for page in listed(root, "/v1beta/files", "files") for name in page]
    (before,) = [
        row["name"]
        for row in gateway.rows("SELECT name FROM affinities WHERE name LIKE 'files/%' AND tenant IS NULL")
        if row["name"] in everything
    ]
    assert root.get(f"/v1beta/{before}").status_code == 200
    assert root.post(GENERATE, json=about(before)).status_code == 200
    assert_unseen(bob, simulator, "GET", f"/v1beta/{before}")
    own = upload(bob, "b")
    assert root.get(f"/v1beta/{own}").status_code == 200
    assert bob.get(f"/v1beta/{own}").status_code == 200
    assert root.delete(f"/v1beta/{own}").status_code == 200
    assert_unseen(bob, simulator, "GET", f"/v1beta/{own}")


def test_caches(simulator: Simulator, ann: httpx.Client, bob: httpx.Client) -> None:
    text = {"role": "user", "parts": [{"text": LONG}]}
    made = ann.post(
        "/v1beta/cachedContents", json={"model": f"models/{CACHING}", "contents": [text], "ttl": "600s"}
    )
    assert made.status_code == 200, made.text
    name = made.json()["name"]
    prompt = {"contents": [{"role": "user", "parts": [{"text": "And?"}]}], "cachedContent": name}
    assert ann.post(f"/v1beta/models/{CACHING}:generateContent", json=prompt).status_code == 200
    assert_unseen(bob, simulator, "POST", f"/v1beta/models/{CACHING}:generateContent", json=prompt)
    assert_unseen(bob, simulator, "PATCH", f"/v1beta/{name}", json={"ttl": "1s"})
    assert_unseen(bob, simulator, "GET", f"/v1beta/{name}")
    chat = {
        "model": CACHING,
        "messages": [{"role": "user", "content": "And?"}],
        "extra_body": {"google": {"cached_content": name}},
    }
    assert_unseen(bob, simulator, "POST", "/v1beta/openai/chat/completions", json=chat)
    assert listed(ann, "/v1beta/cachedContents", "cachedContents") == [[name]]
    assert listed(bob, "/v1beta/cachedContents", "cachedContents") == [[]]
    with_file = {"model": f"models/{CACHING}", **about(upload(ann, "a"))}
    assert_unseen(bob, simulator, "POST", "/v1beta/cachedContents", json=with_file)


def test_interactions(simulator: Simulator, ann: httpx.Client, bob: httpx.Client) -> None:
    ids = []
    for stream in (False, True):
        made = ann.post("/v1beta/interactions", json={"model": MODEL, "input": "Hello", "stream": stream})
        assert made.status_code == 200, made.text
        text = made.text
        first = (
            text if not stream else next(line for line in text.split("\n") if line.startswith("data: "))[6:]
        )
        seen = json.loads(first)
        ids.append(seen["id"] if not stream else seen["interaction"]["id"])
    for name in ids:
        assert ann.get(f"/v1beta/interactions/{name}").status_code == 200
        assert_unseen(bob, simulator, "GET", f"/v1beta/interactions/{name}")
        assert_unseen(bob, simulator, "GET", f"/v1beta/interactions/{name}?stream=true")
        assert_unseen(bob, simulator, "POST", f"/v1beta/interactions/{name}/cancel")
        assert_unseen(bob, simulator, "DELETE", f"/v1beta/interactions/{name}")
        after = {"model": MODEL, "input": "And?", "previous_interaction_id": name}
        assert_unseen(bob, simulator, "POST", "/v1beta/interactions", json=after)
        assert ann.post("/v1beta/interactions", json=after).status_code == 200
    assert ann.delete(f"/v1beta/interactions/{ids[0]}").status_code == 200
    assert_unseen(ann, simulator, "GET", f"/v1beta/interactions/{ids[0]}")


def test_openais_door(simulator: Simulator, ann: httpx.Client, bob: httpx.Client) -> None:
    """What comes in OpenAI's words is held to the same, and answered in its words."""
    made = ann.post("/openai/v1/responses", json={"model": MODEL, "input": "Hello"})
    assert made.status_code == 200, made.text
    path = f"/openai/v1/responses/{made.json()['id']}"
    after = {"model": MODEL, "input": "And?", "previous_response_id": made.json()["id"]}
    uri = f"https://generativelanguage.googleapis.com/v1beta/{upload(ann, 'a')}"
    picture = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": uri}}]
    chat = {"model": MODEL, "messages": [{"role": "user", "content": picture}]}
    assert_unseen(bob, simulator, "GET", path)
    assert_unseen(bob, simulator, "DELETE", path)
    simulator.clear()
    unknown = bob.post("/openai/v1/responses", json=after)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert simulator.log() == []
    assert_unseen(bob, simulator, "POST", "/openai/v1/chat/completions", json=chat)
    astray = {**chat, "model": "../" + uri.rpartition("v1beta/")[2]}
    simulator.clear()
    lost = bob.post("/openai/v1/chat/completions", json=astray)
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "model_not_found")
    assert simulator.log() == []
    assert ann.get(path).status_code == 200
    assert ann.post("/openai/v1/responses", json=after).status_code == 200
    assert ann.post("/openai/v1/chat/completions", json=chat).status_code == 200


def test_batches_and_their_files(
    gateway: Gateway, simulator: Simulator, ann: httpx.Client, bob: httpx.Client
) -> None:
    line = {"key": "1", "request": {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}}
    source = upload(ann, "a", data=json.dumps(line).encode() + b"\n")
    path = f"/v1beta/models/{MODEL}:batchGenerateContent"
    asked = {"batch": {"displayName": "night", "inputConfig": {"fileName": source}}}
    assert_unseen(bob, simulator, "POST", path, json=asked)
    made = ann.post(path, json=asked)
    assert made.status_code == 200, made.text
    name = made.json()["name"]
    assert_unseen(bob, simulator, "GET", f"/v1beta/{name}")
    assert_unseen(bob, simulator, "POST", f"/v1beta/{name}:cancel")
    assert listed(bob, "/v1beta/batches", "operations") == [[]]
    assert listed(ann, "/v1beta/batches", "operations") == [[name]]
    seen: dict[str, Any] = {}

    def done() -> bool:
        seen.update(ann.get(f"/v1beta/{name}").json())
        return bool(seen.get("done"))

    until(done, "the end of the batch")
    output = seen["response"]["responsesFile"]
    assert_unseen(bob, simulator, "GET", f"/download/v1beta/{output}:download?alt=media")
    assert ann.get(f"/download/v1beta/{output}:download?alt=media").status_code == 200
    inner = {
        "batch": {"displayName": "x", "inputConfig": {"requests": {"requests": [{"request": about(source)}]}}}
    }
    assert_unseen(bob, simulator, "POST", path, json=inner)


def test_newer_resources(
    gateway: Gateway, simulator: Simulator, ann: httpx.Client, bob: httpx.Client
) -> None:
    agent = ann.post("/v1beta/agents", json={"id": "sentinel", "system_instruction": "Watch."})
    assert agent.status_code == 200, agent.text
    environment = ann.post("/v1beta/environments", json={})
    assert environment.status_code == 200, environment.text
    env = environment.json()["id"]
    assert_unseen(bob, simulator, "GET", "/v1beta/agents/sentinel")
    assert_unseen(
        bob, simulator, "POST", "/v1beta/interactions", json={"agent": "sentinel", "input": "Hello"}
    )
    assert_unseen(bob, simulator, "POST", "/v1beta/environments", json={"from_environment": env})
    assert_unseen(bob, simulator, "GET", f"/v1beta/environments/{env}")
    assert ann.get("/v1beta/agents/sentinel").status_code == 200
    assert ann.post("/v1beta/environments", json={"from_environment": env}).status_code == 200
    assert "sentinel" in [name for page in listed(ann, "/v1beta/agents", "agents") for name in page]
    assert "sentinel" not in [name for page in listed(bob, "/v1beta/agents", "agents") for name in page]
    hook = {"model": MODEL, "input": "x", "webhook_config": {"uris": ["https://example.com"]}}
    for answer in (bob.post("/v1beta/interactions", json=hook), bob.get("/v1beta/webhooks")):
        assert answer.status_code == 403
        assert "RIGHT_MISSING" in answer.text
    with (
        add_key(gateway, "hooks", rights=frozenset({"webhooks"})) as hooks,
        add_key(gateway, "hooks2", rights=frozenset({"webhooks"})) as others,
    ):
        made = hooks.post(
            "/v1beta/webhooks", json={"uri": "https://example.com", "subscribed_events": ["batch.failed"]}
        )
        assert made.status_code == 200, made.text
        assert listed(hooks, "/v1beta/webhooks", "webhooks") == [[made.json()["id"]]]
        assert listed(others, "/v1beta/webhooks", "webhooks") == [[]]
        assert_unseen(others, simulator, "POST", f"/v1beta/webhooks/{made.json()['id']}:ping", json={})


@pytest.mark.parametrize("routing", ["", "\n[routing]\nenabled = false\n"], ids=["routed", "straight"])
def test_one_project(simulator: Simulator, tmp_path: Path, routing: str) -> None:
    """The same holds where there is nothing to choose, keys of one owner share where that is set, and what memory
    held is on record: another process knows it."""
    alone = f'[[project]]\nname = "one"\nkeys = ["{ONE}"]\nspend = 1000000\n'
    toml = '[access]\nshare = "owner"\n' + routing
    with Gateway(tmp_path, simulator.url, toml, projects=alone) as gateway:
        for name, owner in (("night", "ann"), ("other", "bob"), ("lone", "")):
            put_key(gateway, name, owner)
        with add_key(gateway, "day", "ann") as day:
            name, gone = upload(day, "a"), upload(day, "a")
            assert day.delete(f"/v1beta/{gone}").status_code == 200
            assert_shared(gateway, simulator, name, gone)
        gateway.kill()
        gateway.start()
        assert_shared(gateway, simulator, name, gone)


def assert_shared(gateway: Gateway, simulator: Simulator, name: str, gone: str) -> None:
    """Both keys of ann's see her file, the two others see nothing, and a deleted one is nobody's."""
    for key, sees in (("day", True), ("night", True), ("other", False), ("lone", False)):
        with httpx.Client(base_url=gateway.url, timeout=30, headers={"x-goog-api-key": token(key)}) as client:
            assert listed(client, "/v1beta/files", "files") == [[name] if sees else []]
            assert_unseen(client, simulator, "GET", f"/v1beta/{gone}")
            if sees:
                assert client.get(f"/v1beta/{name}").status_code == 200
            else:
                assert_unseen(client, simulator, "GET", f"/v1beta/{name}")
