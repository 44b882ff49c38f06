"""OpenAI's dialect, translated through Gemini's JSON: requests on the way in, answers on the way out."""
