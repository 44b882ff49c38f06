"""Files stay where they were made, also while two hundred calls use them and their project's quota runs out."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.launch import Gateway
from tests.proof import stage
from tests.proof.caller import Answer, Caller, run
from tests.simulator.launch import Simulator

MODEL, SECOND, ROOMY = "gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-2.5-flash"
PER_MINUTE = 80
CALLS = 200
# Google's own limits, of which the gateway is not told: it learns them from refusals.
LIMITS = {MODEL: {"rpm": PER_MINUTE}, SECOND: {"rpm": PER_MINUTE}}
TOML = '[routing]\npatience = "2s"\n' + stage.route("both", [MODEL, SECOND])


def upload(gateway: Gateway, mark: str) -> dict[str, Any]:
    """Upload a file in the resumable way of Google's SDKs; the file as Google describes it."""
    data = b"The harbour at night. " * 50
    with httpx.Client(base_url=gateway.url, timeout=20, headers={"user-agent": mark}) as client:
        begun = client.post(
            "/upload/v1beta/files",
            json={"file": {"displayName": "harbour"}},
            headers={
                "x-goog-upload-protocol": "resumable",
                "x-goog-upload-command": "start",
                "x-goog-upload-header-content-length": str(len(data)),
                "x-goog-upload-header-content-type": "text/plain",
            },
        )
        assert begun.status_code == 200, begun.text
        sent = client.post(
            begun.headers["x-goog-upload-url"],
            content=data,
            headers={"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"},
        )
    assert sent.status_code == 200, sent.text
    file: dict[str, Any] = sent.json()["file"]
    return file


def body(uri: str = "") -> bytes:
    """A call's body, with the file when there is one."""
    parts: list[dict[str, Any]] = [{"text": "What does it say?"}]
    if uri:
        parts.append({"fileData": {"mimeType": "text/plain", "fileUri": uri}})
    return json.dumps({"contents": [{"role": "user", "parts": parts}]}).encode()


def ask(gateway: Gateway, uri: str, with_file: int, without: int, model: str = "both") -> list[Answer]:
    """All at once: calls with the file, and calls without any; those with it first in the list."""
    path = f"/v1beta/models/{model}:generateContent"

    async def work(caller: Caller) -> list[Answer]:
        mixed = [caller.ask(path, body(uri), [("user-agent", f"filed ({at})")]) for at in range(with_file)]
        mixed += [caller.ask(path, body(), [("user-agent", f"free ({at})")]) for at in range(without)]
        return list(await asyncio.gather(*mixed))

    return run(gateway.url, work)


def seen(upstream: Simulator, mark: str) -> list[dict[str, Any]]:
    """The simulator's lines of the calls with this mark."""
    return [line for line in upstream.log() if str(line.get("user_agent", "")).startswith(mark)]


def test_no_call_reaches_another_project_with_this_projects_file(tmp_path: Path) -> None:
    projects = [stage.Project(name, LIMITS, {}) for name in ("a", "b")]
    with (
        stage.simulator(tmp_path, projects, "--instant") as upstream,
        stage.gateway(tmp_path, upstream, projects, TOML) as gateway,
    ):
        file = upload(gateway, "upload")
        (owner,) = {line["project"] for line in seen(upstream, "upload")}
        answers = ask(gateway, file["uri"], CALLS, CALLS)
        filed = seen(upstream, "filed")
        assert {line["project"] for line in filed} == {owner}
        # Its quota did run out, and other models of its project were used before calls were refused.
        assert sum(line["status"] == 429 for line in filed) > 0
        assert {line["model"] for line in filed if line["status"] == 200} == {MODEL, SECOND}
        told = Counter(answer.status for answer in answers[:CALLS])
        assert set(told) <= {200, 429}
        taken = sum(line["status"] == 200 for line in seen(upstream, "free") if line["project"] == owner)
        assert told[200] == 2 * PER_MINUTE - taken
        assert all(0 < answer.retry_after <= 61 for answer in answers[:CALLS] if answer.status == 429)
        # Calls that name nothing are free to go to the other project, and do.
        assert {"a", "b"} - {owner} <= {line["project"] for line in seen(upstream, "free")}
        assert_it_is_remembered(gateway, upstream, file["uri"], owner)


def assert_it_is_remembered(gateway: Gateway, upstream: Simulator, uri: str, owner: str) -> None:
    """After a restart the file's calls still go to its project alone, whether it has room for them or not."""
    gateway.kill()
    gateway.start()
    upstream.clear()
    full, roomy = ask(gateway, uri, 20, 0), ask(gateway, uri, 20, 0, ROOMY)
    assert {line["project"] for line in seen(upstream, "filed")} == {owner}
    assert {answer.status for answer in full} == {429}
    assert {answer.status for answer in roomy} == {200}


def test_a_call_that_names_files_of_two_projects_is_told_so(tmp_path: Path) -> None:
    projects = [stage.Project(name) for name in ("a", "b")]
    with (
        stage.simulator(tmp_path, projects, "--instant") as upstream,
        stage.gateway(tmp_path, upstream, projects) as gateway,
    ):
        files = []
        for project in projects:
            with httpx.Client(base_url=gateway.url, timeout=20) as client:
                made = client.post(
                    "/upload/v1beta/files?uploadType=media",
                    content=b"One harbour.",
                    headers={"content-type": "text/plain", "x-gemgate-project": project.name},
                )
            assert made.status_code == 200, made.text
            files.append(made.json()["file"]["uri"])
        parts = [{"fileData": {"mimeType": "text/plain", "fileUri": uri}} for uri in files]
        upstream.clear()
        with httpx.Client(base_url=gateway.url, timeout=20) as client:
            answer = client.post(
                f"/v1beta/models/{MODEL}:generateContent",
                json={"contents": [{"role": "user", "parts": [{"text": "Compare."}, *parts]}]},
            )
        assert answer.status_code == 400
        assert "project" in answer.json()["error"]["message"]
        assert upstream.log() == []
