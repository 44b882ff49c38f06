"""Which project made what: files, caches, batches, conversations. A call that names one goes there.

Laws:

- a thing is known in memory from the moment its answer was read, and on record with the row of that answer, so
  before the client has its name;
- what memory does not know is looked up in the record once; that it is nowhere is remembered for a while;
- a thing that nobody knows pins nothing: the plan then seeks its owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gemgate.core import fingerprint
from gemgate.core.call import Made
from gemgate.core.errors import Refused
from gemgate.core.routing import Pin
from gemgate.dialects.gemini import made
from gemgate.dialects.gemini.methods import Reading
from gemgate.gateway.headers import Headers
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.store import affinity
from gemgate.store.database import Database

MOST = 50_000  # names held in memory
UNKNOWN = 60 * 1_000_000  # µs for which a miss is believed
DAY = 86_400 * 1_000_000
REQUESTED = "requested:"
_STRICT = ("cachedContents/", "tunedModels/", "interactions/", "continuation:")


def _is_soft(name: str) -> bool:
    """Whether a call may go elsewhere with this thing."""
    return name.startswith(("signature:", REQUESTED))


class Home(NamedTuple):
    """Where a thing was made; an empty project says that the record does not know, as of ``seen``."""

    project: str
    model: str
    seen: int = 0


NOWHERE = Home("", "")


class Affinity:
    """What is known of owners. Names are Google's; signatures and tokens stand as keyed hashes."""

    def __init__(self, db: Database, secret: bytes) -> None:
        self._db = db
        self._secret = secret
        self._known: dict[str, Home] = {}

    async def pins(self, ticket: Ticket, now: int) -> tuple[Pin, ...]:
        """What binds this call to a project. Raises Refused while the store cannot be asked and it matters."""
        names = self._names(ticket)
        if not names:
            return ()
        # Read before anything is remembered: that may make others be forgotten.
        homes = {name: self._known.get(name, NOWHERE) for name in names}
        unknown = [name for name in names if self._stale(name, now)]
        if unknown:
            try:
                found = await self._db.run(lambda conn: affinity.find(conn, unknown))
            except Refused:
                # Nothing is learned. Where an unknown owner cannot lead a call astray, it goes on all the same.
                if len(ticket.snapshot.names) > 1 and not all(map(_is_soft, unknown)):
                    raise
            else:
                for name in unknown:
                    project, model = found.get(name, ("", ""))
                    homes[name] = Home(project, model, 0 if project else now)
                    self._remember(name, homes[name])
        asked = ticket.asked.model if ticket.asked is not None else ""
        return tuple(
            _pin(name, home, asked, homes) for name, home in homes.items() if not name.startswith(REQUESTED)
        )

    def _names(self, ticket: Ticket) -> list[str]:
        match, asked = ticket.match, ticket.asked
        if match is None:
            return []
        # The call of every day: the path names a model, and the body nothing that belongs to a project.
        bound = asked is None or asked.refers or asked.signatures or asked.continuation or "/" in asked.model
        if match.generating and not bound:
            return []
        names = list(dict.fromkeys(made.refers(match, asked)))
        if asked is not None:
            if asked.continuation:
                names.append(self._hashed("continuation", asked.continuation))
            signed = [self._hashed("signature", text) for text in asked.signatures]
            names += signed
            names += [_requested(name) for name in signed]
        upload = made.upload_id(ticket.exchange.query) if match.upload else ""
        if upload:
            names.append(self._hashed("upload", upload.encode()))
        return names

    def _stale(self, name: str, now: int) -> bool:
        home = self._known.get(name)
        return home is None or (not home.project and now - home.seen > UNKNOWN)

    def _remember(self, name: str, home: Home) -> None:
        if len(self._known) >= MOST:
            for old in list(self._known)[: MOST // 10]:
                del self._known[old]
        self._known[name] = home

    def read(self, ticket: Ticket, trial: Trial, headers: Headers, body: bytes, now: int) -> None:
        """Learn from a good answer of a call that costs no tokens; ``body`` is decoded."""
        match = ticket.match
        if match is None or not ticket.snapshot.routed:
            return
        names = list(made.made(match, body))
        if match.upload:
            place = next((value for name, value in headers if name == b"x-goog-upload-url"), b"")
            upload = made.upload_id(place.decode("latin-1").partition("?")[2])
            if upload:
                names.append(self._hashed("upload", upload.encode()))
        if names:
            self.learn(ticket, trial, names, now)

    def found(self, ticket: Ticket, trial: Trial, now: int) -> None:
        """The owner of what the call names was sought, and this try's project has answered: it is the one."""
        self.learn(ticket, trial, [name for name in self._names(ticket) if ":" not in name], now)

    def learn(self, ticket: Ticket, trial: Trial, names: Iterable[str], now: int) -> None:
        """This try's answer has shown that these things are its project's."""
        fresh = []
        project = trial.target.project
        paid = not ticket.snapshot.free(project)
        for name in names:
            model = trial.target.model if name.startswith(_STRICT) else ""
            known = self._known.get(name)
            if known is not None and known.project == project and (known.model or not model):
                continue  # a read or a list says nothing new, least of all of the model
            home = Home(project, model)
            self._remember(name, home)
            fresh.append(Made(name, project, model, made.expires(name, now, paid=paid)))
        if fresh:
            ticket.made += tuple(fresh)

    def learn_stream(self, ticket: Ticket, trial: Trial, now: int) -> None:
        """What a metered answer leaves behind: signatures, a token to go on, an interaction's id."""
        meter = trial.meter
        if meter is None or ticket.match is None or not ticket.snapshot.routed:
            return
        of_interaction = ticket.match.reading is Reading.INTERACTION
        if not (of_interaction or meter.signatures or meter.continuation):
            return
        project, model = trial.target.project, trial.target.model
        fresh = [self._hashed("signature", text) for text in meter.signatures]
        if meter.continuation:
            fresh.append(self._hashed("continuation", meter.continuation))
        for name in fresh:
            self._remember(name, Home(project, model))
        made_now = [Made(name, project, model, now + DAY) for name in fresh]
        asked = ticket.asked.model if ticket.asked is not None else model
        for name in fresh[: len(meter.signatures)]:
            # Who asked for one model and was answered by another is not one who has changed the model.
            other = asked if asked != model else ""
            self._remember(_requested(name), Home(project, other, 0) if other else Home("", "", now))
            if other:
                made_now.append(Made(_requested(name), project, other, now + DAY))
        ticket.made += tuple(made_now)
        if of_interaction and meter.response:
            self.learn(ticket, trial, [f"interactions/{meter.response}"], now)

    def forget(self, name: str) -> None:
        """The thing was deleted."""
        self._known.pop(name, None)

    def _hashed(self, kind: str, text: bytes) -> str:
        return f"{kind}:{fingerprint.request_hash(self._secret, text) & (2**64 - 1):016x}"


def _requested(name: str) -> str:
    """The name under which the model stands that was asked for when a signature was made."""
    return REQUESTED + name.partition(":")[2]


def _pin(name: str, home: Home, asked: str, homes: Mapping[str, Home]) -> Pin:
    if name.startswith("signature:"):
        before = homes.get(_requested(name), NOWHERE).model
        # A client that now asks for another model means it: the signatures are foreign there.
        model = home.model if asked in (home.model, before) else ""
        return Pin("the conversation's thought signatures", home.project, model, "signatures")
    if name.startswith("continuation:"):
        return Pin("the continuation token", home.project, home.model, "strict")
    if name.startswith("upload:"):
        return Pin("the upload", home.project, "", "project")
    return Pin(name, home.project, home.model, "strict" if name.startswith(_STRICT) else "project")
