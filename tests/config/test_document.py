"""The settings' papers say what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from gemgate.config import SETTINGS, Settings, load
from gemgate.config.document import example, markdown
from gemgate.config.running import read_running, remove_running, url_of, write_running

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_of_settings_is_made_from_the_table() -> None:
    assert PAGE.read_text("utf-8") == markdown()


def test_the_example_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gemgate.toml"
    path.write_text(example(), "utf-8")
    assert load(path, {}, {"data": tmp_path}) == Settings(data=tmp_path, source=path)


def test_the_example_uncommented_names_every_setting_with_its_default() -> None:
    lines = []
    for line in example().splitlines():
        match = re.fullmatch(r"# (\[{1,2}\w+\]{1,2}|\w+ = .*)", line)
        if match and " = …" not in line:
            lines.append(match[1])
    document = tomllib.loads("\n".join(lines))
    for row in SETTINGS:
        if row.default is None:
            assert f"# {row.name} = …" in example()
            continue
        value = (document[row.section] if row.section else document)[row.name]
        assert row.kind.read(value) == row.default, row.key


def test_the_tables_of_the_example_can_be_uncommented(tmp_path: Path) -> None:
    text = example()
    tables = text[text.index("# [[project]]") : text.index("\n\n# [gateway]")]
    lines = [re.sub("^# ", "", line) for line in tables.splitlines() if not re.match("# [A-Z]", line)]
    (tmp_path / "gemini.key").write_text("AIzaExample", "utf-8")
    path = tmp_path / "gemgate.toml"
    path.write_text("\n".join(lines), "utf-8")
    settings = load(path, {}, {})
    assert [one.name for one in settings.projects] == ["my-project"]
    assert settings.projects[0].spend == 10
    assert [one.name for one in settings.routes] == ["fast"]


def test_the_examples_of_the_page_hold(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", markdown(), re.DOTALL)
    (tmp_path / "free.key").write_text("AIzaExample", "utf-8")
    path = tmp_path / "gemgate.toml"
    path.write_text("\n".join([*blocks, "[[project]]", 'name = "paid"', 'key = "x"']), "utf-8")
    settings = load(path, {}, {})
    assert [one.name for one in settings.projects] == ["free", "paid"]
    assert [one.name for one in settings.routes] == ["fast", "shared"]


def test_parts_of_two_supervisors_share_the_file(tmp_path: Path) -> None:
    write_running(tmp_path, {"gateway": {"url": "http://127.0.0.1:1"}, "pid": 1})
    write_running(tmp_path, {"console": {"url": "http://127.0.0.1:2"}})
    assert url_of(tmp_path, "gateway") == "http://127.0.0.1:1"
    remove_running(tmp_path, ["gateway"])
    assert "gateway" not in read_running(tmp_path)
    assert url_of(tmp_path, "console") == "http://127.0.0.1:2"
    remove_running(tmp_path, ["console"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_a_damaged_file_says_that_nothing_runs(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, "latin-1")
    assert read_running(tmp_path) == {}
    assert url_of(tmp_path, "gateway") == ""
