"""Make ``catalog.json`` from a facts file about Google's models: ``python catalog_build.py FACTS.json``.

The catalogue is what the simulator knows of each model; the facts file stays outside of the package.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

CATALOG = Path(__file__).with_name("catalog.json")

# Seconds to the first token and tokens per second: public measurements, or a likely figure for the rest.
SPEED = {
    "gemini-4-argon": (3.0, 150),
    "gemini-3.1-pro": (7.6, 122),
    "gemini-3.5-flash": (1.0, 180),
    "gemini-3-flash": (1.1, 218),
    "gemini-3.1-flash-lite": (1.4, 337),
    "gemini-2.5-flash-lite": (0.35, 199),
    "gemini-2.5-flash": (0.49, 200),
    "gemini-2.5-pro": (2.0, 75),
}
EMBEDDING = {"gemini-embedding-001": 3072, "gemini-embedding-2": 3072, "text-embedding-004": 768}
METHODS = {
    "embedding": ["embedContent", "batchEmbedContents", "countTokens", "asyncBatchEmbedContent"],
    "video": ["predictLongRunning"],
    "live": ["bidiGenerateContent"],
    "agent": [],
    "imagen": ["predict"],
    "image": ["generateContent", "countTokens", "batchGenerateContent", "predict"],
}
PALM = {
    "text-bison-001": ["generateText", "countTextTokens"],
    "chat-bison-001": ["generateMessage", "countMessageTokens"],
    "embedding-gecko-001": ["embedText", "batchEmbedText", "countTextTokens"],
    "aqa": ["generateAnswer"],
}


def date_of(text: Any) -> str | None:
    """The first YYYY-MM-DD in ``text``, if any."""
    found = re.search(r"\d{4}-\d{2}-\d{2}", str(text or ""))
    return found.group(0) if found else None


def family(model: str) -> str:
    """The quota family: previews and special builds share the bucket of their model."""
    return re.sub(r"-(preview|customtools|001)(?=-|$)", "", model)


def methods(fact: dict[str, Any]) -> list[str]:
    """What the model can do, in the words of supportedGenerationMethods."""
    kind = "imagen" if fact["id"].startswith("imagen") else fact["kind"]
    if kind in METHODS:
        return METHODS[kind]
    known = list(fact["methods"] or ["generateContent", "countTokens", "batchGenerateContent"])
    caches = not fact["id"].startswith(("gemini-4", "gemma")) and kind == "text"
    for name in ("batchGenerateContent", *(["createCachedContent"] if caches else [])):
        if name not in known:
            known.append(name)
    return known


def prices(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The dated rows of a price list, dollars per million tokens, without what is not known."""
    names = {"from": "from", "until_excl": "until", "input": "input", "input_audio": "audio", "output": "output",
             "cached_input": "cached"}  # fmt: skip
    made = []
    for row in rows:
        kept = {short: row[name] for name, short in names.items() if row.get(name) is not None}
        long = row.get("over_200k") or {}
        over = {names[name]: price for name, price in long.items() if name in names and price is not None}
        made.append(kept | ({"over": over} if over else {}))
    return [row for row in made if "input" in row]


def entry(fact: dict[str, Any]) -> dict[str, Any]:
    """One model of the catalogue."""
    dates, thinking = fact["dates"] or {}, fact["thinking"] or {}
    model, free, paid = fact["id"], fact["free_tier"], fact["tier1"]
    first, rate = next((SPEED[name] for name in SPEED if model.startswith(name)), (1.2, 180))
    shutdown = date_of(dates.get("shutdown")) or ("2026-10-22" if fact["status"] == "shut_down" else None)
    made = {
        "id": model,
        "aliases": fact["aliases"],
        "kind": fact["kind"],
        "family": family(model),
        "released": date_of(dates.get("released")),
        "shutdown": shutdown,
        "routed_from": date_of(dates.get("routed_from")),
        "routed_to": dates.get("routed_to"),
        "input_limit": fact["input_token_limit"] or 131072,
        "output_limit": fact["output_token_limit"] or (1 if fact["kind"] == "embedding" else 8192),
        "methods": methods(fact),
        "levels": thinking.get("levels"),
        "level": thinking.get("default"),
        "budget": bool(thinking.get("budget")),
        "cache_min": fact["implicit_cache_min_tokens"],
        "free": {"available": free.get("available"), "rpm": free.get("rpm"), "tpm": free.get("tpm_input"),
                 "rpd": free.get("rpd")},
        "tier1": {"rpm": paid.get("rpm"), "tpm": paid.get("tpm_input"), "rpd": paid.get("rpd")},
        "prices": prices(fact["prices_usd_per_mtok"] or []),
        "dimensions": EMBEDDING.get(model),
        "first_token_s": first,
        "tokens_per_s": rate,
    }  # fmt: skip
    if model.startswith("gemini-3.1-pro") and not made["levels"]:
        made["levels"] = ["low", "medium", "high"]
    return {name: value for name, value in made.items() if value not in (None, [], False, {})}


def main() -> None:
    """Read the facts named on the command line, write the catalogue."""
    facts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["models"]
    models = [entry(fact) for fact in facts if fact["status"] != "unknown"]
    for model, can in PALM.items():
        models.append({"id": model, "kind": "palm", "family": model, "methods": can, "input_limit": 8192,
                       "output_limit": 1024, "first_token_s": 0.5, "tokens_per_s": 100})  # fmt: skip
    lines = ",\n".join(" " + json.dumps(model) for model in models)
    CATALOG.write_text('{"models": [\n' + lines + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
