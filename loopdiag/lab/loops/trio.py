"""trio: a nursery in which each request is a task."""

from functools import partial
from importlib.metadata import version
from importlib.util import find_spec

from loopdiag.lab.clients import Client
from loopdiag.lab.elsewhere import ElsewhereWork, whole
from loopdiag.lab.job import Job, WorkerReport


class TrioLoop:
    """trio.run."""

    virtual = False

    @staticmethod
    def available() -> str | None:
        """Return None, or that the optional part is not installed."""
        return None if find_spec("trio") else 'trio is not installed; pip install "loopdiag[clients]"'

    @staticmethod
    def versions() -> dict[str, str]:
        """Return trio's version."""
        return {"trio": version("trio")}

    @staticmethod
    def runner(client_class: type[Client], job: Job) -> WorkerReport:
        """Do the whole job."""
        import trio

        async def through(work: ElsewhereWork) -> int:
            async with trio.open_nursery() as nursery:
                return await work.begin(nursery.start_soon)  # once all that it started have ended

        return trio.run(partial(whole, client_class, job, pause=trio.sleep, through=through))
