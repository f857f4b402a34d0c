"""What runs in environments of the arms' own: no part of it imports anything else of loopdiag."""

CLIENTS = ("aiohttp", "httpx", "httpx2")
LOOPS = ("asyncio", "uvloop")
TOOLS = frozenset({"pip", "setuptools", "wheel", "distribute", "pkg-resources"})  # installers: no part of what is measured
