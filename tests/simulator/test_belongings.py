"""Caches and files that a generating request names: counted, and open to their own project only."""

from __future__ import annotations

from tests.simulator.client import ask, generate, prompt
from tests.simulator.launch import Simulator

LONG = {"contents": [{"role": "user", "parts": [{"text": "A long story of the sea. " * 1200}]}]}
PATH = "/v1beta/models/gemini-3.8-flash:generateContent"


def test_a_cache_counts_serves_its_project_and_ends() -> None:
    with Simulator("--instant", "--now", "2026-11-23T20:00:00+00:00") as simulator:
        made = ask(
            simulator.url, "/v1beta/cachedContents", {"model": "models/gemini-3.8-flash", **LONG}
        ).json()
        body = prompt("And then?", cachedContent=made["name"])
        usage = generate(simulator.url, body).json()["usageMetadata"]
        assert usage["cachedContentTokenCount"] == made["usageMetadata"]["totalTokenCount"]
        assert usage["promptTokenCount"] == usage["cachedContentTokenCount"] + 3
        assert ask(simulator.url, PATH, body, key="AIzaAnotherProject").status == 403
        assert "has to be the same" in generate(simulator.url, body, "gemini-3.6-flash").error()["message"]
        system = {"parts": [{"text": "x"}]}
        assert generate(simulator.url, {**body, "systemInstruction": system}).status == 400
        simulator.set_clock("2026-11-23T21:00:01+00:00")
        assert generate(simulator.url, body).error()["status"] == "PERMISSION_DENIED"


def test_a_file_counts_by_its_kind_and_serves_its_project(upstream: Simulator) -> None:
    headers = {"content-type": "image/png", "x-goog-upload-protocol": "raw"}
    file = ask(upstream.url, "/upload/v1beta/files", b"pixels", headers=headers).json()["file"]
    part = {"fileData": {"fileUri": file["uri"], "mimeType": "image/png"}}
    body = {"contents": [{"parts": [{"text": "What is it?"}, part]}]}
    details = generate(upstream.url, body).json()["usageMetadata"]["promptTokensDetails"]
    assert {"modality": "IMAGE", "tokenCount": 258} in details
    assert ask(upstream.url, PATH, body, key="AIzaAnotherProject").status == 403
