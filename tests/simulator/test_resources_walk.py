"""The simple resources: each is made, read, listed, changed and deleted, and looks as its owner's types say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.ai import generativelanguage_v1beta as google
from google.genai import types
from google.genai._gaos.types.agents.agent import Agent
from google.genai._gaos.types.credentials.credential import Credential
from google.genai._gaos.types.decisions.createdecisionresponse import CreateDecisionResponse
from google.genai._gaos.types.environments.environment import Environment
from google.genai._gaos.types.environments.getenvironmentfilesresponse import GetEnvironmentFilesResponse
from google.genai._gaos.types.triggers.listtriggerexecutionsresponse import ListTriggerExecutionsResponse
from google.genai._gaos.types.triggers.trigger import Trigger
from google.genai._gaos.types.triggers.triggerexecution import TriggerExecution
from google.genai._gaos.types.voices.voice_output import VoiceOutput
from google.genai._gaos.types.webhooks.webhook import Webhook
from google.protobuf import json_format
from pydantic import BaseModel

from tests.simulator.client import ask, prompt
from tests.simulator.launch import Simulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator("--instant") as running:
        yield running


def check(value: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Hold an answer against a protobuf message or a type of the SDK, unknown fields refused."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        known = {alias or name for name, alias in ((n, f.alias) for n, f in kind.model_fields.items())}
        assert set(value) <= known
        kind.model_validate(value)
    else:
        json_format.ParseDict(value, kind.pb()(), ignore_unknown_fields=False)
    return value


@dataclass(frozen=True)
class Kind:
    """One kind of resource: where it lives, what makes it, what its answers are."""

    path: str
    body: dict[str, Any]
    type: Any
    listed: str
    change: dict[str, Any] = field(default_factory=dict)
    fixed: str = ""


INTERACTION = {"agent": "antigravity-preview-09-2026", "input": "Tidy up"}
KINDS = [
    Kind("corpora", {"displayName": "letters"}, google.Corpus, "corpora"),
    Kind("agents", {"id": "sentinel", "system_instruction": "Watch."}, Agent, "agents"),
    Kind(
        "credentials",
        {"id": "robot", "type": "bearer_token", "token": "a-secret"},
        Credential,
        "credentials",
        {"type": "bearer_token", "token": "another"},
        "status",
    ),
    Kind("environments", {"network": {"type": "allowlist"}} | {"sources": []}, Environment, "environments"),
    Kind(
        "triggers",
        {"interaction": INTERACTION, "schedule": "0 7 * * *", "time_zone": "Europe/Berlin"},
        Trigger,
        "triggers",
        {"display_name": "morning", "status": "paused"},
        "schedule",
    ),
    Kind(
        "voices",
        {"voice": {"type": "prompted", "display_name": "calm", "prompted": {"input": "a calm voice"}}},
        VoiceOutput,
        "voices",
    ),
    Kind(
        "webhooks",
        {"uri": "https://example.com/hook", "subscribed_events": ["batch.succeeded"], "name": "mine"},
        Webhook,
        "webhooks",
        {"subscribed_events": ["batch.failed"]},
        "signing_secrets",
    ),
    Kind("fileSearchStores", {"displayName": "shelf"}, types.FileSearchStore, "fileSearchStores"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.path)
@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
def test_a_resource_lives_and_goes(simulator: Simulator, kind: Kind, version: str) -> None:
    root = f"/{version}/{kind.path}"
    made = check(ask(simulator.url, root, kind.body).json(), kind.type)
    own = made["name"].rsplit("/", 1)[-1] if "id" not in made else made["id"]
    read = check(ask(simulator.url, f"{root}/{own}").json(), kind.type)
    made.pop("new_signing_secret", None)
    assert read == made
    assert read in ask(simulator.url, root).json()[kind.listed]
    if kind.change:
        changed = check(ask(simulator.url, f"{root}/{own}", kind.change, "PATCH").json(), kind.type)
        secret = {"token"}
        assert {name: changed[name] for name in kind.change if name not in secret} == {
            name: value for name, value in kind.change.items() if name not in secret
        }
        assert ask(simulator.url, f"{root}/{own}", {kind.fixed: "x"}, "PATCH").status == 400
    assert ask(simulator.url, f"{root}/{own}", key="AIzaSomebodyElse").status == 404
    assert ask(simulator.url, f"{root}/{own}", verb="DELETE").json() == {}
    assert ask(simulator.url, f"{root}/{own}").status == 404
    assert (
        ask(simulator.url, root, {**kind.body, "colour": "red"} if kind.path != "voices" else {}).status
        == 400
    )


def test_a_list_comes_in_pages(simulator: Simulator) -> None:
    for number in range(5):
        ask(simulator.url, "/v1beta/agents", {"id": f"page-{number}"}, key="AIzaPages")
    found: list[str] = []
    token = ""
    for _ in range(3):
        path = f"/v1beta/agents?page_size=2&page_token={token}"
        page = ask(simulator.url, path, key="AIzaPages").json()
        found += [agent["id"] for agent in page["agents"]]
        token = page.get("next_page_token", "")
    assert token == ""
    assert found == [f"page-{number}" for number in range(5)]
    assert ask(simulator.url, "/v1beta/agents", {"id": "page-0"}, key="AIzaPages").status == 409


def test_permissions_stand_below_their_owner(simulator: Simulator) -> None:
    corpus = ask(simulator.url, "/v1beta/corpora", {"name": "corpora/shared"}).json()["name"]
    root = f"/v1beta/{corpus}/permissions"
    body = {"role": "READER", "granteeType": "USER", "emailAddress": "a@example.com"}
    made = check(ask(simulator.url, root, body).json(), google.Permission)
    changed = ask(
        simulator.url, f"/v1beta/{made['name']}?updateMask=role", {"role": "WRITER"}, "PATCH"
    ).json()
    assert check(changed, google.Permission)["role"] == "WRITER"
    listed = ask(simulator.url, root).json()
    assert check(listed, google.ListPermissionsResponse)["permissions"] == [changed]
    assert ask(simulator.url, "/v1beta/corpora/none/permissions", body).status == 404
    assert ask(simulator.url, f"/v1beta/{corpus}", verb="DELETE").status == 200
    assert ask(simulator.url, f"/v1beta/{made['name']}").status == 404


def test_a_tuned_model_is_trained_and_speaks(simulator: Simulator) -> None:
    task = {"trainingData": {"examples": {"examples": [{"textInput": "1", "output": "2"}]}}}
    body = {"displayName": "counter", "baseModel": "models/gemini-3.8-flash", "tuningTask": task}
    begun = ask(simulator.url, "/v1beta/tunedModels?tunedModelId=counter", body).json()
    model = check(ask(simulator.url, "/v1beta/tunedModels/counter").json(), google.TunedModel)
    assert model["state"] == "ACTIVE"
    assert "trainingData" not in model["tuningTask"]
    done = ask(simulator.url, f"/v1beta/{begun['name']}").json()
    assert done["response"].pop("@type").endswith("TunedModel")
    assert done["response"]["name"] == model["name"]
    assert (
        ask(simulator.url, "/v1beta/tunedModels/counter/operations").json()["operations"][0]["done"] is True
    )
    said = ask(simulator.url, "/v1beta/tunedModels/counter:generateContent", prompt())
    streamed = ask(simulator.url, "/v1beta/tunedModels/counter:streamGenerateContent?alt=sse", prompt())
    pieces = [
        part.get("text", "")
        for event in streamed.events()
        for part in event["candidates"][0]["content"]["parts"]
    ]
    assert "".join(pieces) == said.text()
    array = ask(simulator.url, "/v1beta/dynamic/anything:streamGenerateContent", prompt()).json()
    assert array[-1]["candidates"][0]["finishReason"] == "STOP"
    assert ask(simulator.url, "/v1beta/dynamic/anything:generateContent", prompt()).text()
    text = ask(simulator.url, "/v1beta/tunedModels/counter:generateText", {"prompt": {"text": "1"}}).json()
    check(text, google.GenerateTextResponse)
    assert ask(simulator.url, "/v1beta/tunedModels/none:generateContent", prompt()).status == 404
    path = "/v1beta/tunedModels/counter:transferOwnership"
    assert ask(simulator.url, path, {"emailAddress": "b@example.com"}).json() == {}
    owners = ask(simulator.url, "/v1beta/tunedModels/counter/permissions").json()["permissions"]
    assert [owner["role"] for owner in owners] == ["OWNER"]


def test_the_odd_paths_of_environments(simulator: Simulator) -> None:
    made = check(ask(simulator.url, "/v1beta/environments:create", {}).json(), Environment)
    path = f"/v1beta/environments/{made['id']}"
    assert ask(simulator.url, f"{path}:get").json() == ask(simulator.url, path).json()
    assert made["id"] in str(ask(simulator.url, "/v1beta/environments:list").json())
    assert ask(simulator.url, f"{path}:delete", verb="DELETE").status == 200
    assert ask(simulator.url, path).status == 404


def test_files_in_an_environment(simulator: Simulator) -> None:
    own = ask(simulator.url, "/v1/environments", {}).json()["id"]
    for name in ("notes.txt", "src/main.py", "src/lib/deep.py"):
        headers = {
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": "4",
            "x-goog-upload-header-content-type": "text/plain",
        }
        begun = ask(simulator.url, f"/upload/v1/environments/{own}/files/{name}", b"", "PUT", headers)
        place = begun.headers["x-goog-upload-url"].removeprefix(simulator.url)
        headers = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        assert ask(simulator.url, place, b"text", "PUT", headers).headers["x-goog-upload-status"] == "final"
    root = f"/v1/environments/{own}/files"
    found = check(ask(simulator.url, f"{root}/src").json(), GetEnvironmentFilesResponse)["files"]
    assert {(item["path"], item["type"]) for item in found} == {
        ("src/main.py", "file"),
        ("src/lib", "directory"),
    }
    deep = ask(simulator.url, f"{root}/src?recursive=true").json()["files"]
    assert {item["path"] for item in deep} == {"src/main.py", "src/lib/deep.py"}
    assert ask(simulator.url, f"{root}/notes.txt").json()["files"][0]["size_bytes"] == 4
    assert ask(simulator.url, f"{root}/nowhere").status == 404
    assert ask(simulator.url, f"/v1/environments/{own}").json()["file_count"] == 3


def test_a_trigger_runs_an_interaction(simulator: Simulator) -> None:
    body = {"interaction": INTERACTION, "schedule": "0 7 * * *", "time_zone": "UTC"}
    root = f"/v1/triggers/{ask(simulator.url, '/v1/triggers', body).json()['id']}/executions"
    run = check(ask(simulator.url, root, {}).json(), TriggerExecution)
    assert run["status"] == "in_progress"
    # The stream of the interaction ends when its work is done.
    ask(simulator.url, f"/v1/interactions/{run['interaction_id']}?stream=true")
    listed = check(ask(simulator.url, root).json(), ListTriggerExecutionsResponse)["trigger_executions"]
    assert [(item["id"], item["status"]) for item in listed] == [(run["id"], "completed")]
    assert ask(simulator.url, "/v1/triggers/none/executions", {}).status == 404


def test_a_webhook_shows_its_secret_once_and_rotates(simulator: Simulator) -> None:
    body = {"uri": "https://example.com/hook", "subscribed_events": ["video.generated"]}
    made = ask(simulator.url, "/v1/webhooks", body).json()
    path = f"/v1/webhooks/{made['id']}"
    assert made["new_signing_secret"].startswith("whsec_")
    assert "new_signing_secret" not in ask(simulator.url, path).json()
    second = ask(simulator.url, f"{path}:rotateSigningSecret", {}).json()["secret"]
    assert second != made["new_signing_secret"]
    assert len(ask(simulator.url, path).json()["signing_secrets"]) == 2
    at_once = {"revocation_behavior": "revoke_previous_secrets_immediately"}
    ask(simulator.url, f"{path}:rotateSigningSecret", at_once)
    assert len(ask(simulator.url, path).json()["signing_secrets"]) == 1
    assert ask(simulator.url, f"{path}:ping", {}).json() == {}
    assert ask(simulator.url, "/v1/webhooks/none:ping", {}).status == 404


def test_a_credential_never_comes_back(simulator: Simulator) -> None:
    body = {
        "id": "oauth",
        "type": "oauth2",
        "client_id": "c",
        "client_secret": "plant-me",
        "refresh_token": "plant-me",
    }
    path = "/v1/credentials"
    made = ask(simulator.url, path, {**body, "token_url": "https://example.com/token"}, key="AIzaCredentials")
    listed = ask(simulator.url, path, key="AIzaCredentials")
    assert made.status == listed.status == 200
    assert b"plant-me" not in made.body + listed.body


def test_decisions_are_taken(simulator: Simulator) -> None:
    questions = {
        "kind": {"type": "choice", "criteria": {"cat": "a cat", "dog": "a dog"}, "instructions": "Which?"},
        "grade": {"type": "score", "criteria": ["bad", "fair", "good"], "instructions": "How good?"},
        "sure": {"type": "noul", "instructions": "Is it?"},
    }
    body = {"model": "gemini-3.8-flash", "input": "It barks.", "questions": questions}
    answer = check(ask(simulator.url, "/v1/decisions", body).json(), CreateDecisionResponse)
    assert set(answer["answers"]) == set(questions)
    assert answer["answers"]["kind"]["choice"] in ("cat", "dog")
    assert abs(sum(answer["answers"]["grade"]["probabilities"].values()) - 1) < 0.01
    wrong = {**body, "questions": {"x": {"type": "riddle"}}}
    assert ask(simulator.url, "/v1/decisions", wrong).status == 400


def test_a_token_of_short_life(simulator: Simulator) -> None:
    token = check(ask(simulator.url, "/v1alpha/auth_tokens", {"uses": 2}).json(), types.AuthToken)
    assert token["uses"] == 2
    assert ask(simulator.url, "/v1alpha/models", key=token["name"]).status == 200
    far = {"expireTime": "2099-01-01T00:00:00Z"}
    assert ask(simulator.url, "/v1alpha/auth_tokens", far).status == 400
