"""httpx2, the fork of httpx: one AsyncClient, made as httpx's."""

from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType

from loopdiag.lab.clients.httpx import HttpxClient


class Httpx2Client(HttpxClient):
    """httpx2.AsyncClient as its documentation shows it."""

    @staticmethod
    def library() -> ModuleType:
        """Return httpx2, imported."""
        import httpx2

        return httpx2

    @staticmethod
    def available() -> str | None:
        """Return None, or that the optional part is not installed."""
        return None if find_spec("httpx2") else 'httpx2 is not installed; pip install "loopdiag[httpx2]"'

    @staticmethod
    def versions() -> dict[str, str]:
        """Return the versions of httpx2 and of the pool below it."""
        return {"httpx2": version("httpx2"), "httpcore2": version("httpcore2")}
