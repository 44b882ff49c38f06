"""What can be set, as frozen values, and the one SETTINGS table that is read off them.

Each field carries its kind, default and sentence; loading, the command line, the commented gemgate.toml and
docs/settings.md all come from here. Sizes are bytes, spans are seconds.
"""

from __future__ import annotations

import ipaddress
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from gemgate.config.kinds import (
    COUNT,
    FACTOR,
    FLAG,
    NAMES,
    ORIGINS,
    PATH,
    PORT,
    SHARE,
    SIZE,
    SPAN,
    TEXT,
    URL,
    Kind,
    choice,
)
from gemgate.core.quota import Limits
from gemgate.core.routes import Route

TIERS = ("free", "tier1", "tier2", "tier3")


class Secret:
    """A value that no repr, str, format or pickle shows. ``reveal`` is the only way to it."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself: for the header that goes upstream, nothing else."""
        return self.__value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__value

    def __hash__(self) -> int:
        return hash(self.__value)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _of(default: object, kind: Kind, sentence: str) -> Any:
    return field(default=default, metadata={"kind": kind, "sentence": sentence})


@dataclass(frozen=True, slots=True)
class Gateway:
    """The traffic port, and how requests are taken in."""

    host: str = _of(
        "127.0.0.1",
        TEXT,
        "Address that the traffic port listens on; one beyond loopback needs a virtual key.",
    )
    port: int = _of(8080, PORT, "Traffic port; 0 picks a free one.")
    tls_cert: Path | None = _of(None, PATH, "Certificate chain (PEM) to serve TLS with.")  # noqa: RUF009
    tls_key: Path | None = _of(None, PATH, "Private key (PEM) of the certificate.")  # noqa: RUF009
    max_body: int = _of(100 * 2**20, SIZE, "Largest body of a call; media uploads are not limited by it.")
    max_header: int = _of(64 * 2**10, SIZE, "Largest request head.")
    spool_above: int = _of(2**20, SIZE, "Bodies above this size wait in a temporary file, not in memory.")
    allowed_hosts: tuple[str, ...] = _of(
        (), NAMES, "Further Host names that clients may use, next to loopback and the host above."
    )
    cors_origins: tuple[str, ...] = _of((), ORIGINS, "Web origins whose pages may call the gateway.")
    trusted_proxies: tuple[str, ...] = _of(
        (), NAMES, "Addresses of proxies whose X-Forwarded headers are believed."
    )
    drain: float = _of(30.0, SPAN, "How long calls under way may go on when gemgate stops.")


@dataclass(frozen=True, slots=True)
class Console:
    """The administration port."""

    host: str = _of(
        "127.0.0.1", TEXT, "Address that the console listens on; one beyond loopback needs an admin token."
    )
    port: int = _of(8081, PORT, "Console port; 0 picks a free one.")
    allowed_hosts: tuple[str, ...] = _of((), NAMES, "Further Host names under which browsers may open it.")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where calls go."""

    base_url: str = _of("https://generativelanguage.googleapis.com", URL, "Where Google's API is reached.")
    credentials: str = _of(
        "own",
        choice("own", "client"),
        "own: calls use the keys of [[project]]; client: each client's own Google key is passed through.",
    )
    connect_timeout: float = _of(10.0, SPAN, "Longest wait for a connection.")
    first_byte_timeout: float = _of(120.0, SPAN, "Longest wait for the first byte of an answer.")
    stall_timeout: float = _of(120.0, SPAN, "Longest silence inside an answer.")
    total_timeout: float = _of(3600.0, SPAN, "Longest time for one try, from connection to last byte.")
    ca_file: Path | None = _of(None, PATH, "Certificates (PEM) to trust instead of the system's.")  # noqa: RUF009
    max_connections: int = _of(0, COUNT, "Most connections to the upstream at once; 0 sets no limit.")


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How firmly calls are recorded."""

    durability: str = _of(
        "process",
        choice("process", "power"),
        "What a recorded call survives: a killed process, or a power cut as well (slower).",
    )
    when_down: str = _of(
        "serve",
        choice("serve", "refuse"),
        "While the database cannot be written: serve calls and keep rows in a spill file, or refuse calls.",
    )


@dataclass(frozen=True, slots=True)
class PricesSettings:
    """Where prices come from."""

    file: Path | None = _of(None, PATH, "Price rows (JSON) that override the price book of the package.")  # noqa: RUF009


@dataclass(frozen=True, slots=True)
class Routing:
    """How another way is found for a call that its first target cannot take."""

    enabled: bool = _of(
        True, FLAG, "false: each call has one target and one try, and no quota window holds it back."
    )
    fallback: bool = _of(
        True, FLAG, "Let another model answer when the one asked for cannot; a route may say otherwise."
    )
    patience: float = _of(
        30.0, SPAN, "How long a call may look and wait for a target; nothing new begins after it."
    )
    max_patience: float = _of(
        600.0, SPAN, "The most that a client may ask for with the header x-gemgate-patience (seconds)."
    )
    margin: float = _of(
        1.0,
        SPAN,
        "Kept from the edges of quota windows for the way to Google and for unlike clocks; read at the start.",
    )
    repeats: int = _of(2, COUNT, "Most repeats of a try on the same target after a passing fault.")
    hedge: bool = _of(
        False, FLAG, "Send a second try when the first byte is later than usual; the first answer wins."
    )
    hedge_allowance: float = _of(0.05, SHARE, "Share of calls that may send such a second try.")
    signatures: str = _of(
        "replace",
        choice("replace", "refuse"),
        "A conversation with thought signatures that must leave its model: replace them as Google documents, "
        "or refuse the call.",
    )


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """How virtual keys share what they made, and how long a replaced one lives."""

    share: str = _of(
        "key",
        choice("key", "owner"),
        "Who sees the files, caches, batches and interactions that a key made: that key, or all keys of its "
        "owner.",
    )
    grace: float = _of(
        86_400.0, SPAN, "How long the old secret of a key still works after `gemgate keys rotate`."
    )


@dataclass(frozen=True, slots=True)
class BrakesSettings:
    """What is done about a key that runs away. Budgets and limits are made with `gemgate budgets` and `keys`."""

    runaway: str = _of(
        "warn",
        choice("off", "warn", "stop"),
        "A key that spends far more than is usual for it, or repeats one call again and again: let it, warn, "
        "or stop the key.",
    )
    runaway_factor: float = _of(
        10.0, FACTOR, "Times its usual spending rate at which a key counts as running away."
    )
    repeats: int = _of(
        100,
        COUNT,
        "The same call of one key more often than this in a minute counts as running away; 0: never.",
    )


@dataclass(frozen=True, slots=True)
class PayloadsSettings:
    """How much is kept of stored bodies. Whose bodies are stored is made in the API; by default nobody's."""

    max_bytes: int = _of(2**30, SIZE, "Room for all stored bodies, compressed; the oldest go first.")
    keep: float = _of(2_592_000.0, SPAN, "Longest time that a body is stored; a rule may say less.")


@dataclass(frozen=True, slots=True)
class ExportsSettings:
    """What is made of exports."""

    keep: float = _of(86_400.0, SPAN, "How long the file of an export is there to be downloaded.")


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """OpenAI's door."""

    parameters: str = _of(
        "drop",
        choice("drop", "refuse", "send"),
        "A parameter that Gemini does not have or a model refuses: drop it and say so in x-gemgate-dropped, "
        "refuse the call, or send what can be sent.",
    )


@dataclass(frozen=True, slots=True)
class Project:
    """A Google project: it owns quota, and one or more keys.

    ``limits`` are those that the file names, by model (``*`` for all others); ``spend`` is dollars for 10
    minutes of its billing account. None, and what is not named: as the tier has it.
    """

    name: str
    tier: str = "tier1"
    keys: tuple[Secret, ...] = ()
    billing_account: str = ""
    limits: tuple[tuple[str, Limits], ...] = ()
    spend: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. ``source`` is the file that was read, if any."""

    data: Path
    gateway: Gateway = Gateway()
    console: Console = Console()
    upstream: Upstream = Upstream()
    projects: tuple[Project, ...] = ()
    record: RecordSettings = RecordSettings()
    prices: PricesSettings = PricesSettings()
    routing: Routing = Routing()
    access: AccessSettings = AccessSettings()
    brakes: BrakesSettings = BrakesSettings()
    openai: OpenAISettings = OpenAISettings()
    payloads: PayloadsSettings = PayloadsSettings()
    exports: ExportsSettings = ExportsSettings()
    routes: tuple[Route, ...] = ()
    demo: bool = False
    source: Path | None = None

    @property
    def database(self) -> Path:
        """The SQLite file of the record."""
        return self.data / "gemgate.db"

    @property
    def simulated(self) -> bool:
        """Whether calls go to the simulator: asked for, or no key of ours and none of the clients' to use."""
        return self.demo or (self.upstream.credentials == "own" and not self.projects)

    @property
    def needs_key(self) -> bool:
        """Whether clients need a virtual key even while none exists: others than this machine reach the port.

        Where each client's own Google key is passed through, that key is its authority.
        """
        return self.upstream.credentials == "own" and not loopback(self.gateway.host)

    @property
    def needs_token(self) -> bool:
        """Whether the console asks for an admin token even while none exists: others than this machine reach it."""
        return not loopback(self.console.host)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the SETTINGS table. ``section`` is empty for keys at the top of the file."""

    section: str
    name: str
    kind: Kind
    default: object
    sentence: str

    @property
    def key(self) -> str:
        """The dotted key, as in ``gateway.port``."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def env(self) -> str:
        """The environment variable, as in ``GEMGATE_GATEWAY_PORT``."""
        return "GEMGATE_" + self.key.replace(".", "_").upper()


SECTIONS: dict[str, type[Any]] = {
    "gateway": Gateway,
    "console": Console,
    "upstream": Upstream,
    "routing": Routing,
    "access": AccessSettings,
    "brakes": BrakesSettings,
    "openai": OpenAISettings,
    "payloads": PayloadsSettings,
    "exports": ExportsSettings,
    "record": RecordSettings,
    "prices": PricesSettings,
}


def _rows() -> tuple[Setting, ...]:
    rows = [
        Setting("", "data", PATH, Path("gemgate-data"), "Folder of the database and everything else kept."),
        Setting("", "demo", FLAG, False, "Send calls to the built-in simulator, whatever keys there are."),
    ]
    for section, shape in SECTIONS.items():
        for one in fields(shape):
            assert one.default is not MISSING
            rows.append(
                Setting(section, one.name, one.metadata["kind"], one.default, one.metadata["sentence"])
            )
    return tuple(rows)


SETTINGS: tuple[Setting, ...] = _rows()
"""Every setting but those of ``[[project]]`` and ``[[route]]`` (see ``gemgate.config.projects`` and ``routes``)."""
