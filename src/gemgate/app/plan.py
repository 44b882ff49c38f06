"""What `gemgate serve` runs, decided from the settings alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gemgate.app.child import Child
from gemgate.config import Settings, loopback

GATEWAY, CONSOLE, SIMULATOR = "gateway", "console", "simulator"

STEADY = 60.0  # seconds that a child must have run for its earlier deaths to be forgotten
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


@dataclass(slots=True)
class Role:
    """One process to keep running. ``port`` is what it is told, or has told us once it is ready."""

    name: str
    module: str
    arguments: tuple[str, ...]
    host: str
    port: int
    scheme: str = "http"
    environment: Mapping[str, str] = field(default_factory=dict)
    child: Child | None = None
    ready: bool = False
    deaths: int = 0
    started_at: float = 0.0
    again_at: float | None = None
    stop_by: float | None = None

    @property
    def url(self) -> str:
        """Where it answers, as this machine reaches it."""
        host = self.host if loopback(self.host) else reachable(self.host)
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def command(self) -> list[str]:
        """Its arguments, port included."""
        return [*self.arguments, "--port", str(self.port)]


def reachable(host: str) -> str:
    """The address at which a listener on ``host`` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound


def roles(settings: Settings, parts: Sequence[str], simulator_port: int) -> dict[str, Role]:
    """The processes to run for these parts, in the order in which they start.

    The gateway comes first: it is what callers wait for. The simulator's port is chosen before, so that both
    start at once.
    """
    shared: tuple[str, ...] = ("--data", str(settings.data))
    if settings.source is not None:
        shared = ("--config", str(settings.source), *shared)
    found: dict[str, Role] = {}
    if GATEWAY in parts:
        gateway = settings.gateway
        simulated = ("--upstream", f"http://127.0.0.1:{simulator_port}", "--demo-key")
        found[GATEWAY] = Role(
            GATEWAY,
            "gemgate.gateway.process",
            shared + (simulated if settings.simulated else ()),
            gateway.host,
            gateway.port,
            "https" if gateway.tls_cert else "http",
        )
        if settings.simulated:
            found[SIMULATOR] = Role(
                SIMULATOR, "gemini_simulator.main", ("--stop-with-parent",), "127.0.0.1", simulator_port
            )
    if CONSOLE in parts:
        console = settings.console
        found[CONSOLE] = Role(CONSOLE, "gemgate.api.process", shared, console.host, console.port)
    return found


def pause(deaths: int) -> float:
    """Seconds to wait before a child is started again after so many deaths in a row."""
    return float(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(deaths - 1, 20)))


def banner(settings: Settings, found: dict[str, Role], version: str, *, keyed: bool = False) -> list[str]:
    """The five lines that say what runs, where, with which upstream, where data is, and how to use it.

    ``keyed`` says that virtual keys exist, so that clients need one.
    """
    names = [name for name in (GATEWAY, CONSOLE, SIMULATOR) if name in found]
    where = "   ".join(f"{name} {found[name].url}" for name in (GATEWAY, CONSOLE) if name in found)
    return [
        f"gemgate {version} runs: {', '.join(names)}",
        f"  where     {where}",
        f"  upstream  {_upstream(settings, found)}",
        f"  data      {settings.data.absolute()}",
        f"  use it    {_usage(settings, found, keyed=keyed)}",
    ]


def _upstream(settings: Settings, found: dict[str, Role]) -> str:
    if GATEWAY not in found:
        return "none: no gateway here"
    if SIMULATOR in found:
        why = "asked for with --demo" if settings.demo else "no Google key is configured"
        return f"*** THE SIMULATOR, NOT GOOGLE ({why}): every answer is made up ***"
    if settings.upstream.credentials == "client":
        return f"{settings.upstream.base_url} with each client's own key"
    keys = sum(len(project.keys) for project in settings.projects)
    projects = ", ".join(project.name for project in settings.projects)
    return f"{settings.upstream.base_url} with {keys} {'key' if keys == 1 else 'keys'} of {projects}"


def _usage(settings: Settings, found: dict[str, Role], *, keyed: bool) -> str:
    if GATEWAY not in found:
        return f"open {found[CONSOLE].url}"
    if settings.upstream.credentials == "client":
        key = "your own API key" + (", and a virtual key as x-gemgate-key" if keyed else "")
    else:
        key = "a virtual key as API key" if keyed else "any API key"
    return f"export GOOGLE_GEMINI_BASE_URL={found[GATEWAY].url}   (then any Gemini SDK, with {key})"
