"""The async call path: composes, decides nothing."""
