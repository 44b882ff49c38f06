"""gemini-simulator: a faithful stand-in for Google's Gemini API, with quotas and scripted faults."""
