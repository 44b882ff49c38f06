"""Batches and operations by the clock: what a reader sees at each moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from google.ai import generativelanguage_v1beta as google
from google.longrunning import operations_pb2
from google.protobuf import json_format

from tests.simulator.client import ask, prompt
from tests.simulator.launch import Simulator

NOON = datetime.fromisoformat("2026-11-23T12:00:00+00:00")
PATH = "/v1beta/models/gemini-3.8-flash:batchGenerateContent"
OPERATION_FIELDS = set(operations_pb2.Operation.DESCRIPTOR.fields_by_name)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    # The clock stands almost still: it moves when a test moves it.
    with Simulator("--speed", "0.000001", "--now", NOON.isoformat()) as running:
        yield running


def at(simulator: Simulator, seconds: float) -> None:
    simulator.set_clock((NOON + timedelta(seconds=seconds)).isoformat())


def inline(*texts: str) -> dict[str, Any]:
    requests = [{"request": prompt(text), "metadata": {"key": text}} for text in texts]
    return {"batch": {"displayName": "by the clock", "inputConfig": {"requests": {"requests": requests}}}}


def operation(value: dict[str, Any]) -> dict[str, Any]:
    assert set(value) <= OPERATION_FIELDS
    assert ("response" in value or "error" in value) == value.get("done", False)
    return value


def test_a_batch_waits_runs_and_is_done(simulator: Simulator) -> None:
    begun = operation(ask(simulator.url, PATH, inline("a", "b")).json())
    seen = {0.0: begun}
    for seconds in (1.0, 10.0, 30.0):
        at(simulator, seconds)
        seen[seconds] = operation(ask(simulator.url, f"/v1beta/{begun['name']}").json())
    states = [value["metadata"]["state"] for value in seen.values()]
    assert states == [
        "BATCH_STATE_PENDING",
        "BATCH_STATE_PENDING",
        "BATCH_STATE_RUNNING",
        "BATCH_STATE_SUCCEEDED",
    ]
    assert begun["metadata"]["batchStats"] == {"requestCount": "2", "pendingRequestCount": "2"}
    done = seen[30.0]
    assert done["metadata"]["batchStats"] == {"requestCount": "2", "successfulRequestCount": "2"}
    answers = done["response"]["inlinedResponses"]["inlinedResponses"]
    assert [answer["metadata"]["key"] for answer in answers] == ["a", "b"]
    for answer in answers:
        answer["response"]["usageMetadata"].pop("serviceTier")
        json_format.ParseDict(
            answer["response"], google.GenerateContentResponse.pb()(), ignore_unknown_fields=False
        )
    assert ask(simulator.url, f"/v1beta/{begun['name']}:cancel", {}).status == 400


def test_a_batch_is_renamed_and_cancelled(simulator: Simulator) -> None:
    name = ask(simulator.url, PATH, inline("a")).json()["name"]
    renamed = ask(
        simulator.url,
        f"/v1beta/{name}:updateGenerateContentBatch",
        {"displayName": "new", "priority": "3"},
        "PATCH",
    )
    assert renamed.json()["displayName"] == "new"
    assert ask(simulator.url, f"/v1beta/{name}:updateEmbedContentBatch", {}, "PATCH").status == 400
    assert ask(simulator.url, f"/v1beta/{name}:cancel", {}).json() == {}
    at(simulator, 60)
    seen = operation(ask(simulator.url, f"/v1beta/{name}").json())
    assert seen["metadata"]["state"] == "BATCH_STATE_CANCELLED"
    assert seen["error"]["code"] == 1


def test_another_project_sees_nothing(simulator: Simulator) -> None:
    name = ask(simulator.url, PATH, inline("a")).json()["name"]
    assert ask(simulator.url, f"/v1beta/{name}", key="AIzaSomebodyElse").status == 404
    assert ask(simulator.url, "/v1beta/batches", key="AIzaSomebodyElse").json() == {}
    assert [item["name"] for item in ask(simulator.url, "/v1beta/batches").json()["operations"]] == [name]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"batch": {}}, 400),
        ({"batch": {"inputConfig": {"requests": {"requests": []}}}}, 400),
        ({"batch": {"inputConfig": {"requests": {"requests": [{"text": "no request"}]}}}}, 400),
        ({"batch": {"inputConfig": {"fileName": "files/not-there"}}}, 403),
        ({"batch": {"inputConfig": {}, "colour": "red"}}, 400),
    ],
)
def test_what_is_refused(simulator: Simulator, body: dict[str, Any], status: int) -> None:
    assert ask(simulator.url, PATH, body).status == status


def test_batches_do_not_use_up_the_minute(simulator: Simulator, tmp_path: Any) -> None:
    script = {
        "projects": [
            {"name": "p", "keys": ["AIzaNarrow"], "limits": {"gemini-3.8-flash": {"rpm": 1}}},
        ]
    }
    with Simulator("--instant", script=script, folder=tmp_path) as narrow:
        name = ask(narrow.url, PATH, inline("a", "b", "c"), key="AIzaNarrow").json()["name"]
        done = ask(narrow.url, f"/v1beta/{name}", key="AIzaNarrow").json()
        assert done["metadata"]["batchStats"]["successfulRequestCount"] == "3"
        path = "/v1beta/models/gemini-3.8-flash:generateContent"
        assert ask(narrow.url, path, prompt(), key="AIzaNarrow").status == 200
        assert ask(narrow.url, path, prompt(), key="AIzaNarrow").status == 429
        answer = ask(
            narrow.url, "/v1/interactions", {"model": "gemini-3.8-flash", "input": "x"}, key="AIzaNarrow"
        )
        assert answer.status == 429


def test_a_film_takes_its_time(simulator: Simulator) -> None:
    path = "/v1beta/models/veo-3.1-generate-001"
    begun = operation(
        ask(simulator.url, f"{path}:predictLongRunning", {"instances": [{"prompt": "A sea"}]}).json()
    )
    assert not begun.get("done")
    at(simulator, 60)
    done = operation(ask(simulator.url, f"/v1beta/{begun['name']}").json())
    body = dict(done["response"])
    assert body.pop("@type").endswith("PredictLongRunningResponse")
    json_format.ParseDict(body, google.PredictLongRunningResponse.pb()(), ignore_unknown_fields=False)
    assert ask(simulator.url, f"{path}/operations").json()["operations"] == [done]
    made = ask(simulator.url, "/v1beta/generatedFiles").json()["generatedFiles"]
    assert [file["mimeType"] for file in made] == ["video/mp4"]
    assert ask(simulator.url, f"{path}/operations/nothing").status == 404
    assert ask(simulator.url, f"{path}:predictLongRunning", {"instances": []}).status == 400
    wrong = "/v1beta/models/gemini-3.8-flash:predictLongRunning"
    assert ask(simulator.url, wrong, {"instances": [{"prompt": "A sea"}]}).status == 404
