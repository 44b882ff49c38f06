"""Settings: what wins, which faults are named, and that no value of a secret is ever shown."""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.config import (
    SETTINGS,
    AccessSettings,
    BrakesSettings,
    ConfigError,
    Fault,
    Secret,
    Settings,
    load,
    loopback,
)
from gemgate.config.fitness import keyless, tokenless
from gemgate.config.kinds import Unfit

KEY = "AIzaSyPlantedSecretOfTheTests0123456789"


def config(folder: Path, text: str) -> Path:
    """A gemgate.toml with this text."""
    path = folder / "gemgate.toml"
    path.write_text(text, "utf-8")
    return path


def faults(folder: Path, text: str = "", env: dict[str, str] | None = None) -> list[Fault]:
    """What load has to say about this file and environment."""
    with pytest.raises(ConfigError) as caught:
        load(config(folder, text), env or {}, {})
    return caught.value.faults


def test_the_default_is_the_simulator_on_loopback(tmp_path: Path) -> None:
    settings = load(None, {}, {"data": tmp_path})
    assert settings == Settings(data=tmp_path)
    assert (settings.gateway.host, settings.gateway.port, settings.console.port) == ("127.0.0.1", 8080, 8081)
    assert settings.simulated


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, '[gateway]\nport = 1001\nmax_body = "1 MiB"\ndrain = 5\n')
    env = {"GEMGATE_GATEWAY_PORT": "1002", "GEMGATE_GATEWAY_DRAIN": "1.5 s"}
    settings = load(path, env, {"gateway.port": 1003})
    assert settings.gateway.port == 1003
    assert settings.gateway.drain == 1.5
    assert settings.gateway.max_body == 2**20
    assert load(path, env, {}).gateway.port == 1002
    assert load(path, {}, {}).gateway.port == 1001
    assert settings.source == path


def test_every_setting_can_come_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "some.pem").write_text("x", "utf-8")
    texts = {
        "text": "localhost",
        "a TCP port": "4242",
        "true or false": "yes",
        "a size": "3 MB",
        "a list of texts": "a.example, b.example",
        "a list of origins": "https://a.example,https://b.example:8443",
        "a time": "250 ms",
        "an http": "http://127.0.0.1:9/base/",
        "a whole": "7",
        "a share": "0.25",
        "a factor": "2.5",
        "the path": str(tmp_path / "some.pem"),
    }
    words = {"upstream.credentials": "client", "record.durability": "power", "record.when_down": "refuse"}
    words |= {"routing.signatures": "refuse", "access.share": "owner", "brakes.runaway": "stop"}
    words["openai.parameters"] = "send"
    env = {
        row.env: words.get(row.key)
        or next(text for start, text in texts.items() if row.kind.expected.startswith(start))
        for row in SETTINGS
        if row.key not in ("demo", "console.port")
    }
    settings = load(None, env, {})
    assert settings.gateway.port == 4242
    assert settings.gateway.max_body == 3_000_000
    assert settings.gateway.allowed_hosts == ("a.example", "b.example")
    assert settings.gateway.cors_origins == ("https://a.example", "https://b.example:8443")
    assert settings.gateway.drain == 0.25
    assert settings.upstream.base_url == "http://127.0.0.1:9/base"
    assert settings.upstream.max_connections == 7
    assert settings.prices.file == tmp_path / "some.pem"
    assert settings.record.durability == "power"
    assert (settings.routing.hedge_allowance, settings.routing.signatures) == (0.25, "refuse")
    assert settings.access == AccessSettings("owner", 0.25)
    assert settings.brakes == BrakesSettings("stop", 2.5, 7)
    assert settings.openai.parameters == "send"


def test_two_projects_with_several_keys_from_text_and_files(tmp_path: Path) -> None:
    (tmp_path / "b.key").write_text("AQ.second-key\n", "utf-8")
    path = config(
        tmp_path,
        f'[[project]]\nname = "a"\ntier = "free"\nkeys = ["{KEY}", "AIzaOther"]\n'
        '[[project]]\nname = "b"\nkey_file = "b.key"\nbilling_account = "X"\n',
    )
    settings = load(path, {}, {})
    assert [(one.name, one.tier, one.billing_account) for one in settings.projects] == [
        ("a", "free", ""),
        ("b", "tier1", "X"),
    ]
    assert [key.reveal() for one in settings.projects for key in one.keys] == [
        KEY,
        "AIzaOther",
        "AQ.second-key",
    ]
    assert not settings.simulated


def test_both_variables_form_the_default_project_in_the_order_of_the_sdks(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("AIzaFromFile\n", "utf-8")
    env = {"GEMINI_API_KEY": "AIzaGemini", "GOOGLE_API_KEY_FILE": str(tmp_path / "key")}
    (project,) = load(None, {**env, "GEMGATE_PROJECT_TIER": "tier2"}, {}).projects
    assert (project.name, project.tier) == ("default", "tier2")
    assert [key.reveal() for key in project.keys] == ["AIzaFromFile", "AIzaGemini"]


def test_one_key_under_both_variables_is_one_key() -> None:
    (project,) = load(None, {"GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": KEY}, {}).projects
    assert len(project.keys) == 1


def test_the_file_in_the_data_folder_is_found_and_its_paths_start_there(tmp_path: Path) -> None:
    config(tmp_path, '[prices]\nfile = "book.json"\n')
    (tmp_path / "book.json").write_text("[]", "utf-8")
    settings = load(None, {"GEMGATE_DATA": str(tmp_path)}, {})
    assert settings.prices.file == tmp_path / "book.json"
    assert settings.data == tmp_path


@pytest.mark.parametrize(
    ("text", "env", "key", "hint"),
    [
        ("[gateway]\nprot = 1\n", {}, "gateway.prot", "Did you mean gateway.port?"),
        ("[gatway]\nport = 1\n", {}, "gatway", "Did you mean gateway"),
        ("[gateway]\nport = '8080'\n", {}, "gateway.port", "without quotes"),
        ("[gateway]\nport = 70000\n", {}, "gateway.port", "without quotes"),
        ("[gateway]\nport = true\n", {}, "gateway.port", "without quotes"),
        ("gateway = 3\n", {}, "gateway", "Write [gateway]"),
        ("[gateway]\nmax_body = '9 horses'\n", {}, "gateway.max_body", "100 MiB"),
        ("[gateway]\ndrain = -1\n", {}, "gateway.drain", "above zero"),
        ("[gateway]\ncors_origins = ['*']\n", {}, "gateway.cors_origins", "every web page"),
        ("[gateway]\nallow_open = false\n", {}, "gateway.allow_open", "gemgate keys create"),
        ("", {"GEMGATE_GATEWAY_ALLOW_OPEN": "1"}, "GEMGATE_GATEWAY_ALLOW_OPEN", "gemgate keys create"),
        ("[access]\nshare = 'all'\n", {}, "access.share", "key, owner"),
        ("[access]\ngrace = 0\n", {}, "access.grace", "above zero"),
        ("[brakes]\nrunaway = 'kill'\n", {}, "brakes.runaway", "off, warn, stop"),
        ("[brakes]\nrunaway_factor = 1\n", {}, "brakes.runaway_factor", "10 or 2.5"),
        ("[openai]\nparameters = 'keep'\n", {}, "openai.parameters", "drop, refuse, send"),
        ("[console]\nallow_open = true\n", {}, "console.allow_open", "gemgate admin-token create"),
        ("[gateway]\nport = 9000\n[console]\nport = 9000\n", {}, "console.port", "another number"),
        ("[gateway]\ntls_cert = 'none.pem'\ntls_key = 'x'\n", {}, "gateway.tls_cert", "Correct the path"),
        ("[upstream]\nbase_url = 'ftp://x'\n", {}, "upstream.base_url", "https://host"),
        ("[upstream]\nbase_url = 'https://x/?key=1'\n", {}, "upstream.base_url", "keys belong into"),
        ("[upstream]\ncredentials = 'mine'\n", {}, "upstream.credentials", "own, client"),
        ("demo = true\n[upstream]\ncredentials = 'client'\n", {}, "demo", "never gets"),
        ("[[project]]\nkeys = ['k']\n", {}, "project[0].name", "Add name"),
        ("[[project]]\nname = 'a'\n", {}, "project[0].keys", "Keep one of"),
        ("[[project]]\nname = 'a'\nkey = 'x'\nkey_file = 'y'\n", {}, "project[0].keys", "Keep one of"),
        ("[[project]]\nname = 'a'\nkey_file = 'absent'\n", {}, "project[0].key_file", "this user can read"),
        ("[[project]]\nname = 'a'\nkeys = ['']\n", {}, "project[0].keys[0]", "Put the key there"),
        ("[[project]]\nname = 'a'\nkeys = 'x'\n", {}, "project[0].keys", "as a list"),
        ("[[project]]\nname = 'a'\nkey = 'x'\ntier = 'gold'\n", {}, "project[0].tier", "tier1"),
        ("[[project]]\nname = 'a'\nkey = 'x'\nteir = 'free'\n", {}, "project[0].teir", "project[0].tier"),
        ("[project]\nname = 'a'\nkey = 'x'\n", {}, "project", "two brackets"),
        (
            "[[project]]\nname = 'a'\nkey = 'x'\n[[project]]\nname = 'a'\nkey = 'y'\n",
            {},
            "project 'a'",
            "Rename one",
        ),
        (
            "[[project]]\nname = 'a'\nkey = 'x'\n[[project]]\nname = 'b'\nkey = 'x'\n",
            {},
            "project 'b'",
            "also in project 'a'",
        ),
        (
            "[[project]]\nname = 'default'\nkey = 'x'\n",
            {"GEMINI_API_KEY": "y"},
            "project 'default'",
            "Rename one",
        ),
        ("", {"GEMINI_API_KEY": ""}, "GEMINI_API_KEY", "Put the key there"),
        ("", {"GOOGLE_API_KEY": "a b"}, "GOOGLE_API_KEY", "Copy the key again"),
        ("", {"GEMINI_API_KEY": "x", "GEMINI_API_KEY_FILE": "y"}, "GEMINI_API_KEY", "Unset one"),
        ("", {"GEMINI_API_KEY_FILE": "/nonexistent/key"}, "GEMINI_API_KEY_FILE", "this user can read"),
        ("", {"GEMGATE_GATEWAY_PROT": "1"}, "GEMGATE_GATEWAY_PROT", "GEMGATE_GATEWAY_PORT"),
        ("", {"GEMGATE_GATEWAY_PORT": "many"}, "GEMGATE_GATEWAY_PORT", "8080"),
        ("", {"GEMGATE_PROJECT_TIER": "gold"}, "GEMGATE_PROJECT_TIER", "tier3"),
    ],
)
def test_a_fault_names_its_key_and_its_remedy(
    tmp_path: Path, text: str, env: dict[str, str], key: str, hint: str
) -> None:
    found = faults(tmp_path, text, env)
    assert key in [fault.key for fault in found]
    assert hint in " ".join(fault.remedy for fault in found if fault.key == key)


@pytest.mark.parametrize(
    ("host", "credentials", "needed"),
    [
        ("127.0.0.1", "own", False),
        ("::1", "own", False),
        ("0.0.0.0", "own", True),
        ("gemgate.example.org", "own", True),
        ("0.0.0.0", "client", False),
    ],
)
def test_a_port_that_others_reach_needs_a_key(
    tmp_path: Path, host: str, credentials: str, needed: bool
) -> None:
    text = f"[gateway]\nhost = '{host}'\n[upstream]\ncredentials = '{credentials}'\n"
    settings = load(config(tmp_path, text), {}, {"data": tmp_path})
    assert settings.needs_key is needed
    fault = keyless(settings)
    assert (fault is not None) is needed
    if fault is not None:
        assert f"gemgate keys create NAME --data {tmp_path}" in fault.remedy


@pytest.mark.parametrize(("host", "needed"), [("127.0.0.1", False), ("localhost", False), ("::", True)])
def test_a_console_that_others_reach_needs_a_token(tmp_path: Path, host: str, needed: bool) -> None:
    settings = load(config(tmp_path, f"[console]\nhost = '{host}'\n"), {}, {"data": tmp_path})
    assert settings.needs_token is needed
    fault = tokenless(settings)
    assert (fault is not None) is needed
    if fault is not None:
        assert f"gemgate admin-token create NAME --role admin --data {tmp_path}" in fault.remedy


def test_the_sections_of_keys_brakes_and_openais_door(tmp_path: Path) -> None:
    settings = load(None, {}, {"data": tmp_path})
    assert (settings.access.share, settings.access.grace) == ("key", 86_400.0)
    assert (settings.brakes.runaway, settings.brakes.runaway_factor, settings.brakes.repeats) == (
        "warn",
        10.0,
        100,
    )
    assert settings.openai.parameters == "drop"
    text = "[access]\nshare = 'owner'\ngrace = '7 d'\n[brakes]\nrunaway_factor = 3\nrepeats = 0\n"
    settings = load(config(tmp_path, text), {}, {})
    assert (settings.access.share, settings.access.grace) == ("owner", 7 * 86_400.0)
    assert (settings.brakes.runaway_factor, settings.brakes.repeats) == (3.0, 0)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "[gateway]\nport = 'x'\nprot = 1\n[record]\ndurability = 'none'\n[[project]]\nname = 1\n",
        {"GEMINI_API_KEY": " ", "GEMGATE_NONSENSE": "1"},
    )
    assert {fault.key for fault in found} == {
        "gateway.port",
        "gateway.prot",
        "record.durability",
        "project[0].name",
        "project[0].keys",
        "GEMINI_API_KEY",
        "GEMGATE_NONSENSE",
    }


def test_a_file_that_is_no_toml_or_missing_is_one_fault(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, f'[gateway]\nkey = "{KEY}\n')
    assert "line 2" in fault.remedy
    assert KEY not in str(fault)
    with pytest.raises(ConfigError, match="readable file"):
        load(tmp_path / "absent.toml", {}, {})


def test_variables_that_container_platforms_inject_are_not_taken_for_settings() -> None:
    env = {
        "GEMGATE_PORT": "tcp://10.0.0.1:80",
        "GEMGATE_SERVICE_HOST": "10.0.0.1",
        "GEMGATE_SERVICE_PORT_HTTP": "80",
        "GEMGATE_PORT_80_TCP_ADDR": "10.0.0.1",
        "GEMGATE_GATEWAY_PORT": "tcp://10.0.0.1:80",
        "GEMGATE_GATEWAY_PORT_80_TCP": "tcp://10.0.0.1:80",
    }
    assert load(None, env, {}).gateway.port == 8080


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=60))
def test_a_secret_is_in_no_repr_and_in_no_fault(tail: str) -> None:
    key = "AIza" + tail
    env = {
        "GEMINI_API_KEY": key,
        "GOOGLE_API_KEY": key + " x",
        "GEMGATE_GATEWAY_PORT": key,
        "GEMGATE_DEMO": key,
    }
    env |= {"GEMGATE_UPSTREAM_CREDENTIALS": key, "GEMGATE_UPSTREAM_BASE_URL": f"https://h/?key={key}"}
    with pytest.raises(ConfigError) as caught:
        load(None, env, {})
    assert tail not in str(caught.value)
    assert tail not in repr(caught.value.faults)
    settings = load(None, {"GEMINI_API_KEY": key}, {})
    assert settings.projects[0].keys[0].reveal() == key
    assert key not in repr(settings)
    assert key not in str(settings)
    assert key not in f"{settings.projects[0].keys[0]}"


def test_a_key_pasted_as_a_name_is_not_shown(tmp_path: Path) -> None:
    found = faults(tmp_path, f'{KEY} = "x"\n[[project]]\nname = "a"\nkey = "x"\n{KEY} = 1\n')
    assert KEY not in str(ConfigError(found))


def test_a_secret_cannot_be_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(KEY))


@given(st.from_type(object) | st.recursive(st.none() | st.booleans() | st.text() | st.floats(), st.lists))
def test_a_kind_takes_a_value_or_says_what_to_do(value: object) -> None:
    for row in SETTINGS:
        refused = pytest.raises(Unfit, match=r"\w")
        with contextlib.suppress(Unfit):
            row.kind.read(value)
            continue
        with refused:
            row.kind.read(value)


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("x", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, alone: bool) -> None:
    assert loopback(host) is alone
