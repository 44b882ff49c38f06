"""`gemgate prices`."""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import click

from gemgate.cli.faults import CommandFault
from gemgate.cli.options import common, settings_of
from gemgate.cli.screen import Column, screen, table
from gemgate.cli.shown import Day, dollars
from gemgate.config import Settings
from gemgate.config.book import load_book
from gemgate.core.pacific import day_of, midnight
from gemgate.core.pricing import BadBook, Price, PriceBook, Rates
from gemgate.store import stored_prices, version
from gemgate.store.connection import reader, reading


@click.command("prices")
@common
@click.option("--at", type=Day(), metavar="DATE", help="The book as it is on this day, like 2026-12-01.")
@click.option("--model", metavar="TEXT", help="Only models whose name contains this.")
@click.option("--tier", metavar="TEXT", help="Only this service tier. Default in the table: standard.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, all tiers, nano-dollars.")
def command(data: Path | None, config: Path | None, **more: Any) -> None:
    """Show the price book in force.

    Prices are dollars for a million tokens. They change at midnight in California. Rows of your own come from
    the file that prices.file names, or were added through the API. A narrow terminal leaves columns out; --json
    has everything.
    """
    book = _book(settings_of(config, data))
    day: datetime.date | None = more["at"]
    at = midnight(day) if day else time.time_ns() // 1000
    tier = more["tier"] or ("" if more["as_json"] else "standard")
    found = chosen(book, at, more["model"] or "", tier)
    if not found:
        raise CommandFault("No price matches. Leave --model and --tier out to see all of them.")
    if more["as_json"]:
        for price in found:
            click.echo(json.dumps(as_object(price)))
        return
    out = screen()
    out.print(table(_COLUMNS, _rows(book, found, at), out.width))
    out.print(
        f"In force on {day_of(at)} (Pacific), book as of {book.as_of}. Empty: not known, or no rate apart."
    )


def chosen(book: PriceBook, at: int, model: str, tier: str) -> list[Price]:
    """The rows in force whose model contains ``model`` and whose tier is ``tier``; empty means any."""
    name = book.resolve(model) if model else ""
    return [
        price
        for price in book.in_force(at)
        if (model in price.model or price.model == name) and tier in ("", price.tier)
    ]


def as_object(price: Price) -> dict[str, object]:
    """A price for programs: rates in nano-dollars for a million tokens, days in California."""
    return {
        "id": price.id,
        "model": price.model,
        "tier": price.tier,
        "from": _day(price.since),
        "until": _day(price.until),
        "rates": _rates(price.rates),
        "long_rates": _rates(price.long) if price.long else None,
        "search": price.search,
        "search_per": price.search_per,
        "maps": price.maps,
        "units": price.units,
        "as_of": price.as_of,
        "source": price.source,
    }


def _book(settings: Settings) -> PriceBook:
    """The book as a gateway has it, with what is stored where there is a record."""
    try:
        if version.found(settings.database) != version.HEAD:
            return load_book(settings.prices.file)
        with contextlib.closing(reader(settings.database)) as conn, reading(conn):
            return stored_prices.in_force(conn, settings.prices.file)
    except sqlite3.Error as error:
        raise CommandFault(
            f"{settings.database} cannot be read: {error}. `gemgate doctor` looks at it closer."
        ) from None
    except BadBook as error:
        raise CommandFault(f"The price book cannot be used: {error}") from None
    except OSError as error:
        raise CommandFault(f"{settings.prices.file} cannot be read: {error.strerror}.") from None


def _rates(rates: Rates) -> dict[str, int]:
    found = {name: getattr(rates, name) for name in Rates.__struct_fields__}
    return {name: value for name, value in found.items() if value is not None}


def _day(micros: int | None) -> str | None:
    return None if micros is None else day_of(micros).isoformat()


_COLUMNS = (
    Column("model", folds=True),
    Column("tier", leaves=1),
    Column("input", right=True),
    Column("cached", right=True),
    Column("output", right=True),
    Column("input > 200k", right=True, leaves=2),
    Column("output > 200k", right=True, leaves=2),
    Column("audio input", right=True, leaves=3),
    Column("image output", right=True, leaves=4),
    Column("until"),
    Column("answered by", folds=True, leaves=1),
)


def _rows(book: PriceBook, found: list[Price], at: int) -> list[list[str]]:
    rows = []
    for price in found:
        rates, long = price.rates, price.long or Rates()
        routed = book.routed(price.model, at)
        amounts = (
            rates.input,
            rates.cached,
            rates.output,
            long.input,
            long.output,
            rates.input_audio,
            rates.output_image,
        )
        money = ["" if nano is None else dollars(nano) for nano in amounts]
        rows.append(
            [
                price.model,
                price.tier,
                *money,
                _day(price.until) or "",
                routed if routed != price.model else "",
            ]
        )
    return rows
