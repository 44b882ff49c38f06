"""Lists of several projects as one: every item as it came, in order, and tokens that lead on."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.dialects.gemini import listing
from gemgate.dialects.gemini.methods import match

TEXT = st.text(st.sampled_from('a"\\é ,[]{}\u2028'), max_size=6)
ITEM = st.dictionaries(TEXT, st.one_of(st.integers(), TEXT, st.lists(TEXT, max_size=2)), max_size=3)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1beta/files", "files"),
        ("/v1/cachedContents", "cachedContents"),
        ("/v1/batches", "operations"),
        ("/v1/tunedModels", "tunedModels"),
        ("/v1/fileSearchStores", "fileSearchStores"),
        ("/v1/models/veo-3/operations", "operations"),
        ("/v1/agents", "agents"),
        ("/v1/models", ""),
        ("/v1/files/f1", ""),
        ("/v1/fileSearchStores/s/documents", ""),
        ("/v1/tunedModels/t/operations", ""),
        ("/v1beta/openai/models", ""),
    ],
)
def test_lists_that_belong_to_projects(path: str, field: str) -> None:
    found = match("GET", path)
    assert found is not None
    assert listing.of(found) == field


def test_creating_is_no_list() -> None:
    found = match("POST", "/v1/cachedContents")
    assert found is not None
    assert listing.of(found) == ""


@given(st.lists(st.lists(ITEM, max_size=3), min_size=1, max_size=4), st.sampled_from([None, 0, 2]), TEXT)
def test_items_keep_their_bytes_and_their_order(
    pages: list[list[dict[str, object]]], indent: int | None, token: str
) -> None:
    texts = [[json.dumps(item, indent=indent) for item in page] for page in pages]
    bodies = [b'{ "files" : [ %s ], "nextPageToken":"x"}' % " ,\n".join(page).encode() for page in texts]
    merged = listing.merge("files", bodies, token)
    different = list(dict.fromkeys(text for page in texts for text in page))
    assert [bytes(item).decode() for item in listing.items("files", merged)] == different
    assert listing.count("files", merged) == len(different)
    assert listing.token(merged) == token
    assert json.loads(merged).get("files", []) == [json.loads(text) for text in different]


def test_empty_and_absent_lists_leave_the_field_out_as_google_does() -> None:
    assert listing.merge("files", [b"{}", b'{"files":[]}', b'{"files":null}'], "") == b"{}"
    assert listing.merge("files", [b"{}", b'{"files":[{"name":"files/a"}]}'], "t") == (
        b'{"files":[{"name":"files/a"}],"nextPageToken":"t"}'
    )


def test_unknown_fields_stay() -> None:
    pages = [b'{"files":[1],"total":{"n": 1}}', b'{"files":[2],"total":5,"more":[ ]}']
    assert listing.merge("files", pages, "") == b'{"files":[1,2],"total":{"n": 1},"more":[ ]}'


def test_the_newer_resources_write_their_token_in_snake_case() -> None:
    page = b'{"agents":[{"id":"a"}],"next_page_token":"g"}'
    assert listing.token(page) == "g"
    assert listing.merge("agents", [page], "t") == b'{"agents":[{"id":"a"}],"next_page_token":"t"}'


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"files":3}', b'{"files":[1'])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        listing.count("files", body)


@given(
    st.text(min_size=1).filter(lambda name: "\n" not in name),
    st.text(),
    st.integers(min_value=0, max_value=999_999),
)
def test_page_tokens_come_back_as_they_were_written(project: str, token: str, place: int) -> None:
    text = listing.spell(project, token, place)
    assert text.isascii()
    assert not set(text) & set("+/=&? ")
    assert listing.read(text) == (project, token, place)


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40).map(lambda raw: raw.hex())))
def test_other_page_tokens_lead_nowhere(text: str) -> None:
    assert listing.read(text) == listing.NOWHERE


def test_googles_own_tokens_are_none_of_ours() -> None:
    assert listing.read("ZnJvbToxMA") == listing.NOWHERE
    assert listing.read("") == listing.NOWHERE
