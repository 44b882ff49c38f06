"""Every reason that the record can hold has a remedy, and what remedies name is there."""

from __future__ import annotations

import importlib
import re

import click
import pytest

from gemgate.cli.main import COMMANDS
from gemgate.core.actions import RULES
from gemgate.core.remedies import REMEDIES, remedy

from .source import ROOT
from .test_codes import told

ENDED = {"client_left", "hedged", "interrupted"}
"""Reasons that are neither a verdict on Google's answer nor a refusal."""
COMMAND = re.compile(r"`gemgate ([^`]+)`")
SETTING = re.compile(r"\b(?:gateway|upstream|openai|routing)\.(?!md\b)[a-z_]+\b")


@pytest.mark.parametrize("reason", sorted(RULES))
def test_every_verdict_has_a_remedy(reason: str) -> None:
    assert remedy(reason)


@pytest.mark.parametrize("code", sorted({code for code, _ in told()}))
def test_every_refusal_has_a_remedy(code: str) -> None:
    assert remedy(code) == REMEDIES[code.lower()]


def test_no_remedy_is_for_what_cannot_be() -> None:
    assert set(REMEDIES) == set(RULES) | {code.lower() for code, _ in told()} | ENDED


@pytest.mark.parametrize("sentence", sorted(set(REMEDIES.values())))
def test_a_remedy_is_a_sentence_that_names_what_is_there(sentence: str) -> None:
    assert sentence[0].isupper() or sentence[0] == "`"
    assert sentence.endswith(".")
    for words in COMMAND.findall(sentence):
        name, *rest = words.split()
        assert name in COMMANDS, words
        command = importlib.import_module(f"gemgate.cli.{name}").command
        if isinstance(command, click.Group):
            command = command.commands[rest[0]]
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        assert {word for word in rest if word.startswith("--")} <= options, words
    settings = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name in SETTING.findall(sentence):
        section, _, key = name.partition(".")
        assert f"`{key}`" in settings or f"`{name}`" in settings, name
        assert section in settings
