"""The handlers of models.list and models.get, of predict, and of the deprecated methods of the PaLM days."""

from __future__ import annotations

import base64
from typing import Any

from gemini_simulator import catalog, embeddings, messages, prose, tokens
from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.plan import png

PALM_DIMENSIONS = 768
DEFAULT_PAGE = 50


async def list_models(request: Request) -> Reply:
    """models.list, in pages. Raises ApiError 400 for a page token that is not ours."""
    cards = [catalog.card(model) for model in catalog.listed(request.world)]
    size = request.query.get("pageSize") or request.query.get("page_size") or str(DEFAULT_PAGE)
    token = request.query.get("pageToken") or request.query.get("page_token") or ""
    if not size.lstrip("-").isdigit() or int(size) < 0:
        raise ApiError(400, f"Invalid value at 'page_size' (TYPE_INT32), \"{size}\"")
    start = _page_start(token)
    end = start + min(int(size) or DEFAULT_PAGE, 1000)
    answer: dict[str, Any] = {"models": cards[start:end]}
    if end < len(cards):
        answer["nextPageToken"] = base64.urlsafe_b64encode(f"models:{end}".encode()).decode()
    return Reply(answer)


def _page_start(token: str) -> int:
    if not token:
        return 0
    try:
        kind, _, start = base64.urlsafe_b64decode(token).decode().partition(":")
    except ValueError:
        kind, start = "", ""
    if kind != "models" or not start.isdigit():
        raise ApiError(400, "Invalid page token.")
    return int(start)


async def get_model(request: Request) -> Reply:
    """models.get, under the name that was asked."""
    name = request.params["model"]
    model = catalog.find(request.world, name, request.version, "")
    return Reply(catalog.card(model) | {"name": f"models/{name}"})


async def predict(request: Request) -> Reply:
    """models.predict: pictures, as Imagen answers."""
    catalog.find(request.world, request.params["model"], request.version, "predict")
    body = messages.read("PredictRequest", await request.json())
    instances = body.get("instances") or []
    if (
        not isinstance(instances, list)
        or not instances
        or not all(isinstance(one, dict) for one in instances)
    ):
        raise ApiError(400, "* PredictRequest.instances: instances is not specified\n")
    parameters = body.get("parameters") or {}
    number = parameters.get("sampleCount") or 1 if isinstance(parameters, dict) else 0
    if not isinstance(number, int) or not 1 <= number <= 4:
        raise ApiError(400, "sampleCount must be between 1 and 4.")
    dice = prose.Dice(f"{request.world.seed}:{instances[0].get('prompt', '')}")
    await request.world.clock.sleep(4.0)
    return Reply(
        {
            "predictions": [
                {
                    "mimeType": "image/png",
                    "bytesBase64Encoded": base64.b64encode(png(dice.below(1 << 24))).decode(),
                }
                for _ in range(number)
            ]
        }
    )


async def _palm(request: Request, kind: str) -> dict[str, Any]:
    """The body of an old request, its model checked."""
    method = request.method.rpartition(".")[2]
    catalog.find(request.world, request.params["model"], request.version, method)
    return messages.read(kind, await request.json())


def _prompt(body: dict[str, Any]) -> str:
    text: str = (body.get("prompt") or {}).get("text", "")
    if not text:
        raise ApiError(400, "* GenerateTextRequest.prompt: prompt is not specified\n")
    return text


def _says(request: Request, about: str) -> str:
    return "".join(prose.pieces(f"{request.world.seed}:palm:{about}", 0, 32))


async def generate_text(request: Request) -> Reply:
    """models.generateText."""
    body = await _palm(request, "GenerateTextRequest")
    text = _prompt(body)
    number = max(1, min(int(body.get("candidateCount", 1)), 8))
    return Reply({"candidates": [{"output": _says(request, f"{text}:{at}")} for at in range(number)]})


async def embed_text(request: Request) -> Reply:
    """models.embedText."""
    body = await _palm(request, "EmbedTextRequest")
    return Reply({"embedding": {"value": embeddings.vector(body.get("text", ""), PALM_DIMENSIONS)}})


async def batch_embed_text(request: Request) -> Reply:
    """models.batchEmbedText."""
    body = await _palm(request, "BatchEmbedTextRequest")
    texts = body.get("texts") or [one.get("text", "") for one in body.get("requests") or []]
    return Reply({"embeddings": [{"value": embeddings.vector(text, PALM_DIMENSIONS)} for text in texts]})


async def count_text_tokens(request: Request) -> Reply:
    """models.countTextTokens."""
    return Reply({"tokenCount": tokens.of_text(_prompt(await _palm(request, "CountTextTokensRequest")))})


def _said(body: dict[str, Any]) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = (body.get("prompt") or {}).get("messages") or []
    if not said or not all("content" in one for one in said):
        raise ApiError(400, "* MessagePrompt.messages: messages is not specified\n")
    return [
        {"author": one.get("author") or str(at % 2), "content": one["content"]} for at, one in enumerate(said)
    ]


async def generate_message(request: Request) -> Reply:
    """models.generateMessage."""
    said = _said(await _palm(request, "GenerateMessageRequest"))
    answer = {"author": str(len(said) % 2), "content": _says(request, said[-1]["content"])}
    return Reply({"candidates": [answer], "messages": said})


async def count_message_tokens(request: Request) -> Reply:
    """models.countMessageTokens."""
    said = _said(await _palm(request, "CountMessageTokensRequest"))
    return Reply({"tokenCount": sum(tokens.of_text(one["content"]) for one in said)})


async def generate_answer(request: Request) -> Reply:
    """models.generateAnswer."""
    body = await _palm(request, "GenerateAnswerRequest")
    contents = body.get("contents") or []
    if not contents:
        raise ApiError(400, "* GenerateAnswerRequest.contents: contents is not specified\n")
    text = _says(request, embeddings.words(contents[-1]))
    answer = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0}
    return Reply({"answer": answer, "answerableProbability": 0.75})


HANDLERS: dict[str, Handler] = {
    "models.list": list_models,
    "models.get": get_model,
    "models.predict": predict,
    "models.generateText": generate_text,
    "models.embedText": embed_text,
    "models.batchEmbedText": batch_embed_text,
    "models.countTextTokens": count_text_tokens,
    "models.generateMessage": generate_message,
    "models.countMessageTokens": count_message_tokens,
    "models.generateAnswer": generate_answer,
}
