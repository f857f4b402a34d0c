"""Limits of the clients' connection pools, and how many idle connections they keep."""

from collections.abc import Callable
from typing import Any

from .knobs import Told
from .patching import original, replace

Method = Callable[..., Any]

#: of a pool that allocates its slots at once, where no limit is meant
PLENTY = 1000
KEPT_S = 15.0  # idle connections live no less than this, where they are to be kept


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch the pools' making."""
    names = tuple(name for name in ("pool_limit", "pool_limit_per_host", "keepalive") if name in values)
    told.seam("aiohttp.connector", names, lambda module: _aiohttp(told, module, values))
    told.seam("aiohttp.client", names, lambda module: _aiohttp_headers(told, module, values))
    for library in ("httpcore", "httpcore2"):
        for part, name in (("_async", "AsyncConnectionPool"), ("_sync", "ConnectionPool")):
            told.seam(f"{library}.{part}.connection_pool", names, lambda module, name=name: _httpcore(told, original(module, name), values))  # type: ignore[misc] # mypy cannot type a lambda's default
    for library in ("httpx", "httpx2"):
        told.seam(library + "._client", names, lambda module: _httpx_headers(told, module, values))
    told.seam("urllib3.connectionpool", names, lambda module: _urllib3(told, module, values))
    told.seam("urllib3.poolmanager", names, lambda module: _urllib3_hosts(told, module, values))
    told.seam("requests.sessions", names, lambda module: _requests_headers(told, module, values))


def _aiohttp(told: Told, module: Any, values: "dict[str, Any]") -> None:
    def make(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            for knob, name in (("pool_limit", "limit"), ("pool_limit_per_host", "limit_per_host")):
                if knob in values:
                    kwargs[name] = values[knob]
                    told.acted(knob)
            if "keepalive" in values:
                kwargs.pop("force_close", None)
                kept = kwargs.get("keepalive_timeout")
                if not isinstance(kept, (int, float)) or kept < KEPT_S:
                    kwargs.pop("keepalive_timeout", None)
                told.acted("keepalive")
            before(self, *args, **kwargs)

        return __init__

    replace(original(module, "BaseConnector"), "__init__", make)


def _httpcore(told: Told, pool: Any, values: "dict[str, Any]") -> None:
    def make(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            if len(args) > 2:
                told.cannot("pool_limit", "httpcore's pool was made with its limits by position")
                before(self, *args, **kwargs)
                return
            if "pool_limit" in values:
                kwargs["max_connections"] = values["pool_limit"] or None
                told.acted("pool_limit")
            if "keepalive" in values:
                kwargs["max_keepalive_connections"] = values["keepalive"] or None
                expiry = kwargs.get("keepalive_expiry")
                kwargs["keepalive_expiry"] = None if expiry is None else max(expiry, KEPT_S)
                told.acted("keepalive")
            before(self, *args, **kwargs)

        return __init__

    replace(pool, "__init__", make)


def _urllib3(told: Told, module: Any, values: "dict[str, Any]") -> None:
    def make(before: Method) -> Method:
        def __init__(self: Any, host: Any, port: Any = None, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            if "pool_limit" in values:
                kwargs["maxsize"] = values["pool_limit"] or PLENTY
                if not values["pool_limit"]:
                    kwargs["block"] = False
                told.acted("pool_limit")
            if "keepalive" in values and not kwargs.get("block"):  # a pool that blocks counts the busy ones, too
                kwargs["maxsize"] = max(values["keepalive"] or PLENTY, kwargs.get("maxsize") or 1)
                told.acted("keepalive")
            before(self, host, port, *args, **kwargs)

        return __init__

    replace(original(module, "HTTPConnectionPool"), "__init__", make)


def _urllib3_hosts(told: Told, module: Any, values: "dict[str, Any]") -> None:
    """Pools of more hosts are kept, too."""
    if "keepalive" not in values:
        return

    def make(before: Method) -> Method:
        def __init__(self: Any, num_pools: int = 10, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, max(num_pools, PLENTY), *args, **kwargs)

        return __init__

    replace(original(module, "PoolManager"), "__init__", make)


# -- requests that ask for their connection's end


def _without_close(headers: Any, told: Told) -> Any:
    if headers is not None and str(headers.get("Connection", "")).lower() == "close":
        del headers["Connection"]
        told.acted("keepalive")
    return headers


def _aiohttp_headers(told: Told, module: Any, values: "dict[str, Any]") -> None:
    if "keepalive" in values:

        def make(before: Method) -> Method:
            def _prepare_headers(self: Any, headers: Any) -> Any:
                return _without_close(before(self, headers), told)

            return _prepare_headers

        replace(original(module, "ClientSession"), "_prepare_headers", make)


def _httpx_headers(told: Told, module: Any, values: "dict[str, Any]") -> None:
    if "keepalive" in values:

        def make(before: Method) -> Method:
            def _merge_headers(self: Any, headers: Any = None) -> Any:
                return _without_close(before(self, headers), told)

            return _merge_headers

        replace(original(module, "BaseClient"), "_merge_headers", make)


def _requests_headers(told: Told, module: Any, values: "dict[str, Any]") -> None:
    if "keepalive" in values:

        def make(before: Method) -> Method:
            def prepare_request(self: Any, request: Any) -> Any:
                made = before(self, request)
                _without_close(made.headers, told)
                return made

            return prepare_request

        replace(original(module, "Session"), "prepare_request", make)
