"""What projects keep at Google: files, caches, batches, interactions and their sisters; and the OpenAI layer."""

from __future__ import annotations

from gemini_simulator.http import Handler
from gemini_simulator.resources import (
    auth_tokens,
    batches,
    borrowed,
    caches,
    decisions,
    environment_files,
    executions,
    files,
    interactions,
    openai_chat,
    openai_media,
    operations,
    platform,
    stores,
    tuned,
    videos,
)

HANDLERS: dict[str, Handler] = {
    **files.HANDLERS,
    **caches.HANDLERS,
    **batches.HANDLERS,
    **operations.HANDLERS,
    **videos.HANDLERS,
    **tuned.HANDLERS,
    **borrowed.HANDLERS,
    **stores.HANDLERS,
    **interactions.HANDLERS,
    **decisions.HANDLERS,
    **platform.HANDLERS,
    **executions.HANDLERS,
    **environment_files.HANDLERS,
    **auth_tokens.HANDLERS,
    **openai_chat.HANDLERS,
    **openai_media.HANDLERS,
}
