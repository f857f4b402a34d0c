"""The standard library's selector loop."""

import asyncio

from loopdiag.lab.loops import BuiltInLoop


class AsyncioLoop(BuiltInLoop):
    """asyncio.SelectorEventLoop on the platform's best selector."""

    @staticmethod
    def loop_factory() -> asyncio.AbstractEventLoop:
        """Make a loop."""
        return asyncio.SelectorEventLoop()
