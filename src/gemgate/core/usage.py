"""Tokens of one try, as Google counts them.

Google's two usage shapes (``usageMetadata`` of generateContent, ``usage`` of interactions) both become a
``Usage``; pricing and the ledger know only this one.
"""

from __future__ import annotations

import msgspec


class Detail(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one modality other than text: ``side`` is input, cached, output or tool."""

    side: str
    modality: str
    tokens: int


class Usage(msgspec.Struct, frozen=True):
    """Token counts. ``input`` includes ``cached``; ``output`` excludes ``thoughts``; ``tool`` is tool-use prompt.

    ``searches`` counts Google Search queries made for grounding, ``grounded`` says that the answer was
    grounded in the web at all (older models bill the prompt, newer ones the query), ``maps`` counts Maps queries.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    thoughts: int = 0
    tool: int = 0
    details: tuple[Detail, ...] = ()
    searches: int = 0
    grounded: bool = False
    maps: int = 0

    @property
    def total(self) -> int:
        """What Google calls ``totalTokenCount``: cached tokens are part of the input, so not added again."""
        return self.input + self.output + self.thoughts + self.tool
