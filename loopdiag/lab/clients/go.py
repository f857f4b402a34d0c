"""Go's net/http: http.Client over http.Transport, a goroutine a request; the source stands in the folder of the same name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from loopdiag.lab import go_build
from loopdiag.lab.job import Job
from loopdiag.model.scenario import Scenario


class GoClient:
    """http.DefaultTransport as it is: no limit of connections, of which two are kept; on one core."""

    kinds: Mapping[str, str] = MappingProxyType({})
    loops = frozenset({"own"})
    plants = frozenset({"cpu_us"})
    cores = 1
    flags: tuple[str, ...] = ()

    @staticmethod
    def available() -> str | None:
        """Return None, or that there is no Go."""
        return go_build.unavailable()

    @staticmethod
    def versions() -> dict[str, str]:
        """Return Go's version."""
        go = go_build.find_go()
        return {"go": go_build.version(go)} if go else {}

    @classmethod
    def command(cls, folder: Path) -> tuple[str, ...]:  # noqa: ARG003 - a trial's folder stands in its job
        """Return the command line, having compiled the worker where it is not yet.

        Raises:
            Unavailable: it cannot be compiled.
        """
        return str(go_build.build()), *cls.flags

    @staticmethod
    def ready() -> bool:
        """Whether `command` has nothing to compile."""
        return go_build.built() is not None

    @staticmethod
    def environment(job: Job) -> Mapping[str, str]:  # noqa: ARG004 - the same for every job
        """Return nothing."""
        return {}

    @classmethod
    def refuses(cls, scenario: Scenario) -> Iterator[str]:  # noqa: ARG003 - the default transport does all there is
        """Yield nothing: it speaks whatever HTTP the scenario asks for."""
        yield from ()


class GoTwoCores(GoClient):
    """The same with GOMAXPROCS = 2, on any core: what a second one gains."""

    flags = ("-procs", "2")
    cores = 2


class GoPooled(GoClient):
    """MaxConnsPerHost and MaxIdleConnsPerHost as large as the scenario's pool, 100 unless it says otherwise."""

    flags = ("-pooled",)


class GoPooledTwoCores(GoClient):
    """The same with GOMAXPROCS = 2."""

    flags = ("-pooled", "-procs", "2")
    cores = 2


class GoHttp2(GoClient):
    """The default transport over HTTP/2, where the target speaks that."""

    @classmethod
    def refuses(cls, scenario: Scenario) -> Iterator[str]:
        """Yield that a target of HTTP/1.1 is not its own."""
        if scenario.target.http != "2":
            yield 'go-h2 speaks HTTP/2 only; expected target.http = "2", or the client go'
