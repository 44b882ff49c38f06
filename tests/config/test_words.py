"""Faults of the file that are told by what the user most likely did."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemgate.config import ConfigError, load
from gemgate.config.document import example


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 8080\n", "Did you mean gateway.port or console.port?"),
        ("[gateway]\nallowed_hosts = [\n", "close the last bracket or quote"),
    ],
)
def test_the_remedy_names_what_was_meant(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "gemgate.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {}, {"data": tmp_path})
    assert words in str(caught.value)


def test_the_example_begins_with_how_to_use_it() -> None:
    assert example().startswith("# gemgate.toml: remove the #")
