"""The replay model of one arm: one loop, a pool, a network, a server, with costs that were fitted to the recording.

Every factor is a field, so that "what if" is ``dataclasses.replace``; `analysis/replay.py` runs it on virtual time.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """All times in seconds.

    Attributes:
        limit: connections at most; None: no limit.
        keepalive: idle connections kept at most; None: all.
        counts_all: the keep-alive bound counts every connection of the pool, as httpcore's does, instead of the idle ones.
        blocking: calls block threads of their own: between two steps of the pool that wait for nothing no other call runs, as tasks of a loop do.
        reusable: requests that a connection may serve; None: any number (1: `Connection: close`).
        workers: requests under way at most before the client is asked; None: all at once.
        interval: between arrivals of an open loop; None: closed.
        start, finish: CPU of the loop per request, before it is sent, and from its first byte to its end (decoding included).
        decode: of `finish`, decoding inside the timed part.
        plant: of `finish`, the planted work.
        open_tcp, open_tls: CPU of the loop per new connection.
        scan: CPU of the loop per request in the pool and connection, at each start and end of a request (the pool's scan).
        grow: CPU of the loop per request and request of the trial (other work that grows).
        once: CPU of the loop before the first request, once a trial.
        sending: share of `start` that is spent after the pool has given a connection.
        pause, pause_grow: garbage collection per request, and per request and request of the trial.
        wake: CPU of the loop for each time that it had nothing to do and is woken.
        block: the loop is held off the CPU so long by each request, after its answer.
        thread: each request waits so long for a call in the executor, after its answer; threads: that the executor has.
        lookup: DNS per look-up; lookups_at_once: threads that do it; cached: whether one look-up serves all.
        lookup_cpu: CPU of the loop per look-up.
        connect, handshake: outside time per new connection, without the client's CPU.
        server_handshake: CPU of the server per handshake; server_cpu: per request; server_threads: cores it has.
        think: samples of the server's think time, quantiles, ascending; the replay draws from them in a fixed shuffled order.
        gap: between the first byte and the last of an answer.
        server_limit: requests in service at most; None: no limit.
        server_rate: requests a second that it admits; None: any.
        retry_after: a request that is not admitted is refused, and comes again so much later; None: it waits at the server.
        link: each answer has the link that all share for so long.
        streams: requests at once on one connection (HTTP/2); None: one.
        factor: measured T over the replay's, over all N (1: exact); miss: worst relative miss over N after `factor`.
    """

    limit: int | None = None
    keepalive: int | None = None
    counts_all: bool = False
    blocking: bool = False
    reusable: int | None = None
    workers: int | None = None
    interval: float | None = None
    start: float = 0.0
    finish: float = 0.0
    decode: float = 0.0
    plant: float = 0.0
    open_tcp: float = 0.0
    open_tls: float = 0.0
    scan: float = 0.0
    grow: float = 0.0
    once: float = 0.0
    sending: float = 0.5
    pause: float = 0.0
    pause_grow: float = 0.0
    wake: float = 0.0
    block: float = 0.0
    thread: float = 0.0
    threads: int = 1
    lookup: float = 0.0
    lookup_cpu: float = 0.0
    lookups_at_once: int = 4
    cached: bool = False
    connect: float = 0.0
    handshake: float = 0.0
    server_handshake: float = 0.0
    server_cpu: float = 0.0
    server_threads: int = 1
    think: tuple[float, ...] = (0.0,)
    gap: float = 0.0
    server_limit: int | None = None
    server_rate: float | None = None
    retry_after: float | None = None
    link: float = 0.0
    streams: int | None = None
    factor: float = 1.0
    miss: float = 0.0
