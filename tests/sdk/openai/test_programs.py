"""Popular programs on top of OpenAI's SDKs, end to end, told nothing but an address and a key.

``llm`` (the command) comes with the ``dev`` extra, and npm installs Vercel's AI SDK where it is not there yet.
OpenAI's Agents SDK and LangChain are many packages: their tests run where ``pip install -e '.[programs]'`` was done.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gemini_simulator.plan import png
from tests.sdk.openai.asking import Stage
from tests.sdk.openai.test_javascript import program
from tests.sdk.sides import CLIENT_KEY

FOLDER = Path(__file__).parent / "programs"
MODELS = """
- {model_id: flash, model_name: gemini-3.8-flash, api_base: URL, api_key_name: gemgate,
   supports_schema: true, supports_tools: true, vision: true}
- {model_id: newer, model_name: gemini-3.8-flash, api_base: URL, api_key_name: gemgate,
   supports_schema: true, supports_tools: true, vision: true, responses: true}
"""
FUNCTION = '''
def get_weather(city: str) -> str:
    """The weather of a city."""
    return "fine"
'''


@pytest.fixture(scope="module", autouse=True)
def thinking(stage: Stage) -> Iterator[None]:
    """Every model thinks, so that every call of a function is signed."""
    with stage.struck("thoughts=9"):
        yield


@pytest.fixture(scope="module")
def url(stage: Stage) -> str:
    """What a program is told as OpenAI's address."""
    return stage.gateway.url + "/openai/v1"


def run(*command: str, env: dict[str, str] | None = None, given: str = "") -> str:
    """What a program printed."""
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, input=given, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def llm(url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The command ``llm`` with two models of the gateway: by chat completions, and by responses."""
    home: Path = tmp_path_factory.mktemp("llm")
    (home / "extra-openai-models.yaml").write_text(MODELS.replace("URL", json.dumps(url)), encoding="utf-8")
    (home / "keys.json").write_text(json.dumps({"gemgate": CLIENT_KEY}), encoding="utf-8")

    def ask(*arguments: str) -> str:
        env = {"LLM_USER_PATH": str(home), "PYTHONWARNINGS": "ignore"}
        return run(sys.executable, "-m", "llm", *arguments, env=env).strip()

    return ask


@pytest.mark.parametrize("model", ["flash", "newer"])
def test_llm_streams_goes_on_and_calls_functions(llm: Any, stage: Stage, model: str) -> None:
    stage.simulator.clear()
    text = llm("-m", model, "Tell me about rivers.")
    assert text
    before = stage.gateway.calls()[-1]["input_tokens"]
    assert llm("-c", "And lakes?") != text
    assert stage.gateway.calls()[-1]["input_tokens"] > before + len(text) // 4
    said = llm("-m", model, "--functions", FUNCTION, "How is the weather in Paris?")
    assert said
    rows = stage.gateway.calls()[-2:]
    assert [row["outcome"] for row in rows] == ["ok", "ok"]
    assert rows[1]["input_tokens"] > rows[0]["input_tokens"]
    skipped = [line["signatures"]["skipped"] for line in stage.simulator.log() if "signatures" in line]
    assert not any(skipped)


def test_llm_takes_schemas_and_pictures(llm: Any, tmp_path: Path) -> None:
    picture = tmp_path / "pixel.png"
    picture.write_bytes(png(0x336699))
    town = json.loads(
        llm("-m", "newer", "--schema", "name, people int", "-a", str(picture), "Which town is it?")
    )
    assert set(town) == {"name", "people"}


@pytest.fixture(scope="module")
def ai_sdk() -> Path:
    """The folder with Vercel's AI SDK installed."""
    npm, folder = program("npm"), FOLDER / "ai"
    with (Path(tempfile.gettempdir()) / "gemgate-ai-npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "node_modules" / "ai" / "package.json").exists():
            run(npm, "--prefix", str(folder), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return folder


def test_vercels_ai_sdk(ai_sdk: Path, url: str) -> None:
    told = json.loads(run(program("node"), str(ai_sdk / "talk.mjs"), url, CLIENT_KEY))
    whole, streamed = told["whole"], told["streamed"]
    assert whole["text"]
    assert (streamed["text"], streamed["finish"]) == (whole["text"], "stop")
    assert streamed["usage"] == whole["usage"]
    assert whole["usage"]["reasoningTokens"] == 9
    assert (told["tools"]["steps"], told["streamedTools"]["steps"]) == (2, 2)
    assert told["tools"]["text"] == told["streamedTools"]["text"] != ""
    assert set(told["town"]) == {"name", "people"}
    assert told["vectors"] == [3072, 3072]


def talk(script: str, package: str, url: str) -> dict[str, Any]:
    """What a Python program tells; skips where its package is not installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install -e '.[programs]'")
    told: dict[str, Any] = json.loads(run(sys.executable, str(FOLDER / script), url, CLIENT_KEY))
    return told


def test_the_agents_sdk(url: str) -> None:
    told = talk("agents_talk.py", "agents", url)
    for way in ("chat", "responses"):
        found = told[way]
        assert found["plain"] == found["streamed"] != ""
        assert all(found[name] for name in ("helped", "later", "streamed_tools", "tokens"))
        assert found["calls"] >= 2
        assert set(found["town"]) == {"name", "people"}


def test_langchain(url: str) -> None:
    told = talk("langchain_talk.py", "langchain_openai", url)
    assert told.pop("vectors") == [16, 16]
    for way in ("chat", "responses"):
        found = told[way]
        assert found["plain"] == found["streamed"] != ""
        whole, streamed = found["usage"]
        assert whole == streamed
        assert whole["output_token_details"]["reasoning"] == 9
        assert found["turns"] == 1
        assert found["tools"]
        assert set(found["town"]) == {"name", "people"}
