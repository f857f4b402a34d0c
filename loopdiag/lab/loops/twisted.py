"""twisted: its epoll reactor, on which each request is a Deferred."""

from collections.abc import Callable, Coroutine
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from loopdiag.lab.clients import Client
from loopdiag.lab.elsewhere import ElsewhereWork, whole
from loopdiag.lab.job import Job, WorkerReport

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class TwistedLoop:
    """twisted.internet.epollreactor."""

    virtual = False

    @staticmethod
    def available() -> str | None:
        """Return None, or that the optional part is not installed."""
        return None if find_spec("twisted") else 'twisted is not installed; pip install "loopdiag[clients]"'

    @staticmethod
    def versions() -> dict[str, str]:
        """Return twisted's version."""
        return {"twisted": version("twisted")}

    @staticmethod
    def runner(client_class: type[Client], job: Job) -> WorkerReport:
        """Do the whole job."""
        report: WorkerReport = on_reactor(lambda pause: whole(client_class, job, pause=pause, through=_through))
        return report


async def _through(work: ElsewhereWork) -> int:
    from twisted.internet.defer import Deferred, gatherResults

    started: list[Deferred[None]] = []

    def spawn(function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        started.append(Deferred.fromCoroutine(function(*arguments)))

    t0 = await work.begin(spawn)
    await gatherResults(started)
    return t0


def on_reactor(main: Callable[[Callable[[float], Any]], Coroutine[Any, Any, Any]]) -> Any:
    """Run the coroutine that `main`, given what waits for so many seconds, makes; a reactor runs once a process.

    Raises:
        BaseException: what the coroutine raised.
    """
    from twisted.internet import epollreactor

    installing: Any = epollreactor.install  # untyped
    installing()
    from twisted.internet import reactor as running
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater

    reactor: Any = running
    ended: list[Any] = []

    def pause(seconds: float) -> "Deferred[None]":
        return deferLater(reactor, seconds)

    def start() -> None:
        Deferred.fromCoroutine(main(pause)).addBoth(end)

    def end(result: Any) -> None:
        ended.append(result)
        reactor.stop()

    reactor.callWhenRunning(start)
    reactor.run(installSignalHandlers=False)
    (result,) = ended
    if (error := getattr(result, "value", None)) is not None and isinstance(error, BaseException):
        raise error
    return result
