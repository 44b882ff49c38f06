"""What belongs to whom: written with the call that showed it, found by its name, gone when it has expired."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sampled import MODEL, START, identity, intent, record

from gemgate.core.call import Made, Record
from gemgate.store import affinity, ledger, names, operations
from gemgate.store.connection import Connection


def told(*made: Made, at: int = START) -> Record:
    """A call that ended a millisecond after ``at`` and showed these things."""
    return record(intent(identity(), received_at=at), made=made)


def test_what_a_call_made_is_found_by_its_name(conn: Connection) -> None:
    ledger.settle(
        conn,
        [
            told(Made("files/a", "one"), Made("cachedContents/b", "one", MODEL, START + 5)),
            told(),
            told(Made("batches/c", "two")),
        ],
    )
    assert affinity.find(conn, ["files/a", "cachedContents/b", "batches/c", "files/nobody", ""]) == {
        "files/a": ("one", "", ""),
        "cachedContents/b": ("one", MODEL, ""),
        "batches/c": ("two", "", ""),
    }
    assert affinity.find(conn, []) == {}


def test_it_is_rolled_back_with_its_call(conn: Connection) -> None:
    ledger.settle(conn, [told(Made("files/a", "one"))])
    conn.forget()
    assert affinity.find(conn, ["files/a"]) == {}
    assert conn.execute("SELECT count(*) FROM calls").fetchone() == (0,)


def test_the_later_answer_wins_in_whatever_order_they_are_told(conn: Connection) -> None:
    early, late = told(Made("files/a", "one")), told(Made("files/a", "two"), at=START + 9)
    ledger.settle(conn, [late])
    ledger.settle(conn, [early])
    assert affinity.find(conn, ["files/a"]) == {"files/a": ("two", "", "")}
    ledger.settle(conn, [told(Made("files/a", "three"), at=START + 9)])
    assert affinity.find(conn, ["files/a"]) == {"files/a": ("three", "", "")}


def test_a_record_told_twice_does_not_bring_back_what_was_forgotten(conn: Connection) -> None:
    one = told(Made("files/a", "one"))
    ledger.settle(conn, [one])
    assert affinity.forget(conn, "files/a")
    assert not affinity.forget(conn, "files/a")
    ledger.settle(conn, [one])
    assert affinity.find(conn, ["files/a"]) == {}


def test_an_answer_that_names_no_model_keeps_the_one_known_on_that_project(conn: Connection) -> None:
    ledger.settle(conn, [told(Made("cachedContents/b", "one", MODEL))])
    ledger.settle(conn, [told(Made("cachedContents/b", "one"), at=START + 1)])
    assert affinity.find(conn, ["cachedContents/b"]) == {"cachedContents/b": ("one", MODEL, "")}
    ledger.settle(conn, [told(Made("cachedContents/b", "two"), at=START + 2)])
    assert affinity.find(conn, ["cachedContents/b"]) == {"cachedContents/b": ("two", "", "")}


def test_a_thing_is_its_makers_and_who_looks_at_it_changes_nothing(conn: Connection) -> None:
    ledger.settle(conn, [told(Made("files/a", "one", tenant="key:7"))])
    assert affinity.find(conn, ["files/a"]) == {"files/a": ("one", "", "key:7")}
    ledger.settle(conn, [told(Made("files/a", "one"), at=START + 1)])
    assert affinity.find(conn, ["files/a"]) == {"files/a": ("one", "", "key:7")}
    ledger.settle(conn, [told(Made("files/a", "one", tenant="key:8"), at=START + 2)])
    assert affinity.find(conn, ["files/a"]) == {"files/a": ("one", "", "key:8")}


def test_what_moved_to_another_project_is_nobodys_until_somebody_makes_it(conn: Connection) -> None:
    ledger.settle(conn, [told(Made("files/a", "one", tenant="key:7"))])
    ledger.settle(conn, [told(Made("files/a", "two"), at=START + 1)])
    assert affinity.find(conn, ["files/a"]) == {"files/a": ("two", "", "")}


def test_the_maker_is_known_also_when_its_word_comes_last(conn: Connection) -> None:
    ledger.settle(conn, [told(Made("files/a", "one"), at=START + 9)])
    ledger.settle(conn, [told(Made("files/a", "one", tenant="key:7"))])
    assert affinity.find(conn, ["files/a"]) == {"files/a": ("one", "", "key:7")}
    # Neither another maker before it, nor the maker of what stood elsewhere.
    ledger.settle(conn, [told(Made("files/a", "one", tenant="key:8"), at=START + 1)])
    ledger.settle(conn, [told(Made("files/b", "two"), at=START + 9)])
    ledger.settle(conn, [told(Made("files/b", "one", tenant="key:8"))])
    assert affinity.find(conn, ["files/a", "files/b"]) == {
        "files/a": ("one", "", "key:7"),
        "files/b": ("two", "", ""),
    }


def test_it_passes_through_the_spill_file(conn: Connection) -> None:
    one = told(Made("files/a", "one", MODEL, START + 7))
    operation, value = operations.decode(operations.encode(ledger.settle, one))
    assert value == one
    operations.apply(conn, [(operation, value)])
    assert affinity.find(conn, ["files/a"]) == {"files/a": ("one", MODEL, "")}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.text(st.characters(), max_size=260), max_size=12))
def test_any_name_is_found_again_and_none_is_taken_for_another(conn: Connection, some: set[str]) -> None:
    conn.execute("DELETE FROM affinities")
    homes = {name: ("even" if len(name) % 2 == 0 else "odd", "", "") for name in some}
    ledger.settle(conn, [told(*(Made(name, home[0]) for name, home in homes.items()))])
    assert affinity.find(conn, some) == homes
    assert affinity.find(conn, {name + "x" for name in some} - some) == {}


def test_long_names_that_begin_alike_are_two(conn: Connection) -> None:
    one, other = "files/" + "x" * 300 + "1", "files/" + "x" * 300 + "2"
    ledger.settle(conn, [told(Made(one, "one"), Made(other, "two"))])
    assert affinity.find(conn, [one, other]) == {one: ("one", "", ""), other: ("two", "", "")}


def test_more_names_than_one_statement_takes(conn: Connection) -> None:
    many = [f"files/{place}" for place in range(1_203)]
    ledger.settle(conn, [told(*(Made(name, "one") for name in many))])
    assert affinity.find(conn, many) == dict.fromkeys(many, ("one", "", ""))


def test_a_name_that_fell_out_of_its_dimension_is_not_known(conn: Connection) -> None:
    conn.names.models = names.Dimension(conn, "models", most=0)
    ledger.settle(conn, [told(Made("cachedContents/b", "one", "a model too many"))])
    assert affinity.find(conn, ["cachedContents/b"]) == {"cachedContents/b": ("one", "", "")}
    conn.names.projects = names.Dimension(conn, "projects", most=0)
    ledger.settle(conn, [told(Made("files/a", "a project too many"))])
    assert affinity.find(conn, ["files/a"]) == {}


def test_the_sweep_takes_the_expired_oldest_first_and_no_more_than_told(conn: Connection) -> None:
    things = [Made(f"files/{place}", "one", expires_at=START + place) for place in range(1, 8)]
    ledger.settle(conn, [told(*things, Made("files/for-ever", "one"))])
    assert affinity.sweep(conn, START + 5, 3) == 3
    assert sorted(affinity.find(conn, [one.name for one in things])) == [f"files/{n}" for n in (4, 5, 6, 7)]
    assert affinity.sweep(conn, START + 5, 100) == 2
    assert affinity.sweep(conn, START + 5, 100) == 0
    assert sorted(affinity.find(conn, ["files/6", "files/7", "files/for-ever"])) == [
        "files/6",
        "files/7",
        "files/for-ever",
    ]


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("DELETE FROM affinities WHERE name = 'x'", "PRIMARY KEY"),
        (
            "SELECT name FROM affinities WHERE expires_at > 0 AND expires_at <= 5 ORDER BY expires_at LIMIT 9",
            "ix_affinities_expires_at",
        ),
    ],
)
def test_each_question_has_its_index(conn: Connection, sql: str, index: str) -> None:
    steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert index in steps[0], steps
    assert not any("TEMP B-TREE" in step for step in steps), steps
