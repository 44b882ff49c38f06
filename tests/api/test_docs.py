"""The interactive documentation in a real browser: offline, without a complaint, and a call tried in it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from consoles import console, port_of
from flask.testing import FlaskClient

from gemgate.api.app import build
from gemgate.config import Settings
from gemgate.store.migrate import upgrade

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return build(Settings(data=tmp_path)).test_client()


def test_the_page_runs_what_carries_its_nonce_and_nothing_else(client: FlaskClient) -> None:
    first, second = (client.get("/api/docs") for _ in range(2))
    policy = first.headers["Content-Security-Policy"]
    (nonce,) = set(re.findall(r"'nonce-([\w-]+)'", policy))
    assert nonce not in second.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    tags = re.findall(r"<(?:script|style)[^>]*>", first.text)
    assert len(tags) == 3
    assert all(f'nonce="{nonce}"' in tag for tag in tags)
    assert not re.search(r"(src|href)=\"(?!/api/docs)", first.text)


@pytest.mark.parametrize(
    "name", ["swagger-ui.js", "../__init__.py", "%2e%2e/__init__.py", "oauth2-redirect.html"]
)
def test_nothing_else_of_the_package_is_served(client: FlaskClient, name: str) -> None:
    answer = client.get(f"/api/docs/{name}")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("docs")
    upgrade(folder / "gemgate.db")
    with console(folder, "--port", "0") as process:
        yield f"http://127.0.0.1:{port_of(process)}"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")
def test_a_call_is_tried_in_a_browser(served: str, tmp_path: Path) -> None:
    asked: list[str] = []
    said: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1400})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{served}/api/docs")
        page.locator(".btn.authorize").click()
        asking = page.locator(".auth-container h4").all_inner_texts()
        assert [text.split()[0] for text in asking] == ["token", "key"]
        page.locator(".btn-done").first.click()
        page.locator("#operations-tag-system").click()
        block = page.locator("#operations-system-get_system")
        block.locator(".opblock-summary").click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        answer = block.locator(".live-responses-table .response")
        answer.wait_for()
        assert answer.locator(".response-col_status").inner_text().startswith("200")
        assert '"versions"' in answer.locator(".response-col_description").inner_text()
        page.screenshot(path=tmp_path / "docs.png", full_page=True)
        browser.close()
    assert (tmp_path / "docs.png").stat().st_size > 10_000
    assert said == []
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {urlsplit(served).netloc}
