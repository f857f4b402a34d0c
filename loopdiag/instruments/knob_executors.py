"""How many threads every thread pool has, and AnyIO's default limiter."""

from collections.abc import Callable
from typing import Any

from .knobs import Told
from .patching import original, replace

Method = Callable[..., Any]


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch the pools' making; a loop's default executor is such a pool."""
    threads = values["executor"]
    told.seam("concurrent.futures.thread", ("executor",), lambda module: _pools(told, module, threads))
    told.seam("anyio._backends._asyncio", ("executor",), lambda module: _limiter(told, module, threads))


def _pools(told: Told, module: Any, threads: int) -> None:
    def make(before: Method) -> Method:
        def __init__(self: Any, max_workers: Any = None, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own names
            before(self, threads, *args, **kwargs)
            told.acted("executor")

        return __init__

    replace(original(module, "ThreadPoolExecutor"), "__init__", make)


def _limiter(told: Told, module: Any, threads: int) -> None:
    backend = original(module, "AsyncIOBackend")
    before = backend.current_default_thread_limiter  # bound to its class

    def current_default_thread_limiter(_: Any) -> Any:
        limiter = before()
        if limiter.total_tokens != threads:
            limiter.total_tokens = threads
            told.acted("executor")
        return limiter

    backend.current_default_thread_limiter = classmethod(current_default_thread_limiter)
