"""The catalogue of models: what is known, what counts together, and who stands in for whom."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.catalog import BadCatalog, Card, Catalog
from gemgate.core.windows import Limits

CATALOG = Catalog.load()
DOCS = Path(__file__).parents[2] / "docs" / "routes.md"
ids = st.sampled_from([name for card in CATALOG.cards for name in (card.id, *card.aliases)])


def chain(model: str) -> list[str]:
    return [name for name, _ in CATALOG.chain(model)]


@pytest.mark.parametrize(
    ("model", "stand_ins"),
    [
        ("gemini-4-argon", ["gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        ("gemini-3.1-pro-preview", ["gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        ("gemini-2.5-pro", ["gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        ("gemini-3.8-flash", ["gemini-3.5-flash-lite"]),
        ("gemini-2.5-flash", ["gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        ("gemini-3-flash-preview", ["gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        ("gemini-3.5-flash-lite", ["gemini-3.1-flash-lite"]),
        ("gemini-2.5-flash-lite", ["gemini-3.5-flash-lite"]),
        # Google answers these with another model.
        ("gemini-3.5-flash", ["gemini-3.6-flash", "gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        ("gemini-3.7-flash", ["gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        # Shut down: the stable sibling, or the newest of the size.
        ("gemini-3.1-flash-lite-preview", ["gemini-3.1-flash-lite", "gemini-3.5-flash-lite"]),
        ("gemini-3-pro-preview", ["gemini-3.1-pro-preview", "gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        ("gemini-2.0-flash", ["gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        # A moving alias is served under one version of the API only; its model under all.
        ("gemini-flash-latest", ["gemini-3.8-flash", "gemini-3.5-flash-lite"]),
        ("models/gemini-3.8-flash", ["gemini-3.5-flash-lite"]),
        # Other kinds: a stable sibling or nobody.
        ("gemini-3-pro-image-preview", ["gemini-3-pro-image"]),
        ("gemini-3.1-flash-image", []),
        ("gemini-3.8-flash-tts", []),
        ("gemma-4-31b-it", []),
        ("veo-3.1-generate-preview", ["veo-3.1-generate-001"]),
        # Vectors differ.
        ("gemini-embedding-001", []),
        ("gemini-embedding-2", []),
        ("text-embedding-004", []),
        # Nobody knows it.
        ("gemini-9-flash", []),
        ("tunedModels/mine", []),
        ("", []),
    ],
)
def test_who_stands_in(model: str, stand_ins: list[str]) -> None:
    assert chain(model) == stand_ins


@given(ids)
def test_a_chain_holds_living_models_of_the_same_kind_once(model: str) -> None:
    card = CATALOG.card(model)
    assert card is not None
    found = chain(model)
    assert len(set(found)) == len(found)
    assert model not in found
    for name, why in CATALOG.chain(model):
        other = CATALOG.card(name)
        assert other is not None
        assert other.kind == card.kind
        assert other.status not in ("shut_down", "unknown")
        assert why


@given(ids)
def test_a_chain_never_climbs(model: str) -> None:
    order = ["top", "pro", "flash", "flash-lite", ""]
    card = CATALOG.card(model)
    assert card is not None
    sizes = [order.index(found.size) for name in chain(model) if (found := CATALOG.card(name))]
    assert sizes == sorted(sizes)
    assert all(size >= order.index(card.size) for size in sizes)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gemini-3.1-pro-preview", "gemini-3.1-pro"),
        ("gemini-3.1-pro-preview-customtools", "gemini-3.1-pro"),
        ("gemini-pro-latest", "gemini-3.1-pro"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-3.7-flash", "gemini-3.7-flash"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini-2.5-flash-preview-tts", "gemini-2.5-flash-tts"),
        ("gemini-embedding-001", "gemini-embedding-001"),
        # Not in the catalogue.
        ("gemini-9-flash-preview-05-2027", "gemini-9-flash"),
        ("gemini-9-flash-002", "gemini-9-flash"),
        ("gemini-9-pro-preview-customtools", "gemini-9-pro"),
        ("gemini-embedding-009", "gemini-embedding-009"),
        ("tunedModels/x-001", "tunedModels/x-001"),
        ("", ""),
    ],
)
def test_what_google_counts_together(model: str, family: str) -> None:
    assert CATALOG.family(model) == family


@given(ids, st.sampled_from(["free", "tier1", "tier2", "tier3"]))
def test_a_family_is_a_name_for_itself(model: str, tier: str) -> None:
    family = CATALOG.family(model)
    assert CATALOG.family(family) == family
    assert CATALOG.limits(family, tier) == CATALOG.limits(model, tier)


def test_limits_are_those_of_the_family_and_marked_as_the_tiers() -> None:
    free = Limits(rpm=5, tpm=250_000, rpd=20, tier=("rpm", "tpm", "rpd"))
    assert CATALOG.limits("gemini-2.5-flash", "free") == free
    assert CATALOG.limits("gemini-3.1-pro-preview-customtools", "tier1") == Limits(
        tpm=1_000_000, rpd=250, tier=("tpm", "rpd")
    )
    assert CATALOG.limits("gemini-3.8-flash", "tier2") == Limits(tpm=3_000_000, tier=("tpm",))


def test_limits_that_nobody_knows_are_no_limits() -> None:
    assert CATALOG.limits("gemini-9-flash", "free") == Limits()
    assert CATALOG.limits("gemini-2.5-flash", "tier3") == Limits()
    assert CATALOG.limits("gemini-2.5-flash", "another") == Limits()


def test_what_the_free_tier_does_not_have_is_limited_to_nothing() -> None:
    for model in ("gemini-4-argon", "gemini-4-carbon", "gemini-3.1-pro-preview"):
        assert CATALOG.limits(model, "free").rpd == 0
    assert CATALOG.limits("gemini-4-hydrogen", "free").rpd is None


def test_spend_is_in_nano_dollars() -> None:
    found = [CATALOG.spend(tier) for tier in ("free", "tier1", "tier2", "tier3", "other")]
    assert found == [None, 10 * 10**9, 50 * 10**9, 200 * 10**9, None]


@given(st.text(max_size=40))
def test_any_name_has_a_family_and_a_chain(name: str) -> None:
    catalog = Catalog((), {})
    assert catalog.chain(name) == ()
    assert catalog.card(name) is None
    assert bool(catalog.family(name)) == bool(name.removeprefix("models/"))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "cannot be read"),
        (b"{}", "models"),
        (b'{"models": [{"id": "a", "colour": 1}]}', "colour"),
        (b'{"models": [{"id": "a", "size": "huge"}]}', "huge"),
        (b'{"models": [{"id": "a"}, {"id": "b", "aliases": ["a"]}]}', "names twice: a"),
        (b'{"models": [{"id": "a", "served": {"by": "b", "since": "2026-01-01"}}]}', "does not know"),
        (b'{"models": [{"id": "a", "served": {"by": "a", "since": "2026-01-01"}}]}', "does not know"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(data: bytes, word: str) -> None:
    with pytest.raises(BadCatalog, match=word):
        Catalog.load(data)


def test_models_that_are_served_by_each_other_end_a_chain() -> None:
    rows = [
        {"id": "a", "status": "routed", "kind": "text", "served": {"by": "b", "since": "2026-01-01"}},
        {"id": "b", "status": "routed", "kind": "text", "served": {"by": "a", "since": "2026-01-01"}},
    ]
    catalog = Catalog.load(msgspec.json.encode({"models": rows}))
    assert [name for name, _ in catalog.chain("a")] == ["b"]


def test_only_what_is_on_its_way_has_a_sibling_and_vectors_have_none() -> None:
    def family(kind: str, status: str) -> dict[str, str]:
        return {"id": f"{kind}-{status}", "family": kind, "kind": kind, "status": status}

    kinds, statuses = ("image", "embedding"), ("stable", "preview", "deprecated")
    rows = [family(kind, status) for kind in kinds for status in statuses]
    catalog = Catalog.load(msgspec.json.encode({"models": rows}))
    found = {card.id: [name for name, _ in catalog.chain(card.id)] for card in catalog.cards}
    assert {name: names for name, names in found.items() if names} == {"image-preview": ["image-stable"]}


def row(card: Card, catalog: Catalog) -> str:
    ways = " → ".join(f"`{name}`" for name, _ in catalog.chain(card.id)) or "none"
    name = f"`{card.id}`" + "".join(f", `{alias}`" for alias in card.aliases)
    return f"| {name} | {card.kind} | {card.status.replace('_', ' ')} | {ways} |"


def test_the_table_in_the_docs_is_the_catalogue() -> None:
    rows = [row(card, CATALOG) for card in CATALOG.cards if card.kind == "text" or CATALOG.chain(card.id)]
    table = "\n".join(["| model | kind | status | falls to |", "|---|---|---|---|", *rows])
    assert table in DOCS.read_text("utf-8"), f"paste this into docs/routes.md:\n{table}"
