"""What every method does to things of tenants, who sees what, and that nothing a body points at slips through."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core import access
from gemgate.core.errors import Refused
from gemgate.dialects.gemini import listing, made, pointers, tenancy
from gemgate.dialects.gemini.methods import METHODS, Match, match
from gemgate.dialects.gemini.tenancy import SORTS, Sort, Tenant

INVENTORY = json.loads((Path(__file__).parent.parent / "cases" / "methods.json").read_text(encoding="utf-8"))
HOST = "https://generativelanguage.googleapis.com/v1beta/"
GENERATE = "/v1beta/models/m:generateContent"
INTERACT = "/v1/interactions"


def at(verb: str, path: str) -> Match:
    found = match(verb, path)
    assert found is not None
    return found


def path_of(template: str) -> str:
    """A path of the inventory with its names filled in."""
    out = template.replace("{v}", "v1beta").replace("{file_name}", "files/f")
    while "{" in out:
        start, end = out.index("{"), out.index("}")
        out = out[:start] + "x" + out[end + 1 :]
    return out


def test_no_method_is_unclassified() -> None:
    assert set(SORTS) == METHODS | {"unknown"}
    assert {method for method, _, _ in INVENTORY} <= set(SORTS)
    assert tenancy.sort(None) is SORTS["unknown"] is Sort.UNTOLD
    assert tenancy.sort(Match(method="models.somethingNew", version="v1")) is Sort.UNTOLD


@pytest.mark.parametrize(("method", "verb", "template"), INVENTORY, ids=lambda value: str(value)[:60])
def test_the_sort_of_a_method_fits_its_path(method: str, verb: str, template: str) -> None:
    """A thing is named in the path and is held to its tenant; lists are those that are put together here."""
    found = at(verb, path_of(template))
    assert found.method == method
    named = made.refers(found, None)
    sort = tenancy.sort(found)
    if sort is Sort.THING:
        assert named or found.model.startswith("tunedModels/")
    elif sort is not Sort.OPEN:
        assert not named or method.startswith("tunedModels.")
    if sort is Sort.LIST:
        assert listing.of(found)
        assert verb == "GET"
    else:
        assert not listing.of(found)
    if sort is Sort.MAKER:
        assert verb == "POST"
    if verb == "DELETE":
        assert sort is Sort.THING
        nested = template.count("/") > 3
        assert tenancy.deletes(found) is not nested


def test_what_mints_credentials_calls_others_or_gives_away_is_behind_a_right() -> None:
    """What nobody can tell apart, and what reaches beyond a tenant's own things."""
    for method in SORTS:
        head = method.partition(".")[0]
        dangerous = head in ("auth_tokens", "credentials", "webhooks", "triggers", "unknown")
        gives = ".permissions." in method or method.endswith("transferOwnership")
        assert bool(access.needed(method)) is (dangerous or gives), method


NAMES = st.sampled_from(["key:1", "key:2", "key:12"])


@given(NAMES, st.frozensets(NAMES), NAMES)
def test_a_tenant_sees_the_things_of_its_spaces_and_no_others(
    name: str, more: frozenset[str], other: str
) -> None:
    bound = Tenant(name, more | {name})
    assert bound
    assert bound.bound
    assert bound.sees(name)
    assert bound.sees(other) is (other == name or other in more)
    assert not bound.sees("")
    for free in (Tenant(name), tenancy.ANYBODY):
        assert not free.bound
        assert free.sees(other)
        assert free.sees("")
    assert Tenant(name)
    assert not tenancy.ANYBODY


def found(verb: str, path: str, body: Any) -> pointers.Pointers:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return pointers.find(at(verb, path), raw)


def things(path: str, body: Any) -> set[str]:
    return set(found("POST", path, body).things)


def test_files_and_caches_of_a_prompt() -> None:
    parts = [
        {"fileData": {"fileUri": HOST + "files/f1", "mimeType": "x/y"}},
        {"file_data": {"file_uri": "files/f2"}},
        {
            "functionResponse": {
                "response": {"uri": "files/no"},
                "parts": [{"fileData": {"fileUri": "files/f3"}}],
            }
        },
        {"functionCall": {"name": "read", "args": {"file": "files/no"}}},
        {"text": "files/no"},
        {"inlineData": {"mimeType": "x/y", "data": "files/no"}},
    ]
    body = {
        "contents": [{"parts": parts}],
        "cachedContent": "cachedContents/c",
        "tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/s"]}}],
        "continuationToken": "dG9r_w==",
    }
    seen = found("POST", GENERATE, body)
    assert set(seen.things) == {"files/f1", "files/f2", "files/f3", "cachedContents/c", "fileSearchStores/s"}
    assert seen.maybe == ()
    assert seen.tokens == (b"dG9r/w",)
    assert not seen.webhook


@pytest.mark.parametrize(
    "uri",
    [
        HOST + "files/f1",
        HOST + "files/f1:download?alt=media",
        "https://generativelanguage.googleapis.com/download/v1/files/f1",
        "http://localhost:8080/v1beta/files/f1",
        "//generativelanguage.googleapis.com/v1beta/files/f1",
        "files/f1",
        " files/f1\t",
        "files/f1?x=1",
    ],
)
def test_uris_of_files(uri: str) -> None:
    assert things(GENERATE, {"contents": [{"parts": [{"fileData": {"fileUri": uri}}]}]}) == {"files/f1"}


@pytest.mark.parametrize(
    ("uri", "maybe"),
    [
        ("https://example.com/files/f1", ("files/f1",)),
        ("https://example.com/static/files/report.pdf", ()),
        ("https://www.youtube.com/watch?v=files", ()),
        ("gs://bucket/films/f1", ()),
    ],
)
def test_foreign_uris_are_no_things_unless_the_record_knows_better(uri: str, maybe: tuple[str, ...]) -> None:
    seen = found("POST", GENERATE, {"contents": [{"parts": [{"fileData": {"fileUri": uri}}]}]})
    assert (seen.things, seen.maybe) == ((), maybe)


@pytest.mark.parametrize(
    "body",
    [
        b'{"contents":[{"parts":[{"fileData":{"fileUri":"files/mine","fileUri":"files/other"}}]}]}',
        b'{"contents":[{"parts":[{"fileData":{"fileUri":"files/other","fileUri":"files/mine"}}]}]}',
        b'{"contents":[{"parts":[{"fileData":{"fileUri":"files/mine"},"file_data":{"fileUri":"files/other"}}]}]}',
        b'{"contents":[{"parts":[{"fileData":{"file_uri":"files/other","fileUri":"files/mine"}}]}]}',
        b'{"contents":[{"parts":[{"fileData":{"fileUri":"files\\/other"}}]}]}',
        b'{"contents":[{"parts":[{"fileData":{"fileUri":"\\u0066iles/other"}}]}]}',
        b'{"contents":[{"parts":[{"fileData":{"fileUri":"\\u0066\\u0069\\u006C\\u0065s\\u002Fother"}}]}]}',
        b'{"contents":[{"parts":[{"file\\u0044ata":{"file\\u0055ri":"files/other"}}]}]}',
        b'{"contents":[],"contents":[{"parts":[{"fileData":{"fileUri":"files/other"}}]}],"contents":[]}',
        b'{"generateContentRequest":{"contents":[{"parts":[{"fileData":{"fileUri":"files/other"}}]}]}}',
        b'{"somethingNew":{"source":"files/other"}}',
    ],
)
def test_no_way_of_writing_hides_a_file(body: bytes) -> None:
    assert "files/other" in found("POST", GENERATE, body).things


JSONISH = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELD = st.sampled_from(["fileUri", "file_uri", "uri", "fileName", "x", "cachedContent", "Files"])


@given(st.lists(st.one_of(st.integers(0, 2), FIELD), max_size=6), JSONISH, st.booleans(), st.integers(0, 11))
def test_a_file_is_found_wherever_it_stands(
    way: list[int | str], other: object, ascii_only: bool, escaped: int
) -> None:
    """At any depth, under any field, with any sign of its name escaped."""
    name = "files/other-"
    tree: object = "@"
    for step in way:
        tree = {step: tree, "é": other} if isinstance(step, str) else [other] * step + [tree]
    text = json.dumps({"contents": tree}, ensure_ascii=ascii_only)
    hidden = name[:escaped] + f"\\u{ord(name[escaped]):04x}" + name[escaped + 1 :] + "1"
    assert "files/other-1" in found("POST", GENERATE, text.replace('"@"', f'"{hidden}"').encode()).things


@pytest.mark.parametrize(
    "body",
    [b"files/", b'{"x": "files/a"', b"{'x': 'files/a'}", '{"x":"files/a"}'.encode("utf-16"), b"[" * 100_000],
)
def test_what_nobody_can_be_sure_of_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        found("POST", INTERACT, body)
    assert (refused.value.status, refused.value.code) == (400, "MALFORMED_JSON")


def test_bare_ids_of_the_newer_resources() -> None:
    content = [{"type": "document", "uri": HOST + "files/d"}, {"type": "text", "text": "environments/no"}]
    body = {
        "model": "gemini-3.8-flash",
        "input": [{"type": "user_input", "content": content}],
        "previous_interaction_id": "v1_p",
        "environment": "env-1",
        "tools": [
            {"type": "file_search", "file_search_store_names": ["fileSearchStores/s"]},
            {"type": "computer_use", "environment": "browser"},
        ],
        "generation_config": {"speech_config": [{"voice": "Puck"}, {"voice": "voice-1"}]},
        "continuation_token": "t",
    }
    seen = found("POST", INTERACT, body)
    assert set(seen.things) == {"files/d", "interactions/v1_p", "environments/env-1", "fileSearchStores/s"}
    assert seen.maybe == ("voices/voice-1",)
    assert seen.tokens == (b"t",)
    assert things(INTERACT, {"agent": "customer-sentinel", "input": "x"}) == {"agents/customer-sentinel"}
    assert things(INTERACT, {"agent": "deep-research-pro-preview-12-2025", "input": "files/x"}) == set()
    assert things("/v1/environments", {"from_environment": "environments/e"}) == {"environments/e"}
    assert things("/v1/agents", {"base_agent": "a", "base_environment": {"environment_id": "e"}}) == {
        "agents/a",
        "environments/e",
    }
    trigger = {
        "interaction": {"agent": "a", "environment": "remote"},
        "environment_id": "e",
        "schedule": "* * * * *",
    }
    assert things("/v1/triggers", trigger) == {"agents/a", "environments/e"}
    allowed = {"network": {"allowlist": [{"domain": "x", "credential": "cred-1"}]}}
    assert things("/v1/environments", allowed) == {"credentials/cred-1"}


def test_batches_and_imports() -> None:
    inner = {
        "request": {"contents": [{"parts": [{"fileData": {"fileUri": "files/f"}}]}]},
        "metadata": {"key": "1"},
    }
    batch = {"batch": {"inputConfig": {"requests": {"requests": [inner]}}}}
    assert things("/v1/models/m:batchGenerateContent", batch) == {"files/f"}
    assert things(
        "/v1/models/m:batchGenerateContent", {"batch": {"input_config": {"file_name": "files/g"}}}
    ) == {"files/g"}
    assert things("/v1/fileSearchStores/s:importFile", {"fileName": "files/h"}) == {"files/h"}
    assert things("/v1beta/openai/batches", {"input_file_id": "i"}) == {"files/i"}
    assert things("/v1/tunedModels", {"tunedModelSource": {"tunedModel": "tunedModels/t"}}) == {
        "tunedModels/t"
    }
    hooked = found(
        "POST", "/v1/models/m:batchGenerateContent", {"batch": {"webhookConfig": {"uris": ["https://x"]}}}
    )
    assert hooked.webhook
    assert found("POST", INTERACT, {"input": "x", "webhook_config": {"uris": []}}).webhook


@given(st.binary(max_size=60), st.sampled_from([GENERATE, INTERACT, "/v1beta/openai/chat/completions"]))
def test_nothing_but_a_refusal_is_raised(body: bytes, path: str) -> None:
    with contextlib.suppress(Refused):
        found("POST", path, body)


def test_every_upload_of_a_query_counts() -> None:
    assert made.upload_ids("upload_id=a&upload_protocol=resumable&upload_id=b") == ("a", "b")
    assert made.upload_ids("%75pload_id=a") == made.upload_ids("upload%5Fid=a") == ("a",)
    assert made.upload_ids("alt=json") == made.upload_ids("") == ()


def test_googles_own_things_are_everybodys() -> None:
    assert made.is_provided("voices/Puck")
    assert made.is_provided("agents/antigravity-preview-09-2026")
    assert made.is_provided("voices/en-x", b'{"id":"en-x","type":"prebuilt"}')
    assert not made.is_provided("voices/voice-1", b'{"id":"voice-1","type":"prompted"}')
    assert not made.is_provided("agents/customer-sentinel")
    assert not made.is_provided("files/Puck", b'{"type":"prebuilt"}')
