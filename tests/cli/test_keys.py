"""`gemgate keys` on real files: what is made, shown, changed and refused, and that no secret is kept."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import os
import re
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

import click
import pytest
from alembic import command as alembic
from alembic.config import Config
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from sampled import identity, intent, record
from served import environment, served
from sqlalchemy import create_engine

import gemgate
from gemgate.app.folder import FolderError, taken
from gemgate.app.serve import keyed
from gemgate.cli.faults import CommandFault
from gemgate.cli.keys import command as key_command
from gemgate.cli.main import group
from gemgate.cli.values import End, Label, Limit, Money, Name, Network, Period, Share, Tokens, Zone
from gemgate.config import load
from gemgate.core.access import RIGHTS, Keys
from gemgate.core.call import Outcome, spell
from gemgate.store import connection, keys, ledger, migrate, version

SOURCE = Path(gemgate.__file__).parent
SECRET = re.compile(r"sk-gemgate-[0-9A-Za-z]{43}")
NOW = 1_795_440_000_000_000
HOUR = 3_600_000_000


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working directory, and the environment without anything that gemgate reads."""
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def asked(*arguments: str) -> Result:
    """`gemgate keys` with these arguments."""
    return CliRunner().invoke(group, ["keys", *arguments])


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


def in_force() -> Keys:
    """The keys as a gateway reads them."""
    conn = connection.reader(Path("gemgate-data/gemgate.db"))
    try:
        return Keys(*keys.every(conn))
    finally:
        conn.close()


def test_a_key_is_shown_once_and_kept_as_a_hash() -> None:
    text = said("create", "ci", "--owner", "Ann Lee")
    (secret,) = SECRET.findall(text)
    assert "x-goog-api-key" in text
    assert "from now on the gateway asks every client for one" in text
    assert in_force().find(secret, NOW).owner == "Ann Lee"
    for others in (
        said("show", "ci"),
        said("list"),
        said("list", "--all", "--json"),
        said("change", "ci", "--rpm", "9"),
    ):
        assert secret not in others
        assert f"{secret[:15]}…{secret[-4:]}" in others or f"{secret[:15]}\\u2026{secret[-4:]}" in others
    part = secret.removeprefix("sk-gemgate-")[8:-8].encode()
    assert not any(part in file.read_bytes() for file in Path("gemgate-data").rglob("*") if file.is_file())


def test_what_is_made_is_for_this_user_alone() -> None:
    said("create", "ci")
    for path in (Path("gemgate-data"), Path("gemgate-data/gemgate.db")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_quiet_prints_the_secret_and_nothing_else() -> None:
    secret = said("create", "ci", "--quiet")
    assert SECRET.fullmatch(secret.strip())
    fresh = said("rotate", "ci", "--quiet")
    assert SECRET.fullmatch(fresh.strip())
    assert fresh != secret
    assert SECRET.fullmatch(told("rotate", "ci")["secret"])


def test_every_property_is_kept_and_can_be_taken_away() -> None:
    more = [
        "--owner",
        "ann@example.org",
        "--tag",
        "Team:B",
        "--tag",
        "x  y",
        "--route",
        "models/gemini-2.5-*",
    ]
    more += ["--network", "10.1.2.3/8", "--network", "::1", "--right", "shared", "--right", "unknown"]
    more += ["--rpm", "60", "--tpm", "1.5M", "--concurrency", "4", "--expires", "30d"]
    before = time.time_ns() // 1000
    made = told("create", "ci", *more)
    assert made["tags"] == ["team:b", "x y"]
    assert made["routes"] == ["gemini-2.5-*"]
    assert made["networks"] == ["10.0.0.0/8", "::1/128"]
    assert made["rights"] == ["shared", "unknown"]
    assert (made["rpm"], made["tpm"], made["concurrency"]) == (60, 1_500_000, 4)
    assert before <= made["expires_at"] - 30 * 24 * HOUR <= time.time_ns() // 1000
    assert told("change", "ci", "--tag", "c")["tags"] == ["c"]
    more = ["--owner", "none", "--tag", "none", "--route", "none", "--network", "none", "--right", "none"]
    bare = told(
        "change", "ci", *more, "--rpm", "none", "--tpm", "none", "--concurrency", "none", "--expires", "never"
    )
    kept = {"name", "state", "created_at", "secrets"}
    assert bare == {name: value for name, value in told("create", "two").items() if name != "secret"} | {
        name: made[name] for name in kept
    }


def test_a_rotated_secret_goes_on_for_its_grace_and_no_longer() -> None:
    first = told("create", "ci")["secret"]
    second = told("rotate", "ci", "--grace", "1h")["secret"]
    now = time.time_ns() // 1000
    found = in_force()
    assert found.find(first, now + HOUR // 2).name == found.find(second, now + HOUR // 2).name == "ci"
    assert [one["valid_until"] == 0 for one in told("show", "ci")["secrets"]] == [True, False]
    third = told("rotate", "ci", "--grace", "0")["secret"]
    found = in_force()
    assert found.find(third, now + 10 * 24 * HOUR).name == "ci"
    for old in (first, second):
        with pytest.raises(Exception, match="rotated"):
            found.find(old, time.time_ns() // 1000)
    assert len(told("show", "ci")["secrets"]) == 1


def test_the_grace_is_that_of_the_settings() -> None:
    Path("gemgate.toml").write_text("[access]\ngrace = '7 d'\n", "utf-8")
    said("create", "ci")
    before = time.time_ns() // 1000
    old = told("rotate", "ci")["secrets"][1]
    assert before <= old["valid_until"] - 7 * 24 * HOUR <= time.time_ns() // 1000


def test_keys_are_disabled_and_enabled_also_after_a_stop() -> None:
    secret = told("create", "ci")["secret"]
    assert told("disable", "ci")["state"] == "disabled"
    with pytest.raises(Exception, match="is disabled"):
        in_force().find(secret, time.time_ns() // 1000)
    assert "1 not in force" in said("list")
    assert "ci" in said("list", "--all")
    assert told("enable", "ci")["state"] == "in force"
    conn = connection.visitor(Path("gemgate-data/gemgate.db"))
    conn.execute("BEGIN IMMEDIATE")
    keys.stop(conn, 1, NOW, "it ran away")
    conn.execute("COMMIT")
    conn.close()
    assert "stopped, it ran away" in said("show", "ci")
    assert told("enable", "ci")["stopped_why"] == ""
    assert in_force().find(secret, time.time_ns() // 1000).name == "ci"


def test_enabling_an_expired_key_says_that_it_stays_closed() -> None:
    said("create", "ci", "--expires", "30d")
    conn = sqlite3.connect("gemgate-data/gemgate.db")
    conn.execute("UPDATE virtual_keys SET expires_at = ?", (NOW - 40 * 365 * 24 * HOUR,))
    conn.commit()
    conn.close()
    assert "--expires never" in said("enable", "ci")
    assert told("show", "ci")["state"] == "expired"


def test_names_that_are_not_there_or_taken_are_refused_with_what_to_do() -> None:
    said("create", "laptop")
    assert "gemgate keys rotate laptop" in fault("create", "laptop")
    for action in ("show", "disable", "enable", "rotate"):
        assert "Did you mean laptop?" in fault(action, "labtop")
    assert "There is laptop." in fault("show", "ci")
    assert "none stands alone" in usage("change", "laptop", "--tag", "none", "--tag", "a")
    assert "--rpm 60" in usage("change", "laptop")
    assert "up to 8 tags" in usage("change", "laptop", *(f"--tag={number}" for number in range(9)))
    assert "fits no route and no model" in said("create", "x", "--route", "gpt-*", "--route", "gemini-2.5-*")


def test_a_folder_without_a_record_is_not_made_by_looking() -> None:
    assert "There is no record" in fault("list")
    assert not Path("gemgate-data").exists()
    migrate.upgrade(Path("gemgate-data/gemgate.db"))
    assert "gemgate keys create NAME" in said("list")
    assert "gemgate keys create NAME" in fault("show", "ci")


def test_a_file_of_a_later_gemgate_is_left_alone() -> None:
    said("create", "ci")
    conn = sqlite3.connect("gemgate-data/gemgate.db")
    conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.commit()
    conn.close()
    assert "9999" in fault("create", "two")


def older() -> None:
    """Make the record one of the gemgate before keys."""
    Path("gemgate-data").mkdir(mode=0o700)
    engine = create_engine("sqlite:///gemgate-data/gemgate.db")
    settings = Config()
    settings.set_main_option("script_location", str(SOURCE / "store" / "migrations"))
    with engine.connect() as conn:
        settings.attributes["connection"] = conn
        alembic.upgrade(settings, "0002")
        conn.commit()
    engine.dispose()


def test_an_older_file_is_brought_up_to_date_unless_a_gateway_runs_on_it() -> None:
    older()
    with taken(Path("gemgate-data"), ["gateway"]):
        assert "A gateway runs on" in str(asked("create", "ci").exception)
        assert version.needs(Path("gemgate-data/gemgate.db"))
    assert told("create", "ci")["state"] == "in force"
    assert not version.needs(Path("gemgate-data/gemgate.db"))


def test_a_locked_file_is_a_sentence() -> None:
    said("create", "ci")
    holder = sqlite3.connect("gemgate-data/gemgate.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert "gemgate doctor" in fault("disable", "ci")
    holder.close()


def test_a_port_that_others_reach_does_not_open_without_a_key(tmp_path: Path) -> None:
    env = {"GEMGATE_GATEWAY_HOST": "0.0.0.0"}
    with served(tmp_path, "--gateway-port", "0", "--console-port", "0", env=env) as one:
        one.until("gateway.host")
        assert "gemgate keys create NAME" in "".join(one.lines)
        assert one.wait() == 1
    said("create", "ci", "--data", str(tmp_path / "data"))
    said("disable", "ci", "--data", str(tmp_path / "data"))
    with served(tmp_path, "--gateway-port", "0", "--console-port", "0", env=env) as one:
        assert "a virtual key as API key" in one.until("use it")


def test_an_unreadable_record_opens_no_port_to_others(tmp_path: Path) -> None:
    said("create", "ci")
    alone, open_ = (
        load(None, {"GEMGATE_GATEWAY_HOST": host}, {"data": tmp_path / "gemgate-data"})
        for host in ("127.0.0.1", "0.0.0.0")
    )
    assert keyed(alone)
    assert keyed(open_)
    Path("gemgate-data/gemgate.db").write_bytes(b"not a database " * 1000)
    assert not keyed(alone)
    with pytest.raises(FolderError, match="nobody knows the virtual keys"):
        keyed(open_)


def test_calls_are_found_by_key_tag_and_user_and_tell_whose_they_are() -> None:
    said("create", "ci")
    of = intent(identity())
    mine = record(of, key=1, user="ann", tags=("a", "team:b"), door="chat.completions")
    spent = record(intent(identity()), key=1, outcome=Outcome.REFUSED, status=402, reason="budget_spent")
    with contextlib.closing(connection.writer(Path("gemgate-data/gemgate.db"))) as conn:
        conn.execute("BEGIN IMMEDIATE")
        ledger.settle(conn, [record(intent(identity())), mine, spent])
        conn.keep()

    def calls(*arguments: str) -> list[dict[str, Any]]:
        done = CliRunner().invoke(group, ["calls", "--json", *arguments])
        assert (done.exception, done.exit_code) == (None, 0), done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    assert len(calls()) == 3
    assert len(calls("--key", "ci")) == 2
    for arguments in (("--tag", "Team:B"), ("--user", "ann"), ("--key", "ci", "--tag", "a", "--user", "ann")):
        (found,) = calls(*arguments)
        assert (found["key"], found["user"], found["tags"]) == ("ci", "ann", ["a", "team:b"])
    assert calls("--tag", "b") == []
    done = CliRunner().invoke(group, ["calls", "--key", "cy"])
    assert "There is ci." in str(done.exception)
    table = CliRunner().invoke(group, ["calls"]).stdout
    assert "team:b" in table
    story = CliRunner().invoke(group, ["call", spell(mine.call_id)]).stdout
    assert "key ci, user ann, tags a, team:b" in story
    assert "OpenAI's chat.completions" in story
    assert (
        "a budget that counts it was spent"
        in CliRunner().invoke(group, ["call", spell(spent.call_id)]).stdout
    )


def test_the_page_names_every_command_option_right_and_refusal() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text("utf-8")
    for name in ("keys", "budgets"):
        for part in importlib.import_module(f"gemgate.cli.{name}").command.commands:
            assert f"`gemgate {name} {part}" in page
    options = {
        option
        for one in key_command.commands["create"].params
        for option in one.opts
        if option.startswith("--")
    }
    for option in options - {"--data", "--config"}:
        assert f"`{option}" in page, option
    for right, allows in RIGHTS.items():
        assert f"| `{right}` | {allows} |" in page.replace("`auth_tokens`", "auth_tokens").replace(
            "`credentials`)", "credentials)"
        )
    codes = set(
        re.findall(r'"([A-Z]+_[A-Z_]+)",$', (SOURCE / "core" / "access.py").read_text("utf-8"), re.MULTILINE)
    )
    codes |= set(
        re.findall(r'_refused\(40\d, "([A-Z_]+)"', (SOURCE / "core" / "access.py").read_text("utf-8"))
    )
    assert len(codes) >= 6
    for code in codes:
        assert f"`{code}`" in page, code


@pytest.mark.parametrize("value", ["a b", "a,b", "", "x" * 65, 'a"', "a;b", "ü"])
def test_a_name_stands_in_headers(value: str) -> None:
    with pytest.raises(click.UsageError, match="is no name"):
        Name().convert(value, None, None)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Limit(), "250k", 250_000),
        (Limit(), "none", 0),
        (Tokens(), "1.5M", 1_500_000),
        (Tokens(), "1_000", 1000),
        (Money(), "50", 50 * 10**9),
        (Money(), "$0.000000001", 1),
        (Share(), "80%", 0.8),
        (Share(), "0.5", 0.5),
        (Share(), "none", 1.0),
        (Network(), "192.0.2.7", "192.0.2.7/32"),
        (Label(lower=True), " Team  B ", "team b"),
        (Period(), "month", ("month", 0)),
        (Period(), "30d", ("rolling", 30 * 86_400)),
        (Zone(), "Europe/Berlin", "Europe/Berlin"),
        (End(NOW), "12h", NOW + 12 * HOUR),
        (End(NOW), "never", 0),
        (End(NOW), "2026-12-31T00:00:00+00:00", 1_798_675_200_000_000),
    ],
)
def test_peoples_words_are_understood(kind: click.ParamType[Any], text: str, value: object) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [
        (Limit(), "0", "or none"),
        (Tokens(), "1.0000001", "250k"),
        (Tokens(), "0", "250k"),
        (Money(), "0", "50 or 0.25"),
        (Money(), "-1", "50 or 0.25"),
        (Money(), "fifty", "50 or 0.25"),
        (Share(), "120%", "80%"),
        (Share(), "0", "80%"),
        (Network(), "10.0.0.0/99", "10.0.0.0/8"),
        (Period(), "30s", "from 1m to 366d"),
        (Period(), "year", "from 1m to 366d"),
        (Zone(), "berlin", "Europe/Berlin"),
        (Zone(), "Europe/Berln", "Europe/Berlin"),
        (End(NOW), "2020-01-01", "is past"),
        (End(NOW), "soon", "30d"),
        (Label(), "a,b", "without commas"),
    ],
)
def test_other_words_are_refused_with_what_would_do(kind: click.ParamType[Any], text: str, hint: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        kind.convert(text, None, None)
    assert hint in caught.value.message


@given(st.text(max_size=80))
def test_no_word_breaks_a_reader(text: str) -> None:
    for kind in (Name(), Label(), Limit(), Tokens(), Money(), Share(), Network(), Period(), Zone(), End(NOW)):
        try:
            value = kind.convert(text, None, None)
        except click.UsageError:
            continue
        assert value is not None


def test_a_day_ends_with_itself() -> None:
    midnight = datetime.datetime(2027, 1, 1).astimezone()
    assert End(NOW).convert("2026-12-31", None, None) == int(midnight.timestamp()) * 1_000_000
