"""`gemgate budgets` on real files: what is made, seeded from the record, shown, changed, removed and refused."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from sampled import attempt, identity, intent, priced, record
from served import environment

from gemgate.cli.faults import CommandFault
from gemgate.cli.main import group
from gemgate.core.budget import Budgets, slot
from gemgate.core.call import Charged, Record
from gemgate.core.usage import Usage
from gemgate.store import boots, budgets, connection, ledger, migrate
from gemgate.store.connection import Connection

DATA = Path("gemgate-data")
CONFIG = '[[project]]\nname = "paid"\nkey = "x"\n[[route]]\nname = "fast"\ntargets = ["gemini-2.5-flash"]\n'
USED = Usage(input=1_000, output=200, thoughts=50)
COST = priced(USED).billed or 0


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working directory with a configuration and an empty record; nothing of gemgate's in the environment."""
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("gemgate.toml").write_text(CONFIG, "utf-8")
    migrate.upgrade(DATA / "gemgate.db")


def asked(*arguments: str) -> Result:
    """`gemgate budgets` with these arguments."""
    return CliRunner().invoke(group, ["budgets", *arguments])


def said(*arguments: str) -> str:
    """What a command that goes well prints."""
    done = asked(*arguments)
    assert (done.exception, done.exit_code) == (None, 0), done.output
    return done.stdout


def told(*arguments: str) -> dict[str, Any]:
    """What a command that goes well says in JSON."""
    found: dict[str, Any] = json.loads(said(*arguments, "--json"))
    return found


def fault(*arguments: str) -> str:
    """The sentence of a command that fails."""
    done = asked(*arguments)
    assert isinstance(done.exception, CommandFault), done.output
    return str(done.exception)


def usage(*arguments: str) -> str:
    """The sentence of a command that is used wrongly."""
    done = asked(*arguments)
    assert done.exit_code == 2, done.output
    return done.stderr


def key(name: str) -> None:
    """Make a key."""
    assert CliRunner().invoke(group, ["keys", "create", name]).exit_code == 0


@contextlib.contextmanager
def writing() -> Iterator[Connection]:
    """One write transaction, as the gateway has them."""
    with contextlib.closing(connection.writer(DATA / "gemgate.db")) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield conn
        conn.keep()


def settled(ago: float, **changes: Any) -> Record:
    """A call of so many seconds ago."""
    of = intent(identity(), received_at=int((time.time() - ago) * 1e6))
    return record(of, attempt(of, usage=USED), **changes)


def test_a_budget_of_each_scope_begins_with_what_the_record_shows() -> None:
    key("ci")
    mine = [settled(5, key=1, tags=("a", "b")), settled(7, key=1)]
    others = [settled(6, route="fast", tags=("a",)), settled(8)]
    with writing() as conn:
        ledger.settle(conn, [*mine, *others])
    rolling = ("--per", "24h", "--tokens", "10k")
    assert told("create", "all", *rolling, "--all")["spent"] == 4 * 1_250
    assert told("create", "key", *rolling, "--key", "ci")["spent"] == 2 * 1_250
    assert told("create", "tag", *rolling, "--tag", "A")["spent"] == 2 * 1_250
    assert told("create", "route", *rolling, "--route", "fast")["spent"] == 1_250
    money = told("create", "money", "--per", "24h", "--money", "1", "--all")
    assert (money["spent"], money["left"]) == (4 * COST, 10**9 - 4 * COST)
    assert money["amount"] == 10**9


def test_what_the_gateway_charges_and_holds_is_shown() -> None:
    made = told("create", "b", "--per", "hour", "--tokens", "10k", "--all")
    now = time.time_ns() // 1000
    with contextlib.closing(connection.reader(DATA / "gemgate.db")) as conn:
        (budget,) = budgets.every(conn)
    of = slot(budget, now)
    boot = identity()
    (DATA / "boots").mkdir(exist_ok=True)
    under_way = intent(boot, held=(Charged(budget.id, of, 3_000),))
    with writing() as conn:
        boots.register(conn, boot, "here", "0", now)
        ledger.open_tries(conn, [under_way])
        ledger.settle(conn, [settled(1, charged=(Charged(budget.id, of, 6_500), Charged(budget.id, 0, 9)))])
    shown = told("show", "b")
    assert (shown["spent"], shown["held"], shown["left"]) == (6_500, 3_000, 500)
    assert shown["resets_at"] == made["resets_at"] > now
    text = said("list")
    for words in ("6,500 tokens", "65%", "3,000 tokens", "500 tokens"):
        assert words in text
    # The commands and the gateway count alike.
    with contextlib.closing(connection.reader(DATA / "gemgate.db")) as conn:
        (standing,) = Budgets([budget], budgets.spends(conn)).state(now)
    assert standing.spent == shown["spent"]


def test_every_word_of_a_budget_is_kept() -> None:
    made = told(
        *("create", "b", "--money", "0.25", "--per", "month", "--project", "paid"),
        *("--zone", "Europe/Berlin", "--soft", "90%", "--allow-unpriced"),
    )
    assert {name: made[name] for name in ("scope", "of", "unit", "amount", "period", "seconds")} == {
        "scope": "project",
        "of": "paid",
        "unit": "money",
        "amount": 250_000_000,
        "period": "month",
        "seconds": 0,
    }
    assert (made["zone"], made["soft"], made["unpriced"]) == ("Europe/Berlin", 0.9, True)
    text = said("show", "b")
    assert "$0.25 per month (Europe/Berlin)" in text
    assert "-01 00:00 Europe/Berlin" in text
    assert "unpriced models pass" in text
    assert told("list") == told("show", "b")
    rolling = told("create", "r", "--tokens", "1M", "--per", "30d", "--all", "--soft", "none")
    assert (rolling["period"], rolling["seconds"], rolling["soft"], rolling["unpriced"]) == (
        "rolling",
        30 * 86_400,
        1.0,
        False,
    )
    assert "what is spent counts for 30 d" in said("show", "r")


def test_a_budget_is_changed_in_amount_and_lines_alone() -> None:
    before = told("create", "b", "--money", "50", "--per", "month", "--all")
    after = told("change", "b", "--money", "75", "--soft", "none", "--allow-unpriced")
    assert after == before | {
        "amount": 75 * 10**9,
        "left": 75 * 10**9,
        "soft": 1.0,
        "unpriced": True,
    }
    assert told("change", "b", "--refuse-unpriced")["unpriced"] is False
    assert "give --money" in fault("change", "b", "--tokens", "1M")
    assert "--soft 90%" in usage("change", "b")


def test_a_removed_budget_is_gone_from_the_list_and_frees_its_name() -> None:
    said("create", "b", "--money", "50", "--per", "month", "--all")
    assert "it had spent $0.00" in said("remove", "b")
    assert "There is no budget" in said("list")
    assert "removed" in said("list", "--all")
    assert "removed already" in fault("remove", "b")
    assert "is removed" in fault("change", "b", "--money", "1")
    assert told("create", "b", "--tokens", "5", "--per", "day", "--all")["unit"] == "tokens"


def test_gateways_are_told_of_every_change() -> None:
    def number() -> int:
        with contextlib.closing(connection.reader(DATA / "gemgate.db")) as conn:
            found: int = conn.execute("SELECT ifnull(sum(number), 0) FROM revisions").fetchone()[0]
            return found

    seen = [number()]
    for arguments in (
        ("create", "b", "--money", "50", "--per", "month", "--all"),
        ("change", "b", "--money", "60"),
        ("remove", "b"),
    ):
        said(*arguments)
        seen.append(number())
    assert seen == [0, 1, 2, 3]


def test_a_budget_of_what_does_not_exist_is_refused_with_what_does() -> None:
    rest = ("--money", "5", "--per", "day")
    assert "gemgate keys create" in fault("create", "b", *rest, "--key", "ci")
    key("laptop")
    assert "Did you mean laptop?" in fault("create", "b", *rest, "--key", "laptob")
    assert "There is fast." in fault("create", "b", *rest, "--route", "gemini-2.5-pro")
    assert "There is paid." in fault("create", "b", *rest, "--project", "free")
    said("create", "b", *rest, "--tag", "anything")
    assert "gemgate budgets change b" in fault("create", "b", *rest, "--all")
    for action in (("show", "c"), ("remove", "c"), ("change", "c", "--money", "1")):
        assert "There is b." in fault(*action)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--per", "day", "--all"), "--money 50 or --tokens 1M"),
        (("--money", "1", "--tokens", "1", "--per", "day", "--all"), "two budgets"),
        (("--money", "1", "--all"), "--per"),
        (("--money", "1", "--per", "day"), "one of --key, --tag"),
        (("--money", "1", "--per", "day", "--all", "--tag", "a"), "one of --key, --tag"),
        (("--money", "1", "--per", "year", "--all"), "hour, day, week or month"),
        (("--money", "1", "--per", "day", "--all", "--zone", "CEST2"), "no time zone"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence(arguments: tuple[str, ...], hint: str) -> None:
    assert hint in usage("create", "b", *arguments)
    assert json.loads(f"[{','.join(said('list', '--json').split())}]") == []


def test_json_of_a_list_is_one_object_a_line() -> None:
    for name in ("a", "b"):
        said("create", name, "--tokens", "5", "--per", "day", "--all")
    found = [msgspec.json.decode(line) for line in said("list", "--json").splitlines()]
    assert [one["name"] for one in found] == ["a", "b"]
