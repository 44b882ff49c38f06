"""The models: what each can do, what it is called, and which one really answers today."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from gemini_simulator.http import ApiError
from gemini_simulator.world import World

FILE = Path(__file__).with_name("catalog.json")
BETA_ONLY = ("gemini-flash-latest", "gemini-flash-lite-latest", "gemini-pro-latest")
DEFAULT_MODEL = "gemini-3.8-flash"


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the catalogue; limits in tokens, speed in seconds and tokens per second.

    ``prices`` are dated rows in dollars per million tokens, ``from`` (included) to ``until`` (not included).
    """

    id: str
    kind: str = "text"
    family: str = ""
    aliases: tuple[str, ...] = ()
    released: str = ""
    shutdown: str = ""
    routed_from: str = ""
    routed_to: str = ""
    input_limit: int = 131_072
    output_limit: int = 8_192
    methods: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    level: str = ""
    budget: bool = False
    cache_min: int = 2_048
    free: dict[str, Any] = field(default_factory=dict)
    tier1: dict[str, Any] = field(default_factory=dict)
    prices: tuple[dict[str, Any], ...] = ()
    dimensions: int = 0
    first_token_s: float = 1.0
    tokens_per_s: float = 150.0

    @property
    def generation(self) -> int:
        """The leading figure of a Gemini version (4, 3, 2), 0 for other families."""
        head = self.id.removeprefix("gemini-")[:1]
        return int(head) if self.id.startswith("gemini-") and head.isdigit() else 0

    @property
    def thinks(self) -> bool:
        """Whether the model can spend thinking tokens."""
        return bool(self.levels) or self.budget

    @property
    def signs(self) -> bool:
        """Whether a function call must come back with its thought signature."""
        return self.generation >= 3 and self.thinks


def load() -> dict[str, Model]:
    """The catalogue that comes with the package: id or alias -> model."""
    entries = msgspec.json.decode(FILE.read_bytes(), type=dict[str, list[dict[str, Any]]])["models"]
    known: dict[str, Model] = {}
    for entry in entries:
        model = msgspec.convert(entry, Model)
        for name in (model.id, *model.aliases):
            known[name] = model
    return known


def listed(world: World) -> list[Model]:
    """The models that models.list shows today, each once."""
    today = world.clock.pacific_date()
    models: dict[str, Model] = world.catalog
    own = [
        model for name, model in models.items() if name == model.id and model.kind not in ("palm", "agent")
    ]
    return [model for model in own if not model.shutdown or model.shutdown > today]


def find(world: World, name: str, version: str, method: str) -> Model:
    """The model that clients call ``name``.

    Raises ApiError 404 as Google does for one that is unknown, shut down, not offered under this API version, or
    unable to do ``method``.
    """
    model: Model | None = world.catalog.get(name.removeprefix("models/"))
    today = world.clock.pacific_date()
    gone = model is None or (model.shutdown != "" and model.shutdown <= today)
    beta = version == "v1" and name.removeprefix("models/") in BETA_ONLY
    if model is None or gone or beta or (method and method not in model.methods):
        raise missing(name, version, method)
    return model


def missing(name: str, version: str, method: str) -> ApiError:
    """Google's 404 for a model."""
    full = name if name.startswith("models/") else f"models/{name}"
    return ApiError(
        404,
        f"{full} is not found for API version {version}, or is not supported for "
        f"{method or 'generateContent'}. "
        "Call ModelService.ListModels to see the list of available models and their supported methods.",
    )


def served(world: World, model: Model) -> Model:
    """The model that really answers for ``model`` by the clock's date in California."""
    today = world.clock.pacific_date()
    while model.routed_to and model.routed_from <= today:
        model = world.catalog[model.routed_to]
    return model


def names_of(world: World, name: str) -> set[str]:
    """Every name under which a fault rule may mean the model that clients call ``name``: as asked, its id, and the id
    of the one that answers for it."""
    plain = name.removeprefix("models/")
    model: Model | None = world.catalog.get(plain)
    return {plain} if model is None else {plain, model.id, served(world, model).id}


def card(model: Model) -> dict[str, Any]:
    """The entry of models.list and models.get."""
    made: dict[str, Any] = {
        "name": f"models/{model.id}",
        "version": model.id.split("-")[1] if model.generation else "001",
        "displayName": model.id.replace("-", " ").title(),
        "description": f"Simulated stand-in for {model.id}.",
        "inputTokenLimit": model.input_limit,
        "outputTokenLimit": model.output_limit,
        "supportedGenerationMethods": list(model.methods),
    }
    if "generateContent" in model.methods:
        made |= {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2}
    if model.thinks:
        made["thinking"] = True
    return made
