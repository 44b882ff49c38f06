"""OpenAI's Responses API, on Google's interactions where answers are stored, else on generateContent."""

from gemgate.dialects.openai.responses.entry import read

__all__ = ["read"]
