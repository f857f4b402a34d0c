"""Which of the loop's CPU is special, so that a cause of its own tells of it, and which is the ordinary way of a request."""

from dataclasses import replace
from math import log, sqrt

from loopdiag.analysis.calibrate import ALIKE, SERVER_S
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.pool_scan import scans
from loopdiag.causes.sightings import ByN, code_s, code_share, exponent, opened_per_request, over_n
from loopdiag.model.timeline import Timeline

#: class of code → share of the loop's CPU from which on it is heavy: decompressing and decoding text are a part of every client's ordinary way
HEAVY = {"user": 0.12, "decode-json": 0.12, "decode-text": 0.25, "decode-content": 0.4}
#: the program's code that grows so much faster than N is `quadratic_scan`
STEEP = 1.5
#: CPU that one sample of a profile stands for, at the usual rate
SAMPLE_S = 0.002


def heavy_codes(evidence: Evidence) -> list[str]:
    """Classes that take much of the loop's CPU, the heaviest first; the program's own only where it does not grow faster than N."""
    shares = {code: code_share(evidence, code) or 0.0 for code in HEAVY}
    shares["user"] = 0.0 if steep_user(evidence) else shares["user"] - _collected(evidence)
    return sorted((code for code, share in shares.items() if share >= HEAVY[code]), key=shares.__getitem__, reverse=True)


def _collected(evidence: Evidence) -> float:
    """Share of the loop's CPU in collections that the profile charged to whatever function allocated."""

    def measure(timeline: Timeline) -> float | None:
        running = timeline.lag.running_ns if timeline.lag is not None else 0
        return sum(pause.length_ns for pause in timeline.pauses) / running if running else None

    shares = over_n(evidence.timelines, measure)
    return max(0.0, shares[max(shares)] - (code_share(evidence, "gc") or 0.0)) if shares else 0.0


def steep_user(evidence: Evidence) -> bool:
    """Whether the program's own CPU grows faster than N, beyond what few samples may show by chance."""
    seconds = code_s(evidence, "user")
    return (exponent(seconds) or 1.0) >= STEEP and _surely_faster(seconds)


def _surely_faster(seconds: ByN) -> bool:
    """Whether CPU surely grows faster than N: its power, with each value as blurred as the count of its samples makes it, lies two standard errors above 1."""
    rows = [(log(n), log(value), value / SAMPLE_S) for n, value in sorted(seconds.items()) if value > 0]
    weight = sum(count for _, _, count in rows)
    middle = sum(x * count for x, _, count in rows) / weight if weight else 0.0
    squares = sum(count * (x - middle) ** 2 for x, _, count in rows)
    if squares <= 0:
        return False
    power = sum(count * (x - middle) * y for x, y, count in rows) / squares
    return power - 2 / sqrt(squares) > 1


def per_request_s(evidence: Evidence, code: str) -> float:
    """CPU of a class of code for each request at the largest N that was profiled, in seconds; 0 without profiles."""
    seconds = code_s(evidence, code)
    return seconds[max(seconds)] / max(seconds) if seconds else 0.0


def special_share(evidence: Evidence) -> float | None:
    """Share of the loop's CPU in what causes of their own explain: heavy classes, steep code, handshakes, TLS contexts, a pool that scans, collections."""
    own = {"tls-handshake", "tls-context", "gc", *heavy_codes(evidence)}
    own |= {code for code, there in (("pool", scans(evidence)), ("user", steep_user(evidence))) if there}
    return code_share(evidence, *own)


def special_s(machine: Machine, evidence: Evidence) -> float:
    """CPU for each request that other causes claim: the program's own and decoding, where they are heavy; in seconds."""
    fitted = {"user": machine.plant, "decode-json": machine.decode}
    return sum(fitted.get(code) or per_request_s(evidence, code) for code in heavy_codes(evidence))


def with_handshakes(machine: Machine, evidence: Evidence) -> Machine:
    """The machine with the server's CPU told apart, where each request opens a connection: what a request is not known to take is a handshake's, as far as one is waited for."""
    if machine.open_tls <= 0 or (opened_per_request(evidence) or 0.0) < ALIKE:
        return machine
    moved = min(max(0.0, machine.server_cpu - SERVER_S), machine.handshake)
    return replace(
        machine,
        server_cpu=machine.server_cpu - moved,
        server_handshake=machine.server_handshake + moved,
        handshake=machine.handshake - moved,
    )


def supposed_server_cpu(machine: Machine, evidence: Evidence) -> bool:
    """Whether the server's CPU for a request is not measured, but supposed, because each request opens a connection with a handshake."""
    told = with_handshakes(machine, evidence)
    return told.open_tls > 0 and told.server_cpu <= SERVER_S and (opened_per_request(evidence) or 0.0) >= ALIKE
