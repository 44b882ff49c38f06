"""Whose things a call may touch: every method of the inventory, sorted by what it does to the things of tenants.

A thing belongs to a name: to the virtual key whose call has made it (``key:7``), or to nobody. Whose things a call
sees is another matter, settled anew for every call by the keys and settings in force: those of its own key, those of
all keys of its owner, or everything.

Laws:

- a thing belongs to the key whose call has made it, for as long as it is: no read and no list ever changes that, and
  neither does another owner of the key or another setting of what keys share;
- what the call may not see, what nobody made (before there were keys, or outside) and what is unknown are alike:
  for this call they do not exist, and nothing is asked of Google;
- a method that the table does not name is treated like a path outside the inventory: only a right opens it.

Which methods need a right besides is told by ``core.access.needed``.
"""

from __future__ import annotations

import enum

import msgspec

from gemgate.dialects.gemini.methods import Match


class Tenant(msgspec.Struct, frozen=True):
    """For whom a call acts.

    ``name`` gets what the call makes; ``spaces`` are the names whose things it sees and uses, None for everything
    (no keys are in force, or the key has the right ``shared``). It is false where no keys are in force.
    """

    name: str = ""
    spaces: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.name)

    @property
    def bound(self) -> bool:
        """Whether things are kept apart for this tenant at all."""
        return self.spaces is not None

    def sees(self, owner: str) -> bool:
        """Whether it may see and use what belongs to ``owner`` (empty: to nobody)."""
        return self.spaces is None or owner in self.spaces


ANYBODY = Tenant()
"""Who calls while no keys are in force."""


class Sort(enum.StrEnum):
    """What a method does to things of tenants."""

    OPEN = "open"  # touches none but those that its body names
    THING = "thing"  # reads, changes, deletes or uses the thing in its path, or what lives inside of it
    LIST = "list"  # lists things: only the tenant's own are shown
    MAKER = "maker"  # makes a thing, which becomes the tenant's
    UNTOLD = "untold"  # nobody can say what it touches: only behind the right ``unknown``


# Each line is a collection of methods, then what can be done with it.
_OPEN = """
auth_tokens. create
decisions. create
dynamic. generateContent streamGenerateContent
models. list get generateContent streamGenerateContent countTokens embedContent batchEmbedContents predict
models. generateAnswer generateMessage generateText countMessageTokens countTextTokens embedText batchEmbedText
openai. chat.completions embeddings models.list models.get images.generations
. BidiGenerateContent BidiGenerateContentConstrained BidiGenerateMusic
"""
_THINGS = """
agents. get delete
batches. get delete cancel updateEmbedContentBatch updateGenerateContentBatch
cachedContents. get patch delete
corpora. get delete operations.get
corpora.permissions. create list get patch delete
credentials. get delete update
environments. get delete files.get files.upload
fileSearchStores. get delete importFile operations.get upload.operations.get
fileSearchStores.documents. list get delete
files. get delete download
generatedFiles. operations.get
interactions. get delete cancel
media. uploadToFileSearchStore download
models. operations.get
openai. videos.get batches.get
triggers. get delete update executions.create executions.list
tunedModels. get patch delete generateContent streamGenerateContent generateText transferOwnership
tunedModels. operations.list operations.get
tunedModels.permissions. create list get patch delete
voices. get delete
webhooks. get delete update ping rotateSigningSecret
"""
_LISTS = """
agents. list
batches. list
cachedContents. list
corpora. list
credentials. list
environments. list
fileSearchStores. list
files. list
generatedFiles. list
models. operations.list
triggers. list
tunedModels. list
voices. list
webhooks. list
"""
_MAKERS = """
agents. create
cachedContents. create
corpora. create
credentials. create
environments. create
fileSearchStores. create
files. register
interactions. create
media. upload
models. batchGenerateContent asyncBatchEmbedContent predictLongRunning
openai. videos.create batches.create
triggers. create
tunedModels. create batchGenerateContent asyncBatchEmbedContent
voices. create
webhooks. create
"""


def _table() -> dict[str, Sort]:
    table = {"unknown": Sort.UNTOLD}
    for text, sort in ((_OPEN, Sort.OPEN), (_THINGS, Sort.THING), (_LISTS, Sort.LIST), (_MAKERS, Sort.MAKER)):
        for row in text.strip().split("\n"):
            head, *words = row.split()
            table |= {(head + word).removeprefix("."): sort for word in words}
    return table


SORTS = _table()
"""The sort of every method id of the inventory, and of ``unknown``."""
# Bodies of media pass through unread, whatever their size. They name nothing.
_MEDIA = frozenset({"media.upload", "media.uploadToFileSearchStore", "environments.files.upload"})


def sort(match: Match | None) -> Sort:
    """The sort of the method that was matched; None is a path outside the inventory."""
    return Sort.UNTOLD if match is None else SORTS.get(match.method, Sort.UNTOLD)


def reads(match: Match) -> bool:
    """Whether the body of this method must be read before it goes to Google on a tenant's behalf."""
    return match.method not in _MEDIA


def deletes(match: Match) -> bool:
    """Whether a good answer means that the thing in the path is gone, with all that lives inside of it."""
    return match.method.endswith(".delete") and match.resource.count("/") == 1
