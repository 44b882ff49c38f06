"""The settings as documents: docs/settings.md and the commented gemgate.toml, both made from the tables."""

from __future__ import annotations

from pathlib import Path

from gemgate.config.projects import DEFAULT_PROJECT, KEY_VARIABLES, PROJECT
from gemgate.config.settings import SECTIONS, SETTINGS, Setting

_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def shown(row: Setting) -> str:
    """A default as TOML would have it; empty when there is none."""
    value = row.default
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if row.kind.expected.startswith("a size") and isinstance(value, int):
        unit = next(((size, name) for size, name in _UNITS if value % size == 0), (1, "B"))
        return f'"{value // unit[0]} {unit[1]}"'
    if isinstance(value, float):
        return f'"{value:g} s"'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f'"{value.as_posix() if isinstance(value, Path) else value}"'


def markdown() -> str:
    """The text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made from the SETTINGS table by `python -m gemgate.config.document`; a test compares the two.",
        "",
        "A setting comes from (the last one wins): its default; `gemgate.toml` (`--config`, or the one in",
        "the data folder, or in the working directory); its environment variable; the command line. In the",
        "environment, lists are separated by commas, and `GEMGATE_CONFIG` names the file as `--config` does.",
        "",
    ]
    for section in ["", *SECTIONS]:
        lines += [f"## {f'[{section}]' if section else 'Top of the file'}", "", *_HEAD]
        for row in SETTINGS:
            if row.section == section:
                default = f"`{shown(row)}`" if shown(row) else "none"
                lines.append(
                    f"| `{row.name}` | `{row.env}` | {row.kind.expected} | {default} | {row.sentence} |"
                )
        lines.append("")
    lines += [
        "## [[project]]",
        "",
        "One table for each Google project. Give its keys in one way: `key`, `keys`, `key_file` or",
        f"`key_files`. {' and '.join(f'`{name}`' for name in KEY_VARIABLES)} (or the same with `_FILE`,",
        f"naming a file) form the project `{DEFAULT_PROJECT}` beside those of the file, in this order:",
        "that of Google's SDKs.",
        "",
        *_HEAD,
    ]
    for field in PROJECT:
        env = f"`{field.env}`" if field.env else ""
        default = f"`{field.default}`" if field.default else "none"
        lines.append(f"| `{field.name}` | {env} | {field.kind.expected} | {default} | {field.sentence} |")
    return "\n".join(lines) + "\n"


_HEAD = ("| key | environment | value | default | |", "|---|---|---|---|---|")


def example() -> str:
    """A gemgate.toml in which everything is a comment: it sets nothing until a line is uncommented."""
    introduction = [
        "# gemgate.toml: remove the # before a line to set it. The values shown are the defaults.",
        "# Faults are listed all at once at the start; `gemgate doctor` checks this file and the keys.",
        "",
    ]
    lines = [
        "# Keys may also come from the environment (GEMINI_API_KEY) or, better, from files.",
        "# [[project]]",
        '# name = "my-project"',
        '# tier = "tier1"                # free, tier1, tier2 or tier3',
        '# key_file = "gemini.key"       # or key = "…", or several: keys = ["…"], key_files = ["…"]',
        '# billing_account = ""',
    ]
    for section in ["", *SECTIONS]:
        # Keys without a section must stand above the first table; TOML would give them to it otherwise.
        block = [f"# [{section}]"] if section else []
        for row in SETTINGS:
            if row.section == section:
                block += [f"# {row.sentence}", f"# {row.name} = {shown(row) or '…'}"]
        lines = [*block, "", *lines] if not section else [*lines, "", *block]
    return "\n".join([*introduction, *lines]) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
