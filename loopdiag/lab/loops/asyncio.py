"""The standard library's selector loop."""

import asyncio


class AsyncioLoop:
    """asyncio.SelectorEventLoop on the platform's best selector."""

    virtual = False

    @staticmethod
    def available() -> str | None:
        """Return None: it is always there."""
        return None

    @staticmethod
    def versions() -> dict[str, str]:
        """Return nothing: it is Python's own."""
        return {}

    @staticmethod
    def loop_factory() -> asyncio.AbstractEventLoop:
        """Make a loop."""
        return asyncio.SelectorEventLoop()
