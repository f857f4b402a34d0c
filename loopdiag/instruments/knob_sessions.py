"""One connection pool a process (and loop) for all clients of a kind: aiohttp's sessions, httpx's clients, urllib3's pools and so requests' sessions.

Sessions stay what they are for cookies and headers.  Closing one leaves the shared pool open, until the process ends.
"""

from collections.abc import Callable
from typing import Any

from .knobs import Told
from .patching import original, replace

Method = Callable[..., Any]

KNOB = "shared_session"
KEPT = 500  # idle connections of urllib3's pools, which discard what is more


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch the clients' making."""
    if not values.get(KNOB):
        return
    told.seam("aiohttp.client", (KNOB,), lambda module: _aiohttp(told, module))
    for library in ("httpx", "httpx2"):
        told.seam(library + "._client", (KNOB,), lambda module: _httpx(told, module))
    told.seam("urllib3.poolmanager", (KNOB,), lambda module: _urllib3(told, module))


def _running_loop() -> Any:
    from asyncio.events import _get_running_loop

    return _get_running_loop()


# -- aiohttp


def _aiohttp(told: Told, module: Any) -> None:
    connectors: dict[Any, Any] = {}
    plain = original(module, "TCPConnector")

    def make(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            given = kwargs.get("connector")
            loop = _running_loop()
            if loop is None or (given is not None and type(given) is not plain):
                before(self, *args, **kwargs)
                return
            key = (loop, *(() if given is None else _alike(given)))
            shared = connectors.get(key)
            if shared is None or shared.closed:
                if given is not None:
                    given._force_close = (
                        given._force_close and kwargs.get("connector_owner") is not True
                    )  # of aiohttp.request, which has no choice
                connectors[key] = shared = plain() if given is None else given
            else:
                told.acted(KNOB)
            kwargs["connector"], kwargs["connector_owner"] = shared, False
            before(self, *args, **kwargs)

        return __init__

    def make_end(before: Method) -> Method:
        def __del__(self: Any, *args: Any) -> None:  # noqa: N807 - the patched method's own name
            if not any(self is connector for connector in connectors.values()):  # those nobody was to close
                before(self, *args)

        return __del__

    replace(original(module, "ClientSession"), "__init__", make)
    replace(plain.__mro__[1], "__del__", make_end)


def _alike(connector: Any) -> "tuple[Any, ...]":
    """What of a connector of the program's own must be the same for another one to stand for it."""
    tls: Any = getattr(connector, "_ssl", None)
    verifies = (tls.verify_mode, tls.check_hostname) if hasattr(tls, "verify_mode") else tls
    names = ("_limit", "_limit_per_host", "_family", "_use_dns_cache")
    return (verifies, *(getattr(connector, name, None) for name in names))


# -- httpx


def _httpx(told: Told, module: Any) -> None:
    for name in ("AsyncClient", "Client"):
        _transports(told, original(module, name), original(module, "AsyncBaseTransport" if name == "AsyncClient" else "BaseTransport"))


def _transports(told: Told, client: Any, base: Any) -> None:
    shared: dict[Any, Any] = {}

    class Shared(base):  # type: ignore[misc] # the base is only known at run time
        """A transport that its client may leave, but not close."""

        def __init__(self, transport: Any) -> None:
            self._transport, self._pool = transport, getattr(transport, "_pool", None)

        def handle_request(self, request: Any) -> Any:
            return self._transport.handle_request(request)

        async def handle_async_request(self, request: Any) -> Any:
            return await self._transport.handle_async_request(request)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            """Leave it."""

        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *_: object) -> None:
            """Leave it."""

    def make(before: Method) -> Method:
        def _init_transport(self: Any, *args: Any, **kwargs: Any) -> Any:
            if args or kwargs.get("transport") is not None:
                return before(self, *args, **kwargs)
            key = (_running_loop(), *(_plain(kwargs[name]) for name in sorted(kwargs)))
            if key in shared:
                told.acted(KNOB)
            else:
                shared[key] = before(self, **kwargs)
            return Shared(shared[key])

        return _init_transport

    replace(client, "_init_transport", make)


def _plain(value: Any) -> Any:
    """Of an argument, what two clients must have in common to share."""
    if hasattr(value, "verify_mode"):
        return ("tls", value.verify_mode, value.check_hostname)
    return value if isinstance(value, (bool, str, int, float, type(None))) else repr(value)


# -- urllib3, and so requests


def _urllib3(told: Told, module: Any) -> None:
    shared: dict[Any, Any] = {}

    def make(before: Method) -> Method:
        def __init__(self: Any, num_pools: int = 10, headers: Any = None, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            if not kwargs.get("block"):
                kwargs["maxsize"] = max(KEPT, kwargs.get("maxsize") or 1)
            before(self, num_pools, headers, **kwargs)
            key = (type(self), tuple(sorted((name, _plain(value)) for name, value in kwargs.items())))
            if key in shared:
                self.pools = shared[key]
                told.acted(KNOB)
            else:
                shared[key] = self.pools

        return __init__

    def make_clear(before: Method) -> Method:
        def clear(self: Any) -> None:
            if not any(self.pools is pools for pools in shared.values()):
                before(self)

        return clear

    owner = original(module, "PoolManager")
    replace(owner, "__init__", make)
    replace(owner, "clear", make_clear)
