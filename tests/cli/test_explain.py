"""The commands that explain: the story of a call, quota, and what a route would do, on real files."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from sampled import START, attempt, identity, intent, record
from served import environment

from gemgate.cli import checks
from gemgate.cli.checks import Level
from gemgate.cli.main import group
from gemgate.cli.outlook import when
from gemgate.config import load
from gemgate.config.running import write_running
from gemgate.core import pacific
from gemgate.core.call import Attempt, Outcome, Record, spell
from gemgate.core.health import State
from gemgate.core.quota import NEVER, Window
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store import boots, connection, ledger, migrate, quotas

COMMAND = (sys.executable, "-m", "gemgate.cli.main")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment without anything that gemgate reads."""
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gemgate` on that folder, as a user runs it."""
    return subprocess.run(
        [*COMMAND, arguments[0], "--data", str(data), *arguments[1:]],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def shown(data: Path, *arguments: str) -> str:
    """What a command that goes well prints; run in here, since a new interpreter takes its time."""
    done = CliRunner().invoke(group, [arguments[0], "--data", str(data), *arguments[1:]])
    assert (done.exception, done.exit_code, done.stderr) == (None, 0, "")
    return done.stdout


def keep(data: Path, records: Sequence[Record]) -> None:
    """Record these calls as the gateway does."""
    conn = connection.writer(data / "gemgate.db")
    conn.execute("BEGIN IMMEDIATE")
    ledger.settle(conn, records)
    conn.keep()
    conn.close()


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an empty record."""
    data = tmp_path_factory.mktemp("explain") / "data"
    migrate.upgrade(data / "gemgate.db")
    return data


FLASH, LITE = "gemini-2.5-flash", "gemini-2.5-flash-lite"


def tried(*tries: dict[str, object], **call: object) -> Record:
    """A call with these tries, one after the other at 10 ms each."""
    of = intent(identity(), model=FLASH)
    made: list[Attempt] = []
    for at, changes in enumerate(tries):
        changes = {"sent_at": START + 10_000 * at, "duration": 10_000, "usage": None, **changes}
        made.append(attempt(of, number=at + 1, **changes))
    return record(of, attempts=made, **call)


def told(data: Path, one: Record) -> str:
    """What `gemgate call` says of it."""
    keep(data, [one])
    return shown(data, "call", spell(one.call_id))


BUSY = {"verdict": Kind.BUSY, "status": 429, "reason": "quota_minute", "project": "a", "credential": "a/1"}


def test_a_call_that_went_another_way_is_told_step_by_step(blank: Path) -> None:
    text = told(
        blank,
        tried(
            BUSY | {"model": FLASH, "why": "first choice", "retry_after": 34_000_000},
            BUSY | {"model": FLASH, "project": "b", "why": "same model, next project", "waited": 1_500_000},
            {"model": LITE, "project": "b", "why": "fallback: newest flash-lite"},
            route="fast",
        ),
    )
    assert "route    fast" in text
    first, second, third = text.split("  Attempt ")[1:]
    assert first.startswith(f"1: {FLASH} on project a, credential a/1\n    why    first choice\n")
    assert "the requests of this minute are used up there; it named 34.00 s to wait" in first
    assert "then   the same model was tried on project b: attempt 2" in first
    assert "waited" not in first
    assert "waited 1.50 s before it" in second
    assert f"then   another model was tried, {LITE}: attempt 3" in second
    assert "why    fallback: newest flash-lite" in third
    assert third.rstrip().endswith("then   its answer went to the client")


def test_repeats_and_keys_are_told_apart(blank: Path) -> None:
    key = {
        "verdict": Kind.REFUSED,
        "status": 400,
        "reason": "key_invalid",
        "credential": "a/1",
        "project": "a",
    }
    text = told(
        blank,
        tried(
            key,
            {
                "verdict": Kind.BUSY,
                "status": 503,
                "reason": "overloaded",
                "credential": "a/2",
                "project": "a",
            },
            {"credential": "a/2", "project": "a"},
        ),
    )
    assert "then   another key of the same project was tried: attempt 2" in text
    assert "then   the same target was tried again: attempt 3" in text


def test_of_a_race_the_winner_is_told_and_what_the_loser_was(blank: Path) -> None:
    slow = {"verdict": Kind.CANCELLED, "status": 0, "reason": "hedged", "duration": 30_000, "estimated": True}
    fast = {"project": "b", "hedge": True, "why": "same model, next project"}
    text = told(blank, tried(slow, fast))
    first, second = text.split("  Attempt ")[1:]
    assert "the other try of the race answered first, and it was cancelled" in first
    assert "then   nothing of it was used" in first
    assert "why    same model, next project; a second try beside a slow one (hedge)" in second
    assert "then   its answer went to the client" in second
    # The first one won: nothing followed from its end.
    loser = {**slow, "project": "b", "hedge": True, "duration": 5_000}
    text = told(blank, tried({"duration": 30_000}, loser, answered=1))
    first, second = text.split("  Attempt ")[1:]
    assert "then   its answer went to the client" in first
    assert "then   nothing of it was used" in second


@pytest.mark.parametrize(
    ("tries", "call", "words"),
    [
        (
            [BUSY, BUSY | {"project": "b"}],
            {"outcome": Outcome.FAILED, "status": 429},
            "then   no other way was left: the client got status 429",
        ),
        (
            [BUSY, {"verdict": Kind.REFUSED, "status": 404, "reason": "model_unknown", "project": "b"}],
            {"outcome": Outcome.FAILED, "status": 429, "answered": 1},
            "then   the later tries brought nothing better: the client got status 429",
        ),
        (
            [{"verdict": Kind.REFUSED, "status": 400, "reason": "invalid"}],
            {"outcome": Outcome.REFUSED, "status": 400},
            "then   no other way would have helped: its answer went to the client",
        ),
        (
            [{"verdict": Kind.CUT, "status": 200, "reason": "stall_timeout"}],
            {"outcome": Outcome.CUT, "status": 200},
            "then   what had come went to the client, closed by an error",
        ),
        (
            [{"verdict": Kind.CANCELLED, "status": 0}],
            {"outcome": Outcome.CANCELLED, "status": 499},
            "then   the call ended as cancelled",
        ),
        ([], {"outcome": Outcome.REFUSED, "status": 429}, "attempts none: it never went upstream"),
        (
            [],
            {"outcome": Outcome.FAILED, "status": 429, "reason": "no_room"},
            "means    no allowed target had room",
        ),
    ],
)
def test_the_end_is_told_as_it_was(
    blank: Path, tries: list[dict[str, object]], call: dict[str, object], words: str
) -> None:
    assert words in told(blank, tried(*tries, **call))


def test_what_is_told_cannot_move_the_cursor(blank: Path) -> None:
    evil = "\x1b[31mred"
    text = told(
        blank,
        tried(
            BUSY | {"model": evil, "why": evil, "project": evil, "message": f"one\ntwo {evil}"},
            {"model": evil},
            route=evil,
        ),
    )
    assert "\x1b" not in text
    assert "said   one two" in text


SECOND = 1_000_000
CONFIG = """
[[project]]
name = "free"
tier = "tier1"
key = "a"
limits = { "gemini-2.5-flash" = { rpm = 3, tpm = 1000, rpd = 500 } }
[[project]]
name = "paid"
key = "b"
spend = 2.5
billing_account = "house"
[[route]]
name = "fast"
targets = ["gemini-2.5-flash@free", "gemini-2.5-flash-lite@paid"]
patience = "20 s"
[[route]]
name = "strict"
targets = ["gemini-2.5-flash@free"]
patience = 2
"""


@pytest.fixture
def data(tmp_path: Path, blank: Path) -> Path:
    """A data folder with two projects, two routes and an empty record."""
    shutil.copytree(blank, tmp_path, dirs_exist_ok=True)
    (tmp_path / "gemgate.toml").write_text(CONFIG, "utf-8")
    return tmp_path


def now() -> int:
    return time.time_ns() // 1000


def use(data: Path, count: int, project: str = "free", tokens: int = 100, at: int = 0) -> None:
    """So many tries of the model on record, sent now."""
    at = at or now()
    found = []
    for _ in range(count):
        of = intent(identity(), model=FLASH, received_at=at, sent_at=at, method="models.generateContent")
        one = attempt(of, project=project, usage=Usage(input=tokens), cost=None)
        found.append(record(of, one))
    keep(data, found)


def remember(data: Path, windows: Sequence[Window] = (), states: Sequence[State] = (), at: int = 0) -> None:
    """Keep state as a gateway does."""
    boot = boots.begin(data, identity())
    conn = connection.writer(data / "gemgate.db")
    conn.execute("BEGIN IMMEDIATE")
    ledger.settle(conn, [record(intent(boot.id), attempts=[])])
    quotas.keep(conn, windows, states, b'{"waiting": 2, "line": []}', boot.id, at or now())
    conn.keep()
    conn.close()
    boot.release()


def quota(data: Path, *options: str) -> str:
    return shown(data, "quota", *options)


def route(data: Path, *arguments: str) -> str:
    return shown(data, "route", *arguments)


def test_quota_counts_what_is_on_record_against_the_configuration(data: Path) -> None:
    use(data, 3)
    text = quota(data)
    (rpm,) = (line for line in text.splitlines() if " rpm " in line)
    assert rpm.split()[:6] == ["free", FLASH, "rpm", "3", "3", "file"]
    assert "in " in rpm
    (rpd,) = (line for line in text.splitlines() if " rpd " in line)
    assert rpd.split()[3:] == ["3", "500", "file", "now"]
    rows = {one["window"]: one for one in json.loads(quota(data, "--json"))["windows"]}
    assert (rows["rpm"]["used"], rows["tpm"]["used"], rows["tpm"]["limit"]) == (3, 300, 1000)
    assert rows["rpm"]["room_at"] > now()


def test_quota_shows_what_refusals_taught_and_why_a_window_is_closed(data: Path) -> None:
    midnight = pacific.next_midnight(now())
    windows = [
        Window("free", FLASH, "rpd", 20, "learned", 20, midnight, "quota_day", midnight, 0),
        Window("paid", "gemini-4-argon", "rpm", 0, "learned", 0, NEVER, "quota_zero", NEVER, 0),
    ]
    state = State(now(), "model", FLASH, "open", "overloaded", "try later\x1b[31m", now() + 9 * SECOND, 3)
    remember(data, windows, [state])
    text = quota(data)
    (day,) = (line for line in text.splitlines() if " rpd " in line)
    assert "20  learned" in day
    assert "Google refused: quota of the day" in day
    (zero,) = (line for line in text.splitlines() if "argon" in line)
    assert "never" in zero
    assert "Google allows none at all" in zero
    assert f"Resting: model {FLASH}, overloaded (try later" in text
    assert "\x1b" not in text
    found = json.loads(quota(data, "--json", "--project", "paid"))
    assert [(one["project"], one["window"]) for one in found["windows"]] == [("paid", "rpm"), ("", "spend")]
    assert found["breakers"][0]["failures"] == 3


def test_money_is_shown_as_dollars_of_the_billing_account(data: Path) -> None:
    use(data, 1, project="paid")
    (spend,) = (line for line in quota(data).splitlines() if " spend " in line)
    assert spend.split()[:2] == ["(account)", "house"]
    assert "$2.50" in spend


def test_who_reads_learns_how_old_the_state_is(data: Path) -> None:
    assert "No gateway runs on this data folder, and none has kept its state here yet." in quota(data)
    remember(data, at=now() - 7200 * SECOND)
    text = quota(data)
    assert "No gateway runs on this data folder: shown is the state of" in text
    assert "(120 min ago)" in text or "(3 h ago)" in text
    assert "wait in line" not in text
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        write_running(data, {"gateway": {"url": url}})
        assert f"The gateway runs at {url}, but its state is old" in quota(data)
        remember(data)
        fresh = quota(data)
        assert f"The gateway runs at {url}; shown is the state of" in fresh
        assert "2 calls wait in line for room." in fresh
        assert json.loads(quota(data, "--json"))["gateway"] == url
    assert "No gateway runs" in quota(data), "a port that does not answer is no gateway"


def test_a_route_shows_its_targets_in_order_with_room_and_reasons(data: Path) -> None:
    text = run(data, "route", "fast").stdout
    assert text.startswith("fast for generateContent: route fast, within 20 s\n")
    first, second = text.index(f"1. {FLASH}@free is tried first"), text.index(f"2. {LITE}@paid is tried when")
    assert first < second
    assert "rpm: 3 of 3 left (file)" in text[first:second]
    assert "spend in 10 minutes: $2.50 of $2.50 left" in text[second:]
    assert f"Now: {FLASH}@free is tried first." in text
    assert "No gateway runs" in text


def test_a_full_window_sends_the_call_on_and_a_failing_model_is_told(data: Path) -> None:
    use(data, 3)
    text = route(data, "fast")
    assert f"1. {FLASH}@free is passed over" in text
    assert "rpm: 0 of 3 left (file)" in text
    assert "(requests per minute)" in text
    assert f"Now: {LITE}@paid is tried first." in text
    state = State(now(), "model", LITE, "open", "overloaded", "busy", now() + 3000 * SECOND, 1)
    remember(data, (), [state])
    text = route(data, "fast")
    assert f"health  Resting: model {LITE}, overloaded (busy); next try in" in text
    assert f"Now: {LITE}@paid" not in text
    late = route(data, "strict")
    assert "the first target to be ready" in late
    assert f"1. {FLASH}@free is ready first, but later than the patience allows" in late
    assert "is waited for" not in late


def test_a_closed_key_bars_its_project(data: Path) -> None:
    state = State(now(), "key", "free/1", "open", "key_invalid", "", now() + 3000 * SECOND, 1)
    remember(data, (), [state])
    text = route(data, "fast")
    assert f"1. {FLASH}@free is passed over" in text
    assert "Resting: key free/1, key_invalid" in text
    assert "Make a new key" in text
    assert route(data, FLASH).count("Resting: key free/1") == 1, "said once, not for every target"


def test_a_routes_own_limits_are_those_that_the_gateway_counts(data: Path) -> None:
    more = "[[route]]\nname = 'capped'\ntargets = ['gemini-2.5-flash']\nlimits = { rpm = 30 }\n"
    (data / "gemgate.toml").write_text(CONFIG + more, "utf-8")
    full = Window("", "capped", "rpm", 30, "config", 30, 0, "", now() + 50 * SECOND)
    remember(data, [full, Window("", "capped", "rpd", used=30)])
    text = route(data, "capped")
    assert "Of the route itself: rpm: 30 of 30 left (file)" in text
    assert f"Now: {FLASH}@free is tried first." in text
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        write_running(data, {"gateway": {"url": url}})
        text = route(data, "capped")
        assert "Of the route itself: rpm: 0 of 30 left (file)\n" in text
        assert "the first target to be ready" in text
        assert "(the route's own rpm)" in text
        assert "(route)" in quota(data)


def test_a_weighted_route_says_that_its_order_is_drawn(data: Path) -> None:
    more = (
        "[[route]]\nname = 'drawn'\nbalance = 'weighted'\ntargets = ['gemini-2.5-flash', 'gemini-2.5-pro']\n"
    )
    (data / "gemgate.toml").write_text(CONFIG + more, "utf-8")
    assert "The order is drawn by weight for each call" in route(data, "drawn")
    assert "drawn by weight for each" not in route(data, "fast")


def test_what_never_fits_is_told_as_such(data: Path) -> None:
    text = route(data, "strict", "--tokens", "5000")
    assert "never (input tokens per minute)" in text
    assert "Now: the call is refused at once, since no target will ever have room for it." in text
    found = json.loads(route(data, "strict", "--tokens", "5000", "--json"))
    assert [(one["at"], one["bar"]) for one in found["targets"]] == [(None, "quota:tpm")]


def test_a_name_that_nobody_knows_is_marked(data: Path) -> None:
    assert "No route is called fasst" in route(data, "fasst")
    assert "No route is called" not in route(data, "fast") + route(data, FLASH)


def test_a_model_without_a_route_has_its_default_targets(data: Path) -> None:
    found = json.loads(route(data, FLASH, "--json"))
    assert found["route"] is None
    places = [(one["model"], one["project"]) for one in found["targets"]]
    assert places[:2] == [(FLASH, "free"), (FLASH, "paid")]
    assert len(places) > 2
    alone = json.loads(route(data, FLASH, "--fallback", "off", "--project", "paid", "--json"))
    assert [(one["model"], one["project"]) for one in alone["targets"]] == [(FLASH, "paid")]
    assert "is left out: the call forbids another model" in route(data, FLASH, "--fallback", "off")
    embedding = json.loads(route(data, "gemini-embedding-001", "--json"))
    assert embedding["method"] == "models.embedContent"
    assert {one["model"] for one in embedding["targets"]} == {"gemini-embedding-001"}


def test_a_call_that_would_be_refused_is_a_sentence(data: Path) -> None:
    done = run(data, "route", FLASH, "--project", "absent")
    assert done.returncode == 1
    assert "Such a call is refused: No project 'absent' is configured." in done.stderr
    assert "free, paid" in done.stderr


def test_without_routing_there_is_one_target(data: Path) -> None:
    (data / "gemgate.toml").write_text("[routing]\nenabled = false\n" + CONFIG, "utf-8")
    text = route(data, FLASH)
    assert "routing is off, so there is one target and one try" in text
    assert "2. " not in text
    use(data, 3)
    assert "1. gemini-2.5-flash@free is tried first" in route(data, FLASH)
    assert "Routing is off" in quota(data)


def test_a_demo_that_the_command_line_asked_for_is_seen(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        write_running(data, {"gateway": {"url": url}, "simulator": {"url": url}})
        assert f"1. {FLASH}@demo is tried first" in route(data, FLASH)


def test_the_doctor_looks_at_routes(data: Path) -> None:
    (ok,) = checks.routes(load(data / "gemgate.toml", {}, {}))
    assert (ok.level, ok.text.partition(",")[0]) == (Level.OK, "2 routes")
    (data / "gemgate.toml").write_text(CONFIG.replace("flash-lite@", "flash-light@"), "utf-8")
    (odd,) = checks.routes(load(data / "gemgate.toml", {}, {}))
    assert odd.level is Level.WARN
    assert "gemini-2.5-flash-light is not known here" in odd.text
    assert checks.routes(load(None, {}, {"data": data / "none"})) == []


def test_no_record_is_no_obstacle(tmp_path: Path) -> None:
    assert "1. gemini-2.5-flash@demo is tried first" in route(tmp_path, FLASH)
    assert "Nothing is known to be used" in quota(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "gemgate.db").write_bytes(b"not a database " * 1000)
    broken = run(tmp_path, "quota")
    assert broken.returncode == 1
    assert "cannot be read" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_the_return_of_room_is_told_in_words() -> None:
    at = now()
    assert when(0, at) == "now"
    assert when(at, at) == "now"
    assert when(NEVER, at) == "never"
    assert when(at + 11_500_000, at).startswith("in 12 s (")
