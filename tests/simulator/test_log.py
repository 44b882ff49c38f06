"""The log tells what was asked and keeps no secret; the process ends with its parent."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from gemini_simulator import faults
from tests.simulator.client import KEY, ask, generate, prompt, stream
from tests.simulator.launch import START_SECONDS, Simulator

# The error bodies that were collected from Google; each must be there by its name.
COLLECTED = """
api_key_invalid api_key_auth_key_rejected multiple_credentials leaked_key consumer_suspended
failed_precondition_region prepay_depleted quota_rpd_free quota_rpm_free quota_tpm_free quota_limit_zero
quota_rpd_paid quota_tpm_paid_tier1 live_ws_quota_close context_overflow exhausted_bare overloaded_new internal_long
deadline cancelled model_not_found model_closed_to_new_users thought_signature_missing thought_signature_corrupt
penalty_unsupported openai_429_array openai_unknown_field mid_stream_bare stream_truncated blocked_prompt
interactions_error_event
"""


def test_every_collected_error_has_a_name() -> None:
    assert {name.replace("_", "-") for name in COLLECTED.split()} <= faults.names().keys()


def test_a_line_of_the_log(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    with Simulator("--instant", "--log", str(file)) as simulator:
        raw = json.dumps(prompt("a secret prompt")).encode()
        path = "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
        ask(simulator.url, f"{path}?alt=sse&key={KEY}", raw, headers={"x-own": "a secret header"}, key="")
        line = simulator.wait_for(1)[0]
        assert (line["verb"], line["path"], line["method"]) == ("POST", path, "models.streamGenerateContent")
        assert line["query_names"] == ["alt", "key"]
        assert "x-own" in line["header_names"]
        assert line["body_sha256"] == hashlib.sha256(raw).hexdigest()
        assert line["body_size"] == len(raw)
        assert (line["status"], line["aborted"], line["finished"]) == (200, False, True)
        assert len(line["credentials"]) == 1
        simulator.clear()
        assert simulator.log() == []
    written = file.read_text()
    assert json.loads(written) == line
    for secret in (KEY, "secret"):
        assert secret not in written


def test_the_same_key_has_the_same_fingerprint(upstream: Simulator) -> None:
    upstream.clear()
    for key in (KEY, KEY, "AIzaAnotherKey1"):
        ask(upstream.url, "/v1/models", key=key)
    first, again, other = (line["credentials"][0] for line in upstream.log())
    assert first == again != other


def test_the_state_shows_projects_and_their_use(upstream: Simulator) -> None:
    upstream.clear()
    generate(upstream.url, prompt())
    upstream.wait_for(1)
    state = upstream.state()
    assert any(project["quota"].get("gemini-3.8-flash", {}).get("today") for project in state["projects"])
    assert state["in_progress"] == 0


def test_an_interactions_stream_breaks_in_its_own_form(upstream: Simulator) -> None:
    body = {"model": "gemini-3.8-flash", "input": "Hello", "stream": True}
    headers = {"x-simulate": "interactions-error-event"}
    answer = ask(upstream.url, "/v1/interactions", body, headers=headers)
    last = answer.body.replace(b"\r\n", b"\n").strip().split(b"\n\n")[-1]
    assert last.startswith(b"event: error\ndata: ")
    assert json.loads(last.partition(b"data: ")[2])["error"]["code"] == "unavailable"


def test_faults_reach_the_openai_layer(upstream: Simulator) -> None:
    body = {"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {KEY}", "x-simulate": "tokens=5,thoughts=0"}
    answer = ask(upstream.url, "/v1beta/openai/chat/completions", body, headers=headers, key="")
    assert answer.json()["usage"]["completion_tokens"] == 5


def test_a_client_that_reads_to_the_end_has_not_aborted(upstream: Simulator) -> None:
    upstream.clear()
    for _ in range(100):
        assert stream(upstream.url, prompt()).events()
    assert [line["aborted"] for line in upstream.log()] == [False] * 100


def test_it_stops_when_its_parent_goes() -> None:
    command = [sys.executable, "-m", "gemini_simulator.main", "--port", "0", "--stop-with-parent"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"listening on http://127.0.0.1:")
    process.stdin.close()
    assert process.wait(START_SECONDS) == 0
    process.stdout.close()
