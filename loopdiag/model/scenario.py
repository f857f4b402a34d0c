"""What a scenario's TOML says: target, workload, pool, arms and sweep, as one immutable value.

Times carry their unit in their name (``_ms``, ``_s``, ``_us``), sizes too (``_bytes``).  ``None`` means "the
library's own default"; 0 means "no limit" where a limit is meant.
"""

from typing import Annotated, Literal

import msgspec

from loopdiag.model.value import Value

Positive = Annotated[int, msgspec.Meta(ge=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]

Law = Literal["constant", "normal", "lognormal", "table"]
Tls = Literal["off", "ecdsa-p256", "rsa-2048", "rsa-4096"]


class Service(Value, frozen=True, kw_only=True):
    """How the embedded target serves one request: its think time and its limits."""

    law: Law = "constant"
    mean_ms: Amount = 0.0
    sd_ms: Amount = 0.0
    table: str | None = None  # CSV with a column `ms`, beside the scenario; row i serves request i
    accept_ms: Amount = 0.0  # a connection waits so long in the listening queue before the server accepts it
    handshake_ms: Amount = 0.0  # after accepting it, the server waits so long before it begins the TLS handshake
    gap_ms: Amount = 0.0  # pause between the header and the body, which is then sent chunked
    cpu_us: Amount = 0.0  # the server computes so long for each request before it answers, for one at a time
    concurrency: Positive | None = None  # at most so many requests in service; the others wait inside the server
    rate_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None  # above it: 429 with Retry-After
    retry_after_s: Amount = 1.0
    bytes_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None  # of the link: all answers together are sent no faster
    keep_alive: bool = True
    requests_per_connection: Positive | None = None  # the server closes a connection after so many
    max_streams: Positive | None = None  # HTTP/2: so many requests at once on one connection
    redirects: Count = 0  # each request is sent on so often before it is answered, every time after the think time
    backlog: Positive | None = (
        None  # the listening queue holds so many connections; a SYN that finds it full is lost; None: as many as the system allows
    )
    ipv6: Literal["serves", "silent"] = "serves"  # silent: whoever connects to ::1 hears nothing, as where packets are dropped


class Payload(Value, frozen=True, kw_only=True):
    """The size law of response bodies, in bytes before content coding."""

    law: Law = "constant"
    mean_bytes: Count = 1024
    sd_bytes: Count = 0
    table: str | None = None  # "pokeapi" (shipped) or a CSV with columns `json_bytes` and, optionally, `gzip_bytes`
    gzip: bool = False


class Target(Value, frozen=True, kw_only=True):
    """Where the requests go: the embedded stand-in (no `url`) or a live server (`url`)."""

    url: str | None = None
    path: str = "/{i}"  # {i} is the request's number, from 1
    tls: Tls = "off"
    http: Literal["1.1", "2"] = "1.1"
    service: Service = Service()
    payload: Payload = Payload()

    @property
    def live(self) -> bool:
        """Whether the target is somebody else's server."""
        return self.url is not None


class Plant(Value, frozen=True, kw_only=True):
    """Faults put into the workload on purpose, inside the timed part, so that a diagnosis can be tested; none by default."""

    cpu_us: Amount = 0.0  # the loop's thread computes so long in each request
    scan_us: Amount = 0.0  # and so long for each request of the trial: a quadratic term
    block_ms: Amount = 0.0  # the loop's thread sleeps so long in each request
    thread_ms: Amount = 0.0  # each request waits for a call of this length in the default executor
    dns_ms: Amount = 0.0  # each look-up of the target's name takes so long in its thread, and each connection makes one
    garbage: Count = 0  # container objects that each request makes and keeps until the end
    debug: bool = False  # asyncio's debug mode


class Workload(Value, frozen=True, kw_only=True):
    """Which requests are made when: a closed loop (all at once, or c workers) or an open one (an arrival rate)."""

    kind: Literal["closed", "open"] = "closed"
    concurrency: Positive | None = None  # closed: so many workers; None: all N at once, as gather does
    rate_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None  # open: arrivals per second
    arrivals: Literal["constant", "poisson"] = "constant"
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] = "GET"
    decode: Literal["none", "json"] = "none"
    decode_when: Literal["after", "inside"] = "after"  # outside the timed part, or in each request
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0  # of one request
    retries: Count = 0  # a 429 or 503 is repeated so often, after its Retry-After
    plant: Plant = Plant()


class Pool(Value, frozen=True, kw_only=True):
    """The client's connection pool; None leaves the library's default, 0 removes the limit."""

    limit: Count | None = None
    limit_per_host: Count | None = None
    keepalive: Count | None = None  # idle connections kept at most
    keepalive_s: Amount | None = None  # for how long


class Arm(Value, frozen=True, kw_only=True):
    """One column of the comparison: a client on a loop, in loopdiag's own environment or in one of the arm's own."""

    client: str
    loop: str = "asyncio"
    requirements: tuple[str, ...] = ()  # what pip installs in an environment of the arm's own; empty: it runs in loopdiag's
    python: str | None = None  # that environment's, such as "3.9"; None: the one that loopdiag runs on
    label: str | None = None  # what the arm is called; None: client/loop

    @property
    def name(self) -> str:
        """The arm as the command line and the report spell it: its label, else ``client/loop``."""
        return self.label or f"{self.client}/{self.loop}"

    @property
    def apart(self) -> bool:
        """Whether it runs in an environment of its own."""
        return bool(self.requirements) or self.python is not None


class Sweep(Value, frozen=True, kw_only=True):
    """Which N, how often, how precisely, and for how long at most."""

    n: tuple[Positive, ...] = (50, 100, 200, 400, 800)
    repetitions: Positive = 3  # of each bare cell, at least, as far as the budget goes
    max_repetitions: Positive = 30
    precision: Share = 0.05  # asked half-width of the slope's 95 % interval, as a share of the slope
    warmups: Count = 1  # discarded passes over the smallest values of N
    budget_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0  # of measuring, over all arms
    trial_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    seed: Count = 1


class Live(Value, frozen=True, kw_only=True):
    """What a live target is asked to bear; only with --live."""

    runs_per_minute: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    max_n: Positive = 100


class Instruments(Value, frozen=True, kw_only=True):
    """How much the instruments watch in timeline trials; each level contains the ones before it."""

    level: Literal["light", "detailed", "deep"] = "light"
    verify: bool = False  # record the libraries' own public events, too, and cross-check the stamps against them


class Profiling(Value, frozen=True, kw_only=True):
    """How the trials of the tiers `profile` and `calls` watch the client's code; they are never fitted."""

    enabled: bool = True
    rate_hz: Positive = 500  # stacks a second, at random moments
    native: bool = False  # the frames of C code, too; the client is stopped for each sample
    calls: bool = True  # one trial an arm in which every call is counted


class Verification(Value, frozen=True, kw_only=True):
    """Whether causes are verified by running their interventions, and what that may cost."""

    enabled: bool = True
    budget_s: Annotated[float, msgspec.Meta(gt=0)] = 100.0  # over all arms, beside the sweep's
    values: Positive = 4  # of N, at which base and treated trials are compared


class Reference(Value, frozen=True, kw_only=True):
    """Published measurements, which the report draws beside the run's own."""

    table: Literal["blog"] | None = None  # a shipped one, under loopdiag/tables/


class Ladder(Value, frozen=True, kw_only=True):
    """Clients that stand one on the other, so that the report can say what each layer adds."""

    rungs: tuple[
        str, ...
    ] = ()  # clients, from the ground up; a ladder for each loop of their arms, in which a client with one arm always stands


class Program(Value, frozen=True, kw_only=True):
    """A user's own program instead of a workload: its command line, as it is run at every N."""

    argv: tuple[str, ...]  # {n} is the number of requests
    cwd: str | None = None  # where it runs; None: where loopdiag does


class Delay(Value, frozen=True, kw_only=True):
    """Time added at a seam, to see how much of it reaches the total."""

    seam: Literal["request", "connect", "blocking_call", "function"] = "request"
    ms: Amount = 0.0  # each time that the seam is passed
    place: str | None = None  # of a function or a blocking call: "client.py:14" or "client.py:parse"; None: all


class Knobs(Value, frozen=True, kw_only=True):
    """What can be changed inside a program without touching it; None (or False) leaves it as it is."""

    pool_limit: Count | None = None  # of each client's connection pool; 0: no limit
    pool_limit_per_host: Count | None = None
    keepalive: Count | None = None  # idle connections kept at most; 0: no limit
    semaphore: Count | None = None  # value of the program's semaphores of 2 and more; 0: they let everyone through
    semaphore_place: str | None = None  # only of those made there: "client.py:14"
    lock: bool = (
        True  # False: the program's locks (and semaphores of 1) let everyone through; an experiment, which may break what they protect
    )
    executor: Positive | None = None  # threads of every thread pool, and AnyIO's limiter
    shared_tls: bool = False  # one TLS context a process, instead of one a client
    shared_session: bool = False  # one connection pool a process and kind of client
    cached_dns: bool = False  # a name is looked up once a process
    ipv4_only: bool = False  # names have IPv4 addresses alone
    nodelay: bool = False  # TCP_NODELAY on every connection
    debug_off: bool = False  # asyncio's debug mode
    gc_frozen: bool = False  # no collections of what survived, and none of the oldest generation
    fast_json: bool = False  # json.loads by orjson, msgspec or the like, where the program's environment has one
    uvloop: bool = False  # where the program's environment has it
    sleep: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None  # asyncio's sleeps take this part of their time
    blocking_sleep: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None  # time.sleep on the loop's thread, likewise
    switch_interval_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None  # of the GIL
    null_server: bool = False  # answers that were recorded come from a server on loopback that does nothing else
    delay: Delay | None = None


class Fake(Value, frozen=True, kw_only=True):
    """The fake client's truth: a loop of its own on virtual time, with a slope known exactly."""

    cpu_us: Amount = 500.0  # of the loop, per request
    scan_us: Amount = 0.0  # of the loop, per request and request in flight: a quadratic term
    connect_us: Amount = 0.0  # per new connection
    noise: Amount = 0.0  # relative standard deviation of the total


class Scenario(Value, frozen=True, kw_only=True):
    """A whole experiment, as its TOML says it."""

    name: str
    question: str = "Why does the total time of N concurrent requests grow with N?"
    arms: tuple[Arm, ...]
    target: Target = Target()
    workload: Workload = Workload()
    pool: Pool = Pool()
    sweep: Sweep = Sweep()
    live: Live = Live()
    instruments: Instruments = Instruments()
    profile: Profiling = Profiling()
    verify: Verification = Verification()
    reference: Reference = Reference()
    ladder: Ladder = Ladder()
    fake: Fake = Fake()
    program: Program | None = None  # instead of target, workload and pool, which then hold what was observed of it
    knobs: Knobs = Knobs()  # only of a program
