"""What there is of each kind, and what is unavailable here, and why: `loopdiag list`."""

from collections.abc import Iterator
from importlib import import_module

#: kind → where its registry stands
REGISTRIES = {
    "clients": "loopdiag.lab.clients:CLIENTS",
    "loops": "loopdiag.lab.loops:LOOPS",
    "servers": "loopdiag.lab.servers:SERVERS",
    "profilers": "loopdiag.lab.probes:PROBES",
    "causes": "loopdiag.causes:CAUSES",
    "formats": "loopdiag.report:FORMATS",
}


def parts(kind: str) -> Iterator[tuple[str, str | None]]:
    """Each part of one kind, and why it is unavailable here; None where it is available."""
    if kind == "probes":
        yield from _instruments()
        kind = "profilers"
    module, _, attribute = REGISTRIES[kind].partition(":")
    registry = getattr(import_module(module), attribute)
    for name in registry:
        yield name, _unavailable(registry, name)


def _instruments() -> Iterator[tuple[str, str | None]]:
    """The injected instruments; one is of use only where the library that it watches is installed."""
    from importlib.util import find_spec

    from loopdiag.instruments.bootstrap import INSTRUMENTS

    for library, name, _level in INSTRUMENTS:
        package = library.partition(".")[0]
        yield name, None if find_spec(package) is not None else f"{package} is not installed"


def _unavailable(registry: object, name: str) -> str | None:
    try:
        part = registry[name]  # type: ignore[index] # a Registry of any kind
        available = getattr(part, "available", None)
        return available() if available is not None else None
    except ImportError as error:
        return f"not installed: {error.name}"
