"""gemgate: a self-hosted gateway to Google's Gemini models with a complete, priced record of every call."""

__version__ = "0.1.0"
