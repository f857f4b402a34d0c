"""Asks every cause about an arm, and keeps what the evidence carries: the largest share first, consequences told as such."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes import CAUSES, Cause
from loopdiag.causes.tls_handshake_cpu import PER_HANDSHAKE
from loopdiag.model.attribution import Attribution
from loopdiag.model.law import NotEnough
from loopdiag.registry import Registry

#: smaller shares of the slope are not named
LEAST_SHARE = 0.05
#: nor smaller steps, as a share of the total at the largest N
LEAST_OFFSET = 0.05
#: a handshake that computes for longer is slow by itself, in ms
SLOW_HANDSHAKE_MS = 3.0
NONE = "none"


@dataclass(frozen=True)
class Judgement:
    """What the causes say about one arm.

    Attributes:
        found: the largest share first; a cause of an offset alone stands after all that have a share.
        silent: cause → why it is not named; "" where it shows no sign.
        not_enough: cause → what is missing.
        broken: cause → the exception's line.
    """

    found: tuple[Attribution, ...] = ()
    silent: dict[str, str] = field(default_factory=dict)
    not_enough: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Consequence:
    """A cause that only follows from another, where that is found, too."""

    cause: str
    of: str
    stands: Callable[[Attribution, Attribution], bool]  # (the consequence, what it follows from) → it is a cause of its own all the same
    apart: Callable[[Machine], bool] = lambda _: False  # the replay tells the two from each other: it stands, too


def _larger(consequence: Attribution, cause: Attribution) -> bool:
    return consequence.share.value > cause.share.value


def _surely_larger(consequence: Attribution, cause: Attribution) -> bool:
    """Both hold the same waits, each with its own doubt."""
    return consequence.share.low is not None and consequence.share.low > cause.share.value


def _comparable(consequence: Attribution, cause: Attribution) -> bool:
    """A sleeping call computes a little, too, but never half as long as it sleeps."""
    return consequence.share.value >= cause.share.value / 2


def _mostly_other(consequence: Attribution, cause: Attribution) -> bool:
    """What the cause holds is a part of what the consequence holds: the rest of it must be twice as much."""
    return consequence.share.value >= 3 * cause.share.value


def _slow_handshake(consequence: Attribution, cause: Attribution) -> bool:
    del cause
    return any(figure.what == PER_HANDSHAKE and figure.value > SLOW_HANDSHAKE_MS for figure in consequence.evidence)


def _both_fitted(machine: Machine) -> bool:
    """Work in proportion to N and work that grows faster were fitted beside each other, and each has a share of its own."""
    return machine.plant > 0 and machine.grow > 0


def _told(machine: Machine) -> bool:
    """A machine that was fitted has both: the replay of each tells what it holds."""
    del machine
    return True


def _never(consequence: Attribution, cause: Attribution) -> bool:
    del consequence, cause
    return False


CONSEQUENCES = (
    Consequence("tls_handshake_cpu", "no_connection_reuse", _slow_handshake),
    Consequence("executor_saturated", "dns_resolution", _larger),
    Consequence("event_loop_saturated", "blocking_call", _larger),
    Consequence("event_loop_saturated", "asyncio_debug", _mostly_other),
    Consequence("event_loop_saturated", "library_overhead", _mostly_other),
    Consequence("event_loop_saturated", "gc_pauses", _larger),  # neither holds a part of the other
    Consequence("event_loop_saturated", "quadratic_scan", _mostly_other),
    Consequence("cpu_in_loop", "gc_pauses", _larger),
    Consequence("cpu_in_loop", "blocking_call", _comparable),
    Consequence("cpu_in_loop", "quadratic_scan", _larger, apart=_both_fitted),
    Consequence("bandwidth", "nagle_delayed_ack", _larger),
    Consequence("server_concurrency_limit", "server_cpu", _larger),
    Consequence("server_concurrency_limit", "tls_handshake_cpu", _surely_larger, apart=_told),  # it answers late
    Consequence("server_concurrency_limit", "rate_limited", _never),
    Consequence("client_semaphore", "serialized_awaits", _never),
    Consequence("client_semaphore", "lock_serialization", _never),
    Consequence("client_semaphore", "batch_barrier", _never),
    Consequence("client_semaphore", "executor_saturated", _larger),
    Consequence("serialized_awaits", "lock_serialization", _never),
    Consequence("serialized_awaits", "blocking_call", _never, apart=_told),
    Consequence("client_pool_limit", "connection_leak", _never),
    Consequence("server_concurrency_limit", "connection_leak", _never),
    Consequence("blocking_call", "gil_contention", _larger),
    Consequence("event_loop_saturated", "gil_contention", _mostly_other),  # the process's CPU is of all its threads
    Consequence("executor_saturated", "gil_contention", _never),
    Consequence("cpu_in_loop", "gil_contention", _larger),
    Consequence("executor_saturated", "thread_hop_overhead", _never),
    Consequence("gil_contention", "thread_hop_overhead", _larger),
    Consequence("event_loop_saturated", "thread_hop_overhead", _mostly_other),
    Consequence("tls_handshake_cpu", "ssl_context_per_request", _slow_handshake),
    Consequence("no_connection_reuse", "ssl_context_per_request", _larger),
    Consequence("cpu_in_loop", "ssl_context_per_request", _mostly_other),
    Consequence("library_overhead", "ssl_context_per_request", _mostly_other),
    Consequence("event_loop_saturated", "ssl_context_per_request", _mostly_other),
    Consequence("no_connection_reuse", "redirects", _larger),
    Consequence("event_loop_saturated", "redirects", _mostly_other),  # attempts that need not be made compute, too
    Consequence("client_pacing", "polling_interval", _larger),
    Consequence("serialized_awaits", "polling_interval", _mostly_other),
    Consequence("client_semaphore", "polling_interval", _mostly_other),
    Consequence("lock_serialization", "client_pacing", _mostly_other),
    Consequence("client_pacing", "port_or_fd_exhaustion", _never),
    Consequence("client_pacing", "connection_leak", _never),  # whoever closes what others forgot, and sleeps in between
    Consequence("server_concurrency_limit", "listen_backlog_overflow", _larger),
    Consequence("client_pacing", "rate_limited", _never),
)


def judge(evidence: Evidence, causes: Registry[Cause] = CAUSES) -> Judgement:
    """Ask every cause whose needs are there; where nothing grows, that is the answer, and the others are silent.

    A claim counts where its share is `LEAST_SHARE` or more with an interval above 0, or its offset `LEAST_OFFSET` or more of the largest N's total,
    likewise.
    """
    judgement = Judgement()
    claims = list(_claims(evidence, causes, judgement))
    if any(claim.cause == NONE for claim in claims):
        judgement.silent.update({claim.cause: "nothing grows" for claim in claims if claim.cause != NONE})
        claims = [claim for claim in claims if claim.cause == NONE]
    else:
        claims = [claim for claim in claims if _counts(claim, evidence, judgement)]
        claims = [claim for claim in claims if not _follows(claim, claims, evidence, judgement)]
    claims.sort(key=lambda claim: -claim.share.value)
    return Judgement(tuple(claims), judgement.silent, judgement.not_enough, judgement.broken)


def _claims(evidence: Evidence, causes: Registry[Cause], judgement: Judgement) -> Iterable[Attribution]:
    """Each cause's claim; what the others answer goes into the judgement."""
    for name in causes:
        try:
            cause = causes[name]
            missing = sorted(part for part in cause.needs if not evidence.has(part))
            answer = NotEnough(why=_missing(evidence, missing)) if missing else cause.attribute(evidence)
        except Exception as error:  # noqa: BLE001 - a broken cause is a result, and costs the report nothing else
            judgement.broken[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
            continue
        if isinstance(answer, NotEnough):
            judgement.not_enough[name] = answer.why
        elif answer is None:
            judgement.silent[name] = ""
        else:
            yield answer


def _missing(evidence: Evidence, parts: list[str]) -> str:
    return "; ".join(f"needs {part}: {evidence.missing.get(part, 'not observed')}" for part in parts)


def _counts(claim: Attribution, evidence: Evidence, judgement: Judgement) -> bool:
    """Whether the share, or the offset, is there beyond doubt and large enough to be named."""
    share, offset = claim.share, claim.offset_ms
    total_ms = 1e3 * median(evidence.points[max(evidence.points)])
    if offset is not None and offset.low is not None and offset.low > 0 and offset.value >= LEAST_OFFSET * total_ms:
        return True
    if share.value < LEAST_SHARE:
        judgement.silent[claim.cause] = f"its share of the slope, {share.value:.0%}, is too small to be named"
    elif share.low is None:
        judgement.not_enough[claim.cause] = f"a share of {share.value:.0%} without an interval: {share.why or 'none is known'}"
    elif share.low <= 0:
        judgement.silent[claim.cause] = f"the interval of its share, {share.low:.0%} to {share.high or 0:.0%}, includes 0"
    else:
        return True
    return False


def _follows(claim: Attribution, claims: list[Attribution], evidence: Evidence, judgement: Judgement) -> bool:
    """Whether the claim is only another's consequence, which is then told."""
    for rule in CONSEQUENCES:
        cause = next((other for other in claims if other.cause == rule.of), None)
        if rule.cause != claim.cause or cause is None or rule.stands(claim, cause):
            continue
        if evidence.machine is None or not rule.apart(evidence.machine):
            judgement.silent[claim.cause] = f"a consequence of {rule.of}"
            return True
    return False
