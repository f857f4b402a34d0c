"""The replay model of one arm, fitted to its recording, and how well it then reproduces the totals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from loopdiag.analysis import collecting
from loopdiag.analysis.cells import Points
from loopdiag.analysis.core_waits import undisturbed, waited_ns
from loopdiag.analysis.fitted_costs import Costs, Steep, Used, fit, per_request
from loopdiag.analysis.known_limits import MANY_STREAMS, blocking, known, library
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.observed_server import Visit, link, refusals, service, visits
from loopdiag.analysis.observed_waits import answers_on_their_way, executor, lookup_s, lookups_of, of_attempts, of_connections, outside_s
from loopdiag.analysis.off_cpu import off_cpu_ms
from loopdiag.analysis.replay import Replayed, run
from loopdiag.model.law import NotEnough
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.timeline import Timeline

ClassCpu = Mapping[str, Mapping[int, float]]  # class of code → N → seconds of the loop thread's CPU

#: beyond it the model does not reproduce the run
WORST_MISS = 0.35
#: nor if the run takes so many times as long as its replay, or as short: of 87 recordings of the self-test whose totals it follows, 83 take 0.85 to 1.35 times as
#: long, and those with something that the model lacks (pollers, chains of redirects, waits for the GIL) four times and more, or less than half
MOST_FACTOR = 2.0
#: an answer is on its way before its first byte, as far as the server's stamps show, and until its last
ON_ITS_WAY = (answers_on_their_way, of_attempts("first_byte", "last_byte"))
#: of a request's CPU, what is spent before its first byte, where nothing tells
START_SHARE = 0.45
#: of a TLS handshake's CPU on the client, what the server spends on it, where nothing tells
SERVER_SHARE = 0.7
#: connections for each request, from which on counts do not tell the server's CPU for the one from that for the other
ALIKE = 0.8
#: CPU of a server for a request of which nothing else is known, in seconds
SERVER_S = 0.0005
#: connections that were opened over those of the model, above which the server (or the client's header) closes them
CLOSED = 1.25
#: CPU of the loop to have a thread look a name up, as far as is known beforehand
LOOKUP_CPU_S = 2.5e-4
#: CPU to wake a loop that sits idle (timer, context switch, cold caches), as far as is known beforehand, and its part in any trial's CPU at most
WAKE_S, WAKES_SHARE = 1e-4, 0.4
#: CPU of a TLS connection beside its handshake (its transport, its end), over the handshake's, as far as is known beforehand
TLS_BESIDE = 0.45
ROUNDS = 2
#: time per request, and share of the loop's, from which on it counts as held off the CPU
LEAST_BLOCK_S, BLOCKED_SHARE = 3e-4, 0.15
MS, US = 1e-3, 1e-6
#: who waited for a stream waited at least so long
LEAST_STREAM_WAIT_NS = 1_000_000
#: a shorter pause inside of an answer is none
LEAST_GAP_S = 1e-3


def machine(  # noqa: PLR0913, PLR0917 - the parts of an arm's evidence
    scenario: Scenario,
    arm: Arm,
    bare: Sequence[TrialResult],
    timelines: Sequence[Timeline],
    class_cpu: ClassCpu,
    points: Points,
) -> Machine | NotEnough:
    """Fit the model to an arm.

    Limits of the client come from the scenario, because it is the user's own; what the server does, and all costs, come from what was observed.

    Args:
        scenario: as it was run.
        arm: whose trials these are.
        bare: usable bare trials, whose CPU and totals are fitted.
        timelines: resolved timeline trials.
        class_cpu: from profiles; empty where there are none.
        points: N → bare totals in seconds.

    Returns:
        The machine with its `factor` and `miss`; or why it cannot be had.
    """
    measured = {n: float(np.median(seconds)) for n, seconds in points.items() if len(seconds)}
    if len(measured) < 2:
        return NotEnough(why="a replay needs totals at two or more values of N")
    if arm.client == "fake":
        return judged(_of_fake(scenario, known(scenario, arm)), measured)
    if not any(trial.cpu_s for trial in bare):
        return NotEnough(why="a replay needs the CPU of bare trials")
    if not timelines:
        return NotEnough(why="a replay needs a timeline trial, which shows the waits for the outside")
    net = undisturbed(bare, measured)
    pause, pause_grow = collecting.per_request(timelines, net, {trial.spec.n: trial.cpu_s for trial in bare if trial.cpu_s})
    limits = replace(known(scenario, arm), pause=pause, pause_grow=pause_grow)
    outside = _reused(_outside(limits, arm, bare, timelines), bare, timelines)
    return judged(_costed(outside, arm, bare, class_cpu), net)


def judged(fitted: Machine, measured: Mapping[int, float]) -> Machine | NotEnough:
    """The machine with its factor and worst miss against N → measured seconds; or why it does not do."""
    replayed = {n: run(fitted, n).total_s for n in measured}
    if min(replayed.values()) <= 0:
        return NotEnough(why="the replayed requests take no time")
    factor = float(np.median([measured[n] / replayed[n] for n in measured]))
    misses = {n: factor * replayed[n] / measured[n] - 1 for n in measured}
    worst = max(misses, key=lambda n: abs(misses[n]))
    if abs(misses[worst]) > WORST_MISS:
        return NotEnough(
            why=f"the replay misses the total of N = {worst} by {misses[worst]:+.0%}; at most {WORST_MISS:.0%} would carry a prediction"
        )
    if not 1 / MOST_FACTOR <= factor <= MOST_FACTOR:
        return NotEnough(why=f"the run takes {factor:.2g} times as long as its replay; at most {MOST_FACTOR:g} would carry a prediction")
    return replace(fitted, factor=factor, miss=abs(misses[worst]))


def _of_fake(scenario: Scenario, limits: Machine) -> Machine:
    """The fake client's world is its scenario; its scan is of all requests in flight, whose mean is half of N."""
    fake, law, plant = scenario.fake, scenario.target.service, scenario.workload.plant
    spread = law.sd_ms * MS if law.law != "constant" else 0.0
    quantiles = (-1.6, -1.0, -0.67, -0.43, -0.21, 0.0, 0.21, 0.43, 0.67, 1.0, 1.6)
    return replace(
        limits,
        start=fake.cpu_us * US,
        sending=1.0,
        finish=plant.cpu_us * US,
        plant=plant.cpu_us * US,
        grow=(fake.scan_us / 2 + plant.scan_us) * US,
        block=plant.block_ms * MS,
        connect=fake.connect_us * US,
        think=tuple(max(0.0, law.mean_ms * MS + z * spread) for z in quantiles) if spread else (law.mean_ms * MS,),
        reusable=None if law.keep_alive else 1,
    )


def _outside(limits: Machine, arm: Arm, bare: Sequence[TrialResult], timelines: Sequence[Timeline]) -> Machine:
    """Add the network, the resolver, the executor and the server."""
    seen = _handshaking(limits, bare, timelines)
    shared, at_server = link(timelines), visits(timelines)
    served = service(at_server, seen.server_cpu, shared=shared > 0)
    refused = refusals(timelines)
    gap = 0.0 if shared else sum(wait for stretches in ON_ITS_WAY if (wait := outside_s(timelines, stretches)) > LEAST_GAP_S)
    thread, threads = (0.0, 1) if blocking(arm.loop) else executor(timelines)  # calls that are the requests themselves are its workers'
    lookups = [lookups_of(line) for line in timelines if line.jobs is not None]
    waiting, made = sum(wait for wait, _ in lookups), sum(job for _, job in lookups)
    return replace(
        seen,
        think=served.think,
        server_limit=served.limit,
        server_rate=refused[0] if refused else None,
        retry_after=refused[1] if refused else None,
        link=shared,
        gap=gap,
        connect=outside_s(timelines, of_connections("tcp_start", "tcp_end")),
        lookup=lookup_s(timelines),
        lookup_cpu=LOOKUP_CPU_S if 2 * made > waiting > 0 else 0.0,
        cached=library(arm).caches and 2 * made <= waiting,
        thread=thread,
        threads=threads,
        block=_blocked(timelines),
        streams=_streams(limits, timelines, at_server),
    )


def _handshaking(limits: Machine, bare: Sequence[TrialResult], timelines: Sequence[Timeline]) -> Machine:
    """Add what a TLS handshake costs either side, and the server's CPU per request."""
    tls = [link.tls_cpu_ns for line in timelines for link in line.connections if link.tls_cpu_ns]
    open_tls = float(np.median(tls)) / 1e9 if tls else 0.0
    rows = [
        Used(n=trial.spec.n, opened=trial.connections_opened or 0, scanned=0, cpu_s=trial.server_cpu_s)
        for trial in bare
        if trial.server_cpu_s
    ]
    if not rows:
        return replace(limits, open_tls=open_tls)
    found = fit(rows, connection=max(SERVER_SHARE * open_tls, 1e-4), steep=None)
    waited = outside_s(timelines, of_connections("tls_start", "tls_end"), percent=10) if tls else 0.0
    each = found.connection if tls else 0.0
    moved = 0.0
    if tls and all(
        row.opened >= ALIKE * row.n for row in rows
    ):  # counts do not tell a request's from a handshake's, which the wait for one bounds
        moved = min(max(0.0, found.request - SERVER_S), max(0.0, waited - each))
    each += moved
    return replace(limits, open_tls=open_tls, server_cpu=found.request - moved, server_handshake=each, handshake=max(0.0, waited - each))


def _reused(outside: Machine, bare: Sequence[TrialResult], timelines: Sequence[Timeline]) -> Machine:
    """Set how many requests a connection serves, where more were opened than the pool accounts for."""
    if outside.streams is not None:
        return outside
    seen = [(trial.spec.n, trial.connections_opened) for trial in bare if trial.connections_opened]
    if not seen:
        return outside
    n, opened = max(seen)
    if opened <= CLOSED * run(outside, n).opened:
        return outside
    most = max((link.requests for line in timelines for link in line.connections), default=0)
    return replace(outside, reusable=max(1, most or round(n / opened)))


def _streams(limits: Machine, timelines: Sequence[Timeline], at_server: Sequence[Visit]) -> int | None:
    """Requests at once on an HTTP/2 connection: as many as were, if others waited for a stream meanwhile."""
    if limits.streams is None:
        return None
    waits = of_attempts("resumed", "stream")
    waited = [end - start for line in timelines for start, end in waits(line)]
    if not waited or float(np.percentile(waited, 75)) < LEAST_STREAM_WAIT_NS:
        return MANY_STREAMS
    return 1 + int(max((visit.there.max() for visit in at_server), default=MANY_STREAMS))


def _blocked(timelines: Sequence[Timeline]) -> float:
    """Seconds per request that callbacks held the loop's thread off the CPU; 0 where it does not stand out, or was not observed.

    It is of what is left of the total without waits for a core, which others' work on the machine makes.
    """
    found = []
    middle = float(np.median([line.n for line in timelines]))
    for line in timelines:
        blocked_ms = off_cpu_ms(line) if line.n >= middle else None
        if blocked_ms is None:
            continue
        blocked = blocked_ms / 1e3
        stands_out = blocked > BLOCKED_SHARE * (line.total_ns - waited_ns(line)) / 1e9 and blocked / line.n > LEAST_BLOCK_S
        found.append(blocked / line.n if stands_out else 0.0)
    return min(found, default=0.0)  # what disturbs makes it look longer, never shorter


def _costed(outside: Machine, arm: Arm, bare: Sequence[TrialResult], class_cpu: ClassCpu) -> Machine:
    """Add what the loop and the server compute; the replay tells how often the pool scans, which depends on the costs in turn."""
    guess = outside
    steep: Steep = "scan" if library(arm).scans else "square"
    if outside.server_rate is not None:
        steep = None  # the more requests, the more attempts each needs
    for _ in range(ROUNDS):
        replayed = {n: run(guess, n) for n in sorted({trial.spec.n for trial in bare})}
        guess = replace(guess, wake=_wake(bare, replayed))
        beforehand = library(arm).connection_s + TLS_BESIDE * guess.open_tls + guess.lookup_cpu
        costs = fit(_used(bare, replayed, guess), connection=beforehand, steep=steep)
        guess = _spread(guess, costs, class_cpu)
    return guess


def _wake(bare: Sequence[TrialResult], replayed: Mapping[int, Replayed]) -> float:
    """CPU of each wake in seconds."""
    most = [WAKES_SHARE * trial.cpu_s / replayed[trial.spec.n].waits for trial in bare if trial.cpu_s and replayed[trial.spec.n].waits]
    return min(WAKE_S, *most) if most else 0.0


def _used(bare: Sequence[TrialResult], replayed: Mapping[int, Replayed], guess: Machine) -> list[Used]:
    """Each trial's requests, connections, scans and CPU; handshakes, wakes and collections, which are known already, are taken out."""
    rows = []
    for trial in bare:
        if trial.cpu_s:
            n = trial.spec.n
            opened = replayed[n].opened if trial.connections_opened is None else trial.connections_opened
            known_s = opened * guess.open_tls + replayed[n].waits * guess.wake + n * (guess.pause + guess.pause_grow * n)
            cpu_s = max(trial.cpu_s - known_s, 0.1 * trial.cpu_s)
            rows.append(Used(n=n, opened=opened, scanned=replayed[n].scanned, cpu_s=cpu_s))
    return rows


def _spread(guess: Machine, costs: Costs, class_cpu: ClassCpu) -> Machine:
    """Divide the CPU per request between its parts."""
    decode, _ = per_request(class_cpu.get("decode-json", {}))
    user, _ = per_request(class_cpu.get("user", {}))
    own = max(0.0, costs.request - decode - user)  # the library's and the loop's
    start = START_SHARE * own
    rest = costs.request - start
    return replace(
        guess,
        once=costs.once,
        start=start,
        finish=rest,
        decode=min(decode, rest),
        plant=min(user, rest),
        open_tcp=max(0.0, costs.connection - guess.lookup_cpu),
        scan=costs.scan,
        grow=costs.square,
    )
