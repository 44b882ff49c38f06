"""The papers leave nothing out, and lead nowhere that is not: links, headers of ours, commands."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from gemgate.cli import budgets, keys
from gemgate.cli.main import COMMANDS

from .source import ROOT, modules

PAPERS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# What the listening side puts in the place of an upgrade that is passed over: no client sends or gets it.
INSIDE = {"x-gemgate-offer"}
EVERYWHERE = {"--data", "--config"}


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: str(page.name))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_every_header_of_ours_stands_in_the_papers() -> None:
    ours = {name for module in modules() for name in re.findall(r"x-gemgate-[a-z]+", module.text)}
    told = {name for page in PAPERS for name in re.findall(r"x-gemgate-[a-z]+", page.read_text("utf-8"))}
    assert ours - told == INSIDE
    assert told <= ours


def test_every_command_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"| `gemgate {name}" not in readme] == []


@pytest.mark.parametrize("group", [keys.command, budgets.command], ids=["keys", "budgets"])
def test_every_option_of_keys_and_budgets_stands_on_their_page(group: click.Group) -> None:
    page = (ROOT / "docs" / "keys.md").read_text("utf-8")
    assert set(re.findall(rf"\| `gemgate {group.name} (\w+)", page)) == set(group.commands)
    options = {
        option
        for command in group.commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }
    assert sorted(one for one in options - EVERYWHERE if one not in page) == []
