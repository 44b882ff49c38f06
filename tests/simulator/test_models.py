"""Which models there are, under which version, and who answers for whom on which side of midnight."""

from __future__ import annotations

import pytest
from google.ai import generativelanguage_v1beta as google
from google.protobuf import json_format

from tests.simulator.client import ask, generate, prompt
from tests.simulator.launch import Simulator


def test_the_list_comes_in_pages_and_is_valid(upstream: Simulator) -> None:
    names: list[str] = []
    token = ""
    while True:
        page = ask(upstream.url, f"/v1/models?pageSize=7&pageToken={token}").json()
        json_format.ParseDict(page, google.ListModelsResponse.pb()(), ignore_unknown_fields=False)
        names += [model["name"] for model in page["models"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
        assert len(page["models"]) == 7
    assert len(names) == len(set(names)) > 20
    assert "models/gemini-3.8-flash" in names
    assert "models/gemini-2.0-flash" not in names
    assert ask(upstream.url, "/v1/models?pageToken=zzz").status == 400


def test_one_model(upstream: Simulator) -> None:
    model = ask(upstream.url, "/v1beta/models/gemini-4-argon").json()
    assert model["inputTokenLimit"] == 1_048_576
    assert model["thinking"] is True


def test_aliases_live_on_v1beta_only(upstream: Simulator) -> None:
    path = "models/gemini-flash-latest:generateContent"
    assert ask(upstream.url, f"/v1beta/{path}", prompt()).json()["modelVersion"] == "gemini-3.8-flash"
    refused = ask(upstream.url, f"/v1/{path}", prompt())
    assert refused.error()["message"].startswith(
        "models/gemini-flash-latest is not found for API version v1, or is not"
    )


@pytest.mark.parametrize("model", ["gemini-9-flash", "gemini-2.0-flash", "gemini-embedding-001"])
def test_unknown_shut_down_and_unable(upstream: Simulator, model: str) -> None:
    answer = generate(upstream.url, prompt(), model)
    assert answer.status == 404
    assert "is not supported for generateContent. Call ModelService.ListModels" in answer.error()["message"]


def test_routed_models_change_at_pacific_midnight() -> None:
    served = []
    with Simulator("--instant", "--now", "2026-12-01T07:59:00+00:00") as simulator:
        for moment in ("2026-12-01T07:59:00+00:00", "2026-12-01T08:00:01+00:00"):
            simulator.set_clock(moment)
            for model in ("gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.7-flash"):
                served.append(generate(simulator.url, prompt(), model).json()["modelVersion"])
    assert served == [
        "gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.8-flash",
        "gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-3.8-flash",
    ]  # fmt: skip
