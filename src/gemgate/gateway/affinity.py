"""Which project made what: files, caches, batches, conversations. A call that names one goes there.

Laws:

- a thing is known in memory from the moment its answer was read, and on record with the row of that answer, so
  before the client has its name;
- what memory does not know is looked up in the record once; that it is nowhere is remembered for a while;
- a thing that nobody knows pins nothing: the plan then seeks its owner;
- for a tenant (``dialects.gemini.tenancy``) a thing that is not its own does not exist: the call ends here;
- while there are tenants only a creation says whose a thing is, and no read or list moves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gemgate.core import fingerprint
from gemgate.core.call import Made
from gemgate.core.errors import Refused
from gemgate.core.routing import Pin
from gemgate.dialects.gemini import made, tenancy
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.tenancy import Sort
from gemgate.gateway import tenants
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
    """Where a thing was made, and whose it is (``tenant``, empty: nobody's); an empty project says that the record
    does not know, as of ``seen``."""

    project: str
    model: str
    seen: int = 0
    tenant: str = ""


NOWHERE = Home("", "")


class Affinity:
    """What is known of owners. Names are Google's; signatures and tokens stand as keyed hashes."""

    def __init__(self, db: Database, secret: bytes) -> None:
        self._db = db
        self._secret = secret
        self._known: dict[str, Home] = {}

    async def pins(self, ticket: Ticket, now: int) -> tuple[Pin, ...]:
        """What binds this call to a project.

        Raises Refused while the store cannot be asked and it matters, and 404 THING_NOT_FOUND for a thing that does
        not exist for the call's tenant.
        """
        bound = ticket.tenant.bound
        named = await tenants.named(ticket) if bound else tenants.NOTHING
        names = self._names(ticket, named) if bound else self._names(ticket)
        asked_for = [*names, *named.maybe]
        if not asked_for:
            return ()
        homes = await self._homes(asked_for, now, ticket)
        if bound:
            for name in named.maybe:
                if homes[name].project:
                    names.append(name)
                else:
                    del homes[name]
            tenants.check(ticket, {name: homes[name].tenant for name in names if not _is_soft(name)})
        asked = ticket.asked.model if ticket.asked is not None else ""
        return tuple(
            _pin(name, home, asked, homes) for name, home in homes.items() if not name.startswith(REQUESTED)
        )

    async def uploader(self, query: str, now: int) -> str:
        """For whom the upload was begun that this query names; empty for none that is known, or for several."""
        ids = made.upload_ids(query)
        if len(ids) != 1:
            return ""
        name = self._hashed("upload", ids[0].encode())
        return (await self.homes([name], now))[name].tenant

    async def homes(self, names: Iterable[str], now: int) -> dict[str, Home]:
        """Where each of these was made and whose it is. Raises Refused 503 while the store cannot be asked."""
        return await self._homes(list(dict.fromkeys(names)), now, None)

    async def _homes(self, names: list[str], now: int, ticket: Ticket | None) -> dict[str, Home]:
        # Read before anything is remembered: that may make others be forgotten.
        homes = {name: self._known.get(name, NOWHERE) for name in names}
        unknown = [name for name in names if self._stale(name, now)]
        if ticket is None or ticket.tenant.bound:
            # Memory may come from a time without keys, when nobody asked whose a thing is.
            unknown += [name for name, home in homes.items() if _is_nobodys(name, home)]
        if not unknown:
            return homes
        try:
            found = await self._db.run(lambda conn: affinity.find(conn, unknown))
        except Refused:
            # Nothing is learned. Where an unknown owner cannot lead a call astray, it goes on all the same.
            if ticket is None or not _may_guess(ticket, unknown):
                raise
        else:
            for name in unknown:
                project, model, tenant = found.get(name, ("", "", ""))
                if not project and homes[name].project:
                    continue  # made a moment ago: its row is not there yet
                homes[name] = Home(project, model, 0 if project else now, tenant)
                self._remember(name, homes[name])
        return homes

    def _names(self, ticket: Ticket, named: tenants.Named | None = None) -> list[str]:
        """What the call names; ``named`` is what a tenant's call was found to name."""
        match, asked = ticket.match, ticket.asked
        if match is None:
            return []
        if named is not None:
            names = list(named.things)
        else:
            # The call of every day: the path names a model, and the body nothing that belongs to a project.
            bound = (
                asked is None or asked.refers or asked.signatures or asked.continuation or "/" in asked.model
            )
            if match.generating and not bound:
                return []
            names = list(dict.fromkeys(made.refers(match, asked)))
        if asked is not None:
            tokens = dict.fromkeys((asked.continuation, *(named.tokens if named is not None else ())))
            names += [self._hashed("continuation", token) for token in tokens if token]
            signed = [self._hashed("signature", text) for text in asked.signatures]
            names += signed
            names += [_requested(name) for name in signed]
        if match.upload or named is not None:
            uploads = made.upload_ids(ticket.exchange.query)
            names += [self._hashed("upload", upload.encode()) for upload in uploads]
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
        if match is None or not (ticket.snapshot.routed or ticket.tenant):
            return
        if tenancy.deletes(match):
            self._forget(ticket, made.owner(match.resource), now)
            return
        creates = tenancy.sort(match) is Sort.MAKER
        if ticket.tenant and not creates:
            self._inherit(ticket, trial, made.proofs(match, body), now)
        elif names := made.made(match, body):
            self.learn(ticket, trial, names, now, creates=creates)
        if match.upload:
            place = next((value for name, value in headers if name == b"x-goog-upload-url"), b"")
            upload = made.upload_id(place.decode("latin-1").partition("?")[2])
            if upload:
                self.learn(ticket, trial, [self._hashed("upload", upload.encode())], now, creates=True)

    def _inherit(self, ticket: Ticket, trial: Trial, proofs: Iterable[made.Proof], now: int) -> None:
        """What a thing has brought forth (a batch its file) belongs to whom the thing belongs."""
        for proof in proofs:
            home = self._known.get(proof.name)
            if home is None or not home.tenant or home.project != trial.target.project:
                continue
            for name in proof.others:
                known = self._known.get(name)
                if known is None or not known.tenant:
                    self._keep(ticket, name, Home(home.project, "", 0, home.tenant), now)

    def found(self, ticket: Ticket, trial: Trial, now: int) -> None:
        """The owner of what the call names was sought, and this try's project has answered: it is the one."""
        self.learn(ticket, trial, [name for name in self._names(ticket) if ":" not in name], now)

    def learn(
        self, ticket: Ticket, trial: Trial, names: Iterable[str], now: int, *, creates: bool = False
    ) -> None:
        """This try's answer has shown that these things are its project's; ``creates``: it has made them."""
        project = trial.target.project
        tenant = ticket.tenant.name if creates else ""
        for name in names:
            model = trial.target.model if name.startswith(_STRICT) else ""
            known = self._known.get(name, NOWHERE)
            same = known.project == project and (bool(known.model) or not model)
            if same and (not creates or known.tenant == tenant):
                continue  # a read or a list says nothing new, least of all of the model
            self._keep(ticket, name, Home(project, model, 0, tenant if creates else known.tenant), now)

    def _keep(self, ticket: Ticket, name: str, home: Home, now: int) -> None:
        self._remember(name, home)
        expires = made.expires(name, now, paid=not ticket.snapshot.free(home.project))
        ticket.made += (Made(name, home.project, home.model, expires, home.tenant),)

    def learn_stream(self, ticket: Ticket, trial: Trial, now: int) -> None:
        """What a metered answer leaves behind: signatures, a token to go on, an interaction's id."""
        meter = trial.meter
        if meter is None or ticket.match is None or not (ticket.snapshot.routed or ticket.tenant):
            return
        of_interaction = ticket.match.reading is Reading.INTERACTION
        if not (of_interaction or meter.signatures or meter.continuation):
            return
        project, model = trial.target.project, trial.target.model
        if meter.continuation:
            name = self._hashed("continuation", meter.continuation)
            self.learn(ticket, trial, [name], now, creates=True)
        fresh = [self._hashed("signature", text) for text in meter.signatures]
        for name in fresh:
            self._remember(name, Home(project, model))
        made_now = [Made(name, project, model, now + DAY) for name in fresh]
        asked = ticket.asked.model if ticket.asked is not None else model
        for name in fresh:
            # Who asked for one model and was answered by another is not one who has changed the model.
            other = asked if asked != model else ""
            self._remember(_requested(name), Home(project, other, 0) if other else Home("", "", now))
            if other:
                made_now.append(Made(_requested(name), project, other, now + DAY))
        ticket.made += tuple(made_now)
        if of_interaction and meter.response:
            self.learn(ticket, trial, [f"interactions/{meter.response}"], now, creates=True)

    def _forget(self, ticket: Ticket, name: str, now: int) -> None:
        """The thing was deleted: its row goes with the next sweep, and says nothing until then."""
        if name:
            self._remember(name, Home("", "", now))
            ticket.made += (Made(name, "", "", now),)

    def _hashed(self, kind: str, text: bytes) -> str:
        return f"{kind}:{fingerprint.request_hash(self._secret, text) & (2**64 - 1):016x}"


def _is_nobodys(name: str, home: Home) -> bool:
    return bool(home.project) and not home.tenant and not _is_soft(name)


def _may_guess(ticket: Ticket, unknown: list[str]) -> bool:
    """Whether a call may go on without knowing whose these are."""
    return all(map(_is_soft, unknown)) or (len(ticket.snapshot.names) <= 1 and not ticket.tenant.bound)


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
