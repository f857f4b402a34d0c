"""uvloop: the loop on libuv."""

import asyncio
from importlib.metadata import version
from importlib.util import find_spec


class UvloopLoop:
    """uvloop.Loop."""

    virtual = False

    @staticmethod
    def available() -> str | None:
        """Return None, or that uvloop is not installed."""
        return None if find_spec("uvloop") else "uvloop is not installed; pip install uvloop"

    @staticmethod
    def versions() -> dict[str, str]:
        """Return uvloop's version."""
        return {"uvloop": version("uvloop")}

    @staticmethod
    def loop_factory() -> asyncio.AbstractEventLoop:
        """Make a loop."""
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
