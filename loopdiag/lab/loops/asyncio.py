"""The standard library's selector loop."""

import asyncio

from loopdiag.lab.loops import BuiltIn


class AsyncioLoop(BuiltIn):
    """asyncio.SelectorEventLoop on the platform's best selector."""

    @staticmethod
    def loop_factory() -> asyncio.AbstractEventLoop:
        """Make a loop."""
        return asyncio.SelectorEventLoop()
