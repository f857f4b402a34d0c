"""What the embedded target does with request i: pure, and the same for every arm and repetition of a scenario.

Think times and sizes are drawn from a generator of their own per (seed, i), so they do not depend on the order of arrival.
"""

import math
import re
from collections.abc import Callable
from functools import cached_property
from random import Random
from urllib.parse import quote

from loopdiag.errors import InputError
from loopdiag.lab.servers.payload import Bodies, Body
from loopdiag.lab.servers.tables import read_columns
from loopdiag.model.scenario import Law, Scenario

NS_PER_MS = 1_000_000
AS_WRITTEN = "/?&=%:;,@!$'()*+~"  # characters of a path that clients do not encode
THINK, SIZE = 0, 1  # streams of random numbers, so that a change of one law does not move the other's draws


def draw(law: Law, mean: float, sd: float, random: Random) -> float:
    """Draw one value ≥ 0 of a law with the given mean and standard deviation.

    "normal" is truncated at 0 by drawing again, so its mean lies above `mean` where `sd` is not small against it.
    "lognormal" has exactly this mean and deviation.
    """
    if sd == 0 or mean == 0 or law == "constant":
        return mean
    if law == "lognormal":
        variance = math.log1p(min(sd / mean, 1e150) ** 2)  # its square must be finite
        return random.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))
    while (value := random.normalvariate(mean, sd)) < 0:
        pass
    return value


def stream(seed: int, request: int, which: int) -> Random:
    """The generator of one request's draws for one purpose."""
    return Random((seed << 66) | (request << 2) | which)


class Behaviour:
    """A scenario's target, resolved: think time, body and path of request i.

    Args:
        scenario: the resolved scenario; tables of its own are absolute paths.

    Raises:
        InputError: a table is missing or wrong, or the bodies would not fit.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.service = scenario.target.service
        self.gap_ns = round(self.service.gap_ms * NS_PER_MS)
        self.cpu_ns = round(self.service.cpu_us * 1_000)
        self.accept_ns, self.handshake_ns = round(self.service.accept_ms * NS_PER_MS), round(self.service.handshake_ms * NS_PER_MS)
        self.requests = max(scenario.sweep.n)
        self.numbered = "{i}" in scenario.target.path
        self._seed = scenario.sweep.seed
        self._payload = scenario.target.payload
        self._path = _template(scenario.target.path)
        written = quote(scenario.target.path, safe=AS_WRITTEN + "{}")
        self._numbers = {written.replace("{i}", str(i)).encode(): i for i in range(1, self.requests + 1) if self.numbered}  # the quick way
        self._think_table_ns: list[int] = []
        self._sizes: list[tuple[int, int | None]] = []
        _all_faults(self._read_think_table, self._draw_sizes)
        self._think_ns = [self._think(i) for i in range(1, self.requests + 1)]

    def number(self, path: bytes, arrived: int) -> int | None:
        """The number of the request for `path`, or None where the path is not the scenario's.

        Args:
            path: the request's target, with its query.
            arrived: how many requests came before; it numbers the requests where the scenario's path has no ``{i}``.
        """
        if known := self._numbers.get(path):
            return known
        match = self._path.fullmatch(path)
        if match is None:
            return None
        return (int(match[1]) or None) if self.numbered else arrived + 1

    def think_ns(self, request: int) -> int:
        """The think time of request i, from 1, in nanoseconds."""
        return self._think_ns[request - 1] if request <= self.requests else self._think(request)

    def body(self, request: int) -> Body:
        """The body of request i, from 1; only the sweep's largest N are prepared, and those beyond meet them again."""
        return self.bodies[request]

    @cached_property
    def bodies(self) -> Bodies:
        """All bodies, prepared when first asked for; a target asks before it listens."""
        return Bodies(self._sizes, self.requests, gzip=self._payload.gzip)

    def _draw_sizes(self) -> None:
        law = self._payload
        if law.law == "table":
            rows = read_columns(law.table, "target.payload.table", required="json_bytes", optional="gzip_bytes")
            self._sizes = [(round(size), None if packed is None else round(packed)) for size, packed in rows]
        else:
            draws = (draw(law.law, law.mean_bytes, law.sd_bytes, stream(self._seed, i, SIZE)) for i in range(1, self.requests + 1))
            self._sizes = [(round(size), None) for size in draws]

    def _read_think_table(self) -> None:
        if self.service.law == "table":
            rows = read_columns(self.service.table, "target.service.table", required="ms")
            self._think_table_ns = [round(ms * NS_PER_MS) for ms, _ in rows]

    def _think(self, request: int) -> int:
        if self.service.law == "table":
            return self._think_table_ns[(request - 1) % len(self._think_table_ns)]
        random = stream(self._seed, request, THINK)
        return round(draw(self.service.law, self.service.mean_ms, self.service.sd_ms, random) * NS_PER_MS)


def _all_faults(*steps: Callable[[], None]) -> None:
    """Take every step, and only then raise what any of them found."""
    faults: list[str] = []
    for step in steps:
        try:
            step()
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(*faults)


def _template(path: str) -> re.Pattern[bytes]:
    """The paths that a template stands for: the first ``{i}`` is any whole number, a later one the same."""
    # clients send the rest percent-encoded as here
    parts = [re.escape(quote(part, safe=AS_WRITTEN)) for part in path.split("{i}")]
    pattern = parts[0]
    for count, part in enumerate(parts[1:]):
        pattern += (r"\1" if count else r"([0-9]{1,9})") + part
    return re.compile(pattern.encode())
