"""Who answers which method: the content half and the resources half in one table."""

from __future__ import annotations

from gemini_simulator import embeddings, generate, models, resources
from gemini_simulator.http import Handler

HANDLERS: dict[str, Handler] = {
    **resources.HANDLERS,
    **generate.HANDLERS,
    **embeddings.HANDLERS,
    **models.HANDLERS,
}
