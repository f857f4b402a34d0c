"""Connections are closed that the next request could have used.

Symptom: about as many connections are opened as requests made; each costs a connect and, with TLS, a handshake's CPU on both sides.

Evidence: more connections are opened than are ever open at a time; replaying the run with every connection kept makes the slope smaller. httpcore closes an idle
connection when *all* connections of the pool, busy ones included, are more than the keep-alive limit: 100 connections and a keep-alive limit of 20 keep none. Where the
pool also scans, keeping connections alone may do harm, because every idle one is looked at, too: the replay says which change helps.

Remedy: one client (session) for all requests; a keep-alive limit as large as the pool's limit or, where the pool scans, no more requests at a time than it keeps
connections; keep-alive at the server.

Sources: encode/httpcore#1035; vespa-engine/pyvespa#967
"""

from dataclasses import replace
from typing import Literal

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.machine import Machine
from loopdiag.causes.changes import change
from loopdiag.causes.claims import Effect, beside_scan, claim, once_unscanned, removed
from loopdiag.causes.figures import Figure, figure
from loopdiag.causes.lines import client_line, made_line, request_line
from loopdiag.causes.programs import programmed
from loopdiag.causes.replays import crowd_at_top, left
from loopdiag.causes.reuse import Why, kept, lost, why
from loopdiag.causes.sightings import pool_limit
from loopdiag.model.attribution import Attribution, Intervention
from loopdiag.model.diagnosis import Side
from loopdiag.model.law import NotEnough
from loopdiag.model.scenario import Scenario

DETAILS: dict[Why, str] = {
    "session": "session per request",
    "server": "the server closes",
    "eviction": "keep-alive eviction",
    "expiry": "keep-alive expires",
    "closed": "closed after each answer",
}
REMEDIES: dict[Why, str] = {
    "session": "make one session (client) and share it between the requests",
    "server": "have the server keep connections alive",
    "eviction": "set the keep-alive limit as high as the limit of connections",
    "expiry": "keep idle connections for longer",
    "closed": "share one client, and keep its connections alive on both sides",
}


Setting = Literal["keepalive", "few", "plain"]
#: a change is worth trying where the replay leaves no more than this of the slope: less is hard to tell from scatter
HELPS = 0.75


class NoConnectionReuse:
    """A new connection where an old one would do."""

    name = "no_connection_reuse"
    side: Side = "client"
    needs = frozenset({"occupancy"})

    def attribute(self, evidence: Evidence) -> Attribution | NotEnough | None:
        """The share that goes where every connection is kept; with a scanning pool, the share that it has once the scan is gone, if larger."""
        opened, crowded = lost(evidence), crowd_at_top(evidence)
        if opened is None or crowded is None:
            return None
        alone = removed(evidence, kept, "connect", "ssl", "dns", "loop/tls-handshake")
        if isinstance(alone, NotEnough):
            return alone
        effect, interplay = _beside_scan(evidence, alone)
        figures = [
            figure("connections opened", opened, "a request"),
            figure("open at a time, at most", crowded.connections, "connections"),
        ]
        if evidence.machine is not None:
            each = evidence.machine.open_tls + evidence.machine.open_tcp
            figures.append(figure("CPU of the client for a connection", 1e3 * each, "ms"))
        reason, limits, detail = why(evidence), evidence.machine, DETAILS[why(evidence)]
        if reason == "eviction" and limits is not None and limits.counts_all:
            detail += f": keep-alive limit {limits.keepalive}, and every connection of the pool counts"
        if interplay:
            alone_ms, slope_ms = alone.predicted.value, evidence.slope.value
            detail += (
                f"; beside the pool's scan: keeping connections alone would make it {alone_ms:.3g} instead of {slope_ms:.3g} ms/request"
            )
        made, remedy = setting(evidence), REMEDIES[reason]
        predicted = None if made is None else left(evidence, made[1])
        if made is not None and made[0] != "keepalive" and limits is not None:
            remedy = (
                f"let at most {limits.keepalive} requests at a time reach the client (asyncio.Semaphore({limits.keepalive})): of so many connections its pool"
                " keeps all; or take a client whose pool counts idle connections alone"
            )
        place = (client_line(evidence) if _none_kept(evidence) else made_line(evidence, "session")) or request_line(evidence)
        return claim(self, evidence, effect, figures=[*figures, *interplay], remedy=remedy, detail=detail, predicted=predicted, place=place)

    def intervene(self, scenario: Scenario, evidence: Evidence) -> Intervention | None:
        """Keep as many connections as there may be; at the embedded server, keep-alive, as an experiment."""
        reason = why(evidence)
        if reason == "session":
            return change(scenario, {"knobs.shared_session": True}) if programmed(evidence) else None
        if reason == "server":
            return change(scenario, {"target.service.keep_alive": True, "target.service.requests_per_connection": None}, remedy=False)
        if reason == "expiry":
            return change(scenario, {"pool.keepalive_s": None})
        return _by_setting(scenario, evidence)


def _by_setting(scenario: Scenario, evidence: Evidence) -> Intervention | None:
    """The change that the replay says helps; else more kept connections, where the pool evicts them."""
    if (made := setting(evidence)) is not None and evidence.machine is not None:
        if made[0] == "few":
            return change(scenario, {"workload.concurrency": evidence.machine.keepalive})
        if made[0] == "plain":
            return change(scenario, {"target.tls": "off"}, remedy=False)
    if why(evidence) == "eviction" and evidence.client != "aiohttp":
        return change(scenario, {"pool.keepalive": pool_limit(evidence) or 0})
    return None


def _none_kept(evidence: Evidence) -> bool:
    """Whether a program's own pool keeps no idle connection (aiohttp's ``force_close``); the counter is one more than the limit."""
    return evidence.counters.get(f"program.keepalive.{evidence.client}") == 1


def setting(evidence: Evidence) -> tuple[Setting, Machine] | None:
    """Which change keeps connections, or makes new ones cheap, where a pool that counts them all evicts: the first that the replay says helps; None elsewhere.

    More kept connections, or as few requests at a time as connections are kept; where neither helps, because idle connections or the wait for one cost as much,
    an experiment without TLS tells what new ones take.
    """
    machine, scenario = evidence.machine, evidence.scenario
    if why(evidence) != "eviction" or machine is None or not machine.counts_all:
        return None
    now = left(evidence, machine)
    choices: list[tuple[Setting, Machine]] = [("keepalive", replace(machine, keepalive=machine.limit))]
    if machine.keepalive and scenario.workload.kind == "closed" and (machine.workers is None or machine.workers > machine.keepalive):
        choices.append(("few", replace(machine, workers=machine.keepalive)))
    for made in choices:
        then = left(evidence, made[1])
        if now is not None and then is not None and then.value < HELPS * now.value:
            return made
    if not scenario.target.live and scenario.target.tls != "off":
        return "plain", replace(machine, open_tls=0.0, handshake=0.0, server_handshake=0.0)
    return None


def _beside_scan(evidence: Evidence, alone: Effect) -> tuple[Effect, list[Figure]]:
    """The effect to claim, and the figures that tell how reuse and a scanning pool act on each other."""
    machine = evidence.machine
    if machine is None or machine.scan <= 0:
        return alone, []
    alone, scan, together = beside_scan(evidence, machine, kept)
    figures = [
        figure("slope replayed with connections kept alone", alone.predicted.value, "ms/request"),
        figure("slope replayed without the pool scan alone", scan.predicted.value, "ms/request"),
        figure("slope replayed with both", together.predicted.value, "ms/request"),
    ]
    then = once_unscanned(machine, alone, scan, together)
    return (then if then.share.value > alone.share.value else alone), figures


CAUSE = NoConnectionReuse()
