"""The upload protocols and the life of a file, held against Google's own messages."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from google.ai import generativelanguage_v1beta as google
from google.protobuf import json_format

from tests.simulator.client import Answer, ask
from tests.simulator.launch import Simulator

GRAIN = 256 * 1024
NOON = "2026-11-23T12:00:00+00:00"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    # The clock stands almost still: it moves when a test moves it.
    with Simulator("--speed", "0.000001", "--now", NOON) as running:
        yield running


def valid_file(value: dict[str, Any]) -> dict[str, Any]:
    json_format.ParseDict(value, google.File.pb()(), ignore_unknown_fields=False)
    return value


def start(simulator: Simulator, size: int, kind: str = "text/plain", **fields: Any) -> Answer:
    headers = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": str(size),
        "x-goog-upload-header-content-type": kind,
    }
    return ask(simulator.url, "/upload/v1beta/files", {"file": fields}, headers=headers)


def leg(simulator: Simulator, begun: Answer, command: str, data: bytes = b"", offset: int = 0) -> Answer:
    url = begun.headers["x-goog-upload-url"]
    assert url.startswith(simulator.url + "/upload/v1beta/files?upload_id=")
    headers = {"x-goog-upload-command": command, "x-goog-upload-offset": str(offset)}
    return ask(simulator.url, url.removeprefix(simulator.url), data, "POST", headers)


def uploaded(simulator: Simulator, data: bytes, kind: str = "text/plain", **fields: Any) -> dict[str, Any]:
    begun = start(simulator, len(data), kind, **fields)
    answer = leg(simulator, begun, "upload, finalize", data)
    assert answer.headers["x-goog-upload-status"] == "final"
    json_format.ParseDict(answer.json(), google.CreateFileResponse.pb()(), ignore_unknown_fields=False)
    found: dict[str, Any] = answer.json()["file"]
    return found


def test_a_start_answers_with_a_place_and_no_body(simulator: Simulator) -> None:
    begun = start(simulator, 5)
    assert begun.status == 200
    assert begun.body == b""
    assert begun.headers["x-goog-upload-status"] == "active"
    assert "upload_protocol=resumable" in begun.headers["x-goog-upload-url"]


def test_legs_are_put_together(simulator: Simulator) -> None:
    data = bytes(range(256)) * 2048
    begun = start(simulator, len(data), "application/pdf", displayName="Two legs")
    first = leg(simulator, begun, "upload", data[:GRAIN])
    assert first.headers["x-goog-upload-status"] == "active"
    asked = leg(simulator, begun, "query")
    assert asked.headers["x-goog-upload-size-received"] == str(GRAIN)
    last = leg(simulator, begun, "upload, finalize", data[GRAIN:], GRAIN)
    file = valid_file(last.json()["file"])
    assert file["displayName"] == "Two legs"
    assert file["mimeType"] == "application/pdf"
    assert file["sizeBytes"] == str(len(data))
    assert base64.b64decode(file["sha256Hash"]).decode() == hashlib.sha256(data).hexdigest()
    again = leg(simulator, begun, "query")
    assert again.headers["x-goog-upload-status"] == "final"
    assert again.json() == last.json()


def test_a_separate_finalize(simulator: Simulator) -> None:
    begun = start(simulator, GRAIN)
    leg(simulator, begun, "upload", b"x" * GRAIN)
    assert leg(simulator, begun, "finalize").json()["file"]["sizeBytes"] == str(GRAIN)


@pytest.mark.parametrize(
    ("command", "size", "offset"),
    [
        ("upload", GRAIN, 1),
        ("upload", 10, 0),
        ("upload, finalize", 10, 0),
        ("upload", 3 * GRAIN, 0),
        ("fly", 1, 0),
    ],
    ids=["wrong offset", "odd leg", "too short", "too long", "no command"],
)
def test_breaches_of_the_protocol(simulator: Simulator, command: str, size: int, offset: int) -> None:
    answer = leg(simulator, start(simulator, 2 * GRAIN), command, b"x" * size, offset)
    assert answer.status == 400
    assert answer.error()["status"] == "INVALID_ARGUMENT"
    assert "x-goog-upload-status" not in answer.headers


def test_a_cancelled_upload_is_over(simulator: Simulator) -> None:
    begun = start(simulator, 5)
    assert leg(simulator, begun, "cancel").headers["x-goog-upload-status"] == "cancelled"
    assert leg(simulator, begun, "upload, finalize", b"12345").status == 400


def test_an_unknown_upload_and_one_of_another_project(simulator: Simulator) -> None:
    path = start(simulator, 5).headers["x-goog-upload-url"].removeprefix(simulator.url)
    headers = {"x-goog-upload-command": "query"}
    assert ask(simulator.url, path, b"", "POST", headers, key="AIzaSomebodyElse").status == 404
    assert ask(simulator.url, "/upload/v1/files?upload_id=none", b"", "POST", headers).status == 404


def test_multipart_and_raw(simulator: Simulator) -> None:
    data = b"line one\r\n\r\n--not-the-boundary\r\nline two"
    body = (
        b'--b1\r\nContent-Type: application/json\r\n\r\n{"file": {"display_name": "multi"}}\r\n'
        b"--b1\r\nContent-Type: text/csv\r\n\r\n" + data + b"\r\n--b1--\r\n"
    )
    headers = {"content-type": "multipart/related; boundary=b1"}
    multi = ask(simulator.url, "/upload/v1beta/files?uploadType=multipart", body, "POST", headers).json()[
        "file"
    ]
    assert (multi["displayName"], multi["mimeType"]) == ("multi", "text/csv")
    assert multi["sizeBytes"] == str(len(data))
    headers = {"content-type": "text/html", "x-goog-upload-protocol": "raw"}
    raw = ask(simulator.url, "/upload/v1beta/files", b"<p>", "POST", headers).json()["file"]
    assert (raw["mimeType"], raw["sizeBytes"]) == ("text/html", "3")


def test_a_video_is_processed_by_the_clock_and_ends_after_two_days(simulator: Simulator) -> None:
    simulator.set_clock(NOON)
    file = valid_file(uploaded(simulator, b"0" * 2_000_000, "video/mp4"))
    assert file["state"] == "PROCESSING"
    assert "videoMetadata" not in file
    part = {"fileData": {"fileUri": file["uri"], "mimeType": "video/mp4"}}
    noon = datetime.fromisoformat(NOON)
    simulator.set_clock((noon + timedelta(seconds=6)).isoformat())
    now = valid_file(ask(simulator.url, f"/v1beta/{file['name']}").json())
    assert now["state"] == "ACTIVE"
    assert now["videoMetadata"] == {"videoDuration": "2s"}
    body = {"contents": [{"parts": [part]}]}
    count = ask(simulator.url, "/v1beta/models/gemini-3.8-flash:countTokens", body)
    assert count.json()["totalTokens"] > 0
    simulator.set_clock((noon + timedelta(hours=48, seconds=1)).isoformat())
    gone = ask(simulator.url, f"/v1beta/{file['name']}")
    assert gone.status == 403
    assert file["name"].removeprefix("files/") in gone.error()["message"]
    simulator.set_clock(NOON)


def test_a_name_of_ones_own_is_taken_once(simulator: Simulator) -> None:
    assert uploaded(simulator, b"1", name="files/my-own-file")["name"] == "files/my-own-file"
    begun = start(simulator, 1, name="files/my-own-file")
    assert leg(simulator, begun, "upload, finalize", b"2").status == 409
    begun = start(simulator, 1, name="files/No_Such_Name")
    assert leg(simulator, begun, "upload, finalize", b"2").status == 400


def test_both_paths_of_a_download(simulator: Simulator) -> None:
    file = uploaded(simulator, b"small enough")
    for path in (
        f"/v1/{file['name']}:download?alt=media",
        f"/download/v1beta/{file['name']}:download?alt=media",
    ):
        answer = ask(simulator.url, path)
        assert answer.body == b"small enough"
        assert answer.headers["content-type"] == "text/plain"
    large = uploaded(simulator, b"x" * (16 * 1024 * 1024 + 1))
    simulator.set_clock("2026-11-23T12:01:00+00:00")
    refused = ask(simulator.url, f"/v1/{large['name']}:download?alt=media")
    assert refused.error()["status"] == "FAILED_PRECONDITION"
    simulator.set_clock(NOON)


def test_objects_in_cloud_storage_are_registered(simulator: Simulator) -> None:
    answer = ask(simulator.url, "/v1/files:register", {"uris": ["gs://bucket/a", "gs://bucket/b"]})
    found = [valid_file(file) for file in answer.json()["files"]]
    assert [file["source"] for file in found] == ["REGISTERED", "REGISTERED"]
    assert ask(simulator.url, "/v1/files:register", {"uris": ["http://elsewhere"]}).status == 400
    assert ask(simulator.url, "/v1/files:register", {}).status == 400


def test_unknown_fields_are_refused_in_googles_words(simulator: Simulator) -> None:
    begun = start(simulator, 1, colour="red")
    error = leg(simulator, begun, "upload, finalize", b"1").error()
    assert "Unknown name \"colour\" at 'file': Cannot find field." in error["message"]
    assert error["details"][0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"


def test_lists_belong_to_their_project(simulator: Simulator) -> None:
    mine = uploaded(simulator, b"mine")
    listed = ask(simulator.url, "/v1beta/files?pageSize=100").json()
    json_format.ParseDict(listed, google.ListFilesResponse.pb()(), ignore_unknown_fields=False)
    assert mine["name"] in json.dumps(listed)
    assert ask(simulator.url, "/v1beta/files", key="AIzaSomebodyElse").json() == {}
    assert ask(simulator.url, "/v1beta/files?pageToken=nonsense").status == 400
