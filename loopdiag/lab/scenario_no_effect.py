"""Which keys of a scenario do nothing, when, and why: a table."""

from typing import Final

from loopdiag.lab.rules import NoEffect
from loopdiag.model.scenario import Scenario


def clients(scenario: Scenario) -> set[str]:
    """Return the names of the arms' clients."""
    return {arm.client for arm in scenario.arms}


def _live(s: Scenario) -> bool:
    return s.target.live


def _only_fake(s: Scenario) -> bool:
    return clients(s) == {"fake"}


LIVE: Final = "target.url names a server of its own; this describes the embedded target"
HTTP2: Final = "HTTP/2 has no field that ends a connection after an answer"
FAKE: Final = "the client fake opens no socket, and there is no other arm"

PROGRAM: Final = "[program] is run instead, and fetches as it likes"

NO_EFFECT: Final = (
    *(
        NoEffect(keys, "program", lambda s: s.program is not None, PROGRAM)
        for keys in ("target.*", "workload.*", "pool.*", "reference.*", "ladder.*", "fake.*", "live.*")
    ),
    NoEffect("knobs.*", "program", lambda s: s.program is None, "there is no [program] that could be changed from inside"),
    NoEffect("target.tls", "target.url", _live, "the scheme of target.url says whether there is TLS"),
    NoEffect("target.http", "target.url", _live, LIVE),
    NoEffect("target.service.*", "target.url", _live, LIVE),
    NoEffect("target.payload.*", "target.url", _live, LIVE),
    NoEffect("live.*", "target.url", lambda s: not s.target.live, "there is no target.url, so the target is the embedded one"),
    NoEffect("profile.*", "target.url", _live, "a live target is asked for no more than the law needs: it is not profiled"),
    NoEffect("profile.*", "arms", _only_fake, "the client fake runs on virtual time, and there is no other arm to profile"),
    *(
        NoEffect(f"profile.{name}", "profile.enabled", lambda s: not s.profile.enabled, "profile.enabled is false, so nothing is profiled")
        for name in ("rate_hz", "native", "calls")
    ),
    NoEffect("fake.*", "arms", lambda s: "fake" not in clients(s), "no arm has the client fake"),
    *(
        NoEffect(f"verify.{name}", "verify.enabled", lambda s: not s.verify.enabled, "verify.enabled is false, so nothing is verified")
        for name in ("budget_s", "values")
    ),
    NoEffect("target.path", "arms", _only_fake, FAKE),
    NoEffect("target.tls", "arms", _only_fake, FAKE),
    NoEffect("target.http", "arms", _only_fake, FAKE),
    NoEffect("target.service.gap_ms", "arms", _only_fake, FAKE),
    NoEffect("target.payload.gzip", "arms", _only_fake, FAKE),
    NoEffect("pool.keepalive*", "arms", _only_fake, FAKE),
    NoEffect(
        "target.service.table",
        "target.service.law",
        lambda s: s.target.service.law != "table",
        'target.service.law is "{s.target.service.law}"',
    ),
    NoEffect(
        "target.service.mean_ms",
        "target.service.law",
        lambda s: s.target.service.law == "table",
        'with law = "table" the times come from the table',
    ),
    NoEffect(
        "target.service.sd_ms",
        "target.service.law",
        lambda s: s.target.service.law in {"constant", "table"},
        'target.service.law is "{s.target.service.law}"; only "normal" and "lognormal" have a deviation',
    ),
    NoEffect(
        "target.payload.table",
        "target.payload.law",
        lambda s: s.target.payload.law != "table",
        'target.payload.law is "{s.target.payload.law}"',
    ),
    NoEffect(
        "target.payload.mean_bytes",
        "target.payload.law",
        lambda s: s.target.payload.law == "table",
        'with law = "table" the sizes come from the table',
    ),
    NoEffect(
        "target.payload.sd_bytes",
        "target.payload.law",
        lambda s: s.target.payload.law in {"constant", "table"},
        'target.payload.law is "{s.target.payload.law}"; only "normal" and "lognormal" have a deviation',
    ),
    NoEffect(
        "target.service.retry_after_s",
        "target.service.rate_per_s",
        lambda s: s.target.service.rate_per_s is None,
        "without target.service.rate_per_s no request is refused",
    ),
    NoEffect(
        "target.service.requests_per_connection",
        "target.service.keep_alive",
        lambda s: not s.target.service.keep_alive,
        "with target.service.keep_alive = false each connection serves one request",
    ),
    NoEffect(
        "target.service.handshake_ms",
        "target.tls",
        lambda s: s.target.tls == "off",
        'target.tls is "off", so there is no handshake to wait for',
    ),
    NoEffect("target.service.max_streams", "target.http", lambda s: s.target.http != "2", 'only HTTP/2 has streams; set target.http = "2"'),
    NoEffect("target.service.keep_alive", "target.http", lambda s: s.target.http == "2", HTTP2),
    NoEffect("target.service.requests_per_connection", "target.http", lambda s: s.target.http == "2", HTTP2),
    NoEffect(
        "target.service.gap_ms", "workload.method", lambda s: s.workload.method == "HEAD", "the answer to HEAD has no body to pause before"
    ),
    NoEffect(
        "workload.concurrency",
        "workload.kind",
        lambda s: s.workload.kind == "open",
        "an open workload starts each request when it is due; it is for closed ones",
    ),
    NoEffect(
        "workload.rate_per_s",
        "workload.kind",
        lambda s: s.workload.kind == "closed",
        'a closed workload has no arrivals; set workload.kind = "open" for an arrival rate',
    ),
    NoEffect(
        "workload.arrivals",
        "workload.kind",
        lambda s: s.workload.kind == "closed",
        'a closed workload has no arrivals; set workload.kind = "open" for an arrival rate',
    ),
    NoEffect(
        "workload.decode_when", "workload.decode", lambda s: s.workload.decode == "none", 'nothing is decoded; set workload.decode = "json"'
    ),
    NoEffect(
        "workload.retries",
        "target.service.rate_per_s target.url",
        lambda s: not s.target.live and s.target.service.rate_per_s is None,
        "without target.service.rate_per_s no request is refused",
    ),
    NoEffect(
        "pool.keepalive*",
        "target.service.keep_alive target.url",
        lambda s: not s.target.live and not s.target.service.keep_alive,
        "with target.service.keep_alive = false no connection is ever idle",
    ),
    NoEffect(
        "pool.keepalive",
        "pool.limit",
        lambda s: bool(s.pool.limit) and (s.pool.keepalive or 0) > (s.pool.limit or 0),
        "pool.limit = {s.pool.limit} allows fewer connections than {s.pool.keepalive}",
    ),
    NoEffect(
        "pool.limit_per_host",
        "pool.limit",
        lambda s: bool(s.pool.limit) and not 0 < (s.pool.limit_per_host or 0) < (s.pool.limit or 0),
        "all requests go to one host, and pool.limit = {s.pool.limit} holds for it already",
    ),
)
