"""The settings as documents: docs/settings.md and the commented gemgate.toml, both made from the tables."""

from __future__ import annotations

from pathlib import Path

from gemgate.config.kinds import SPAN
from gemgate.config.limits import LIMITS
from gemgate.config.projects import DEFAULT_PROJECT, KEY_VARIABLES, PROJECT
from gemgate.config.routes import ROUTE, TARGET, WHEN
from gemgate.config.settings import SECTIONS, SETTINGS, Setting
from gemgate.config.tables import Field

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
    if isinstance(value, float) and row.kind is SPAN:
        hours = value > 3600 and value % 3600 == 0
        return f'"{value / 3600:g} h"' if hours else f'"{value:g} s"'
    if isinstance(value, int | float):
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
        "A gemgate that runs reads the file again when it changes, or at SIGHUP. Hosts, ports and the data folder",
        "stay as they are until a restart.",
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
    return "\n".join([*lines, *_projects(), *_routes()]) + "\n"


def _projects() -> list[str]:
    return [
        "## [[project]]",
        "",
        "One table for each Google project. Give its keys in one way: `key`, `keys`, `key_file` or",
        f"`key_files`. {' and '.join(f'`{name}`' for name in KEY_VARIABLES)} (or the same with `_FILE`,",
        f"naming a file) form the project `{DEFAULT_PROJECT}` beside those of the file, in this order:",
        "that of Google's SDKs.",
        "",
        *_HEAD,
        *(
            f"| `{field.name}` | {f'`{field.env}`' if field.env else ''} | {field.kind.expected} "
            f"| {f'`{field.default}`' if field.default else 'none'} | {field.sentence} |"
            for field in PROJECT
        ),
        "",
        "`limits` is a table by model, in which `*` stands for every other model. What it does not name is as",
        "Google's tier has it, or as Google's refusals teach. 0 means none at all.",
        "",
        *_example(_PROJECT_LIMITS),
        "",
        *_fields(LIMITS),
        "",
    ]


def _routes() -> list[str]:
    return [
        "## [[route]]",
        "",
        "A route is a name that clients use as a model, and the targets behind it. One that is named like a",
        "model takes the place of that model's own way. A target is `model` (on every project) or",
        "`model@project`, or a table `[[route.target]]` where it needs more.",
        "",
        *_example(_ROUTE),
        "",
        *_fields(ROUTE),
        "",
        "`limits = { rpm = 60, tpm = 100000 }` on a route holds back its own calls, to whatever target they go:",
        "at most so many requests and input tokens a minute. Either may be left out.",
        "",
        "The keys of `[[route.target]]`:",
        "",
        *_fields(TARGET),
        "",
        "The keys of `when`, for a route or one of its targets:",
        "",
        *_fields(WHEN),
    ]


def _fields(fields: tuple[Field, ...]) -> list[str]:
    rows = [
        f"| `{one.name}` | {one.kind.expected} | {f'`{one.default}`' if one.default else 'none'} | {one.sentence} |"
        for one in fields
    ]
    return ["| key | value | default | |", "|---|---|---|---|", *rows]


def _example(lines: tuple[str, ...]) -> list[str]:
    return ["```toml", *lines, "```"]


_PROJECT_LIMITS = (
    "[[project]]",
    'name = "free"',
    'tier = "free"',
    'key_file = "free.key"',
    'limits = { "gemini-2.5-flash" = { rpm = 10, tpm = 250000, rpd = 500 }, "*" = { rpm = 5 } }',
)
_ROUTE = (
    "[[route]]",
    'name = "fast"',
    'targets = ["gemini-2.5-flash", "gemini-2.5-flash-lite@free"]',
    'patience = "10 s"',
    "",
    "[[route]]",
    'name = "shared"',
    'balance = "weighted"',
    "",
    "[[route.target]]",
    'model = "gemini-2.5-flash"',
    "weight = 3",
    "",
    "[[route.target]]",
    'model = "gemini-2.5-pro"',
    'projects = ["paid"]',
    "when = { tools = true }",
)
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
        '# billing_account = "my-billing" # projects that share one share its spending limit',
        "# spend = 10                    # most dollars in 10 minutes; without it, the tier's",
        '# limits = { "gemini-2.5-flash" = { rpm = 10, tpm = 250000, rpd = 500 }, "*" = { rpm = 5 } }',
        "",
        "# A name that clients use as a model, and the targets behind it: model, or model@project.",
        "# [[route]]",
        '# name = "fast"',
        '# targets = ["gemini-2.5-flash", "gemini-2.5-flash-lite@my-project"]',
        '# balance = "ordered"           # or "weighted", with a weight for each [[route.target]]',
        "# fallback = true               # false: only the first target, whatever happens to it",
        '# patience = "30 s"',
        '# when = { methods = ["generate"], media = ["image"] }',
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
