"""The timeline of requests that libcurl made: what it says of each one's phases, put on the trial's clock.

libcurl tells phases as microseconds since it began with the request, but not when that was.  It also calls back with the first line of the answer, which is
stamped, and says after how long that came: the difference is its beginning.
"""

import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loopdiag.lab.clients.curl import Transfer

UNSEEN = {
    "connections.tls_cpu_ns": "libcurl tells no CPU",
    "connections.closed": "libcurl does not tell when it closes a connection",
    "redirects": "of a request that was sent on, libcurl tells the sum of its phases: only its beginning and its end are shown",
    "failures": "of a request without any answer only the beginning and the end are shown: its phases have no moment that they could be counted from",
}


class Stamps:
    """Tells the instruments of each request, when it began and after it ended.

    Args:
        driving: the injected instruments' part for drivers.
    """

    def __init__(self, driving: ModuleType) -> None:
        self._driving = driving
        self._links: dict[int, int] = {}  # libcurl's number of a connection → what it is known by

    def begin(self, number: int, due_ns: int) -> int:
        """A request is given to libcurl; its row."""
        at = time.perf_counter_ns()
        row: int = self._driving.opened(number, due_ns or at, at)
        return row

    def end(self, transfer: "Transfer", wrong: str | None, *, whole: bool) -> None:
        """A request has ended; `wrong`: the kind of its failure, `whole`: it was answered."""
        done, driving, row, easy = time.perf_counter_ns(), self._driving, transfer.row, transfer.easy
        status = easy.getinfo(easy.RESPONSE_CODE)
        driving.answered(row, status, easy.getinfo(easy.HEADER_SIZE) + easy.getinfo(easy.SIZE_DOWNLOAD_T) if status else 0)
        if wrong is not None and not wrong.startswith("status-"):
            driving.flagged(row, "timed_out" if wrong == "timeout" else "error")
        if transfer.first_ns and not transfer.tries and not easy.getinfo(easy.REDIRECT_COUNT):
            self._phases(transfer, whole=whole)
        driving.stamped(row, done=done)

    def _phases(self, transfer: "Transfer", *, whole: bool) -> None:
        easy, row = transfer.easy, transfer.row
        began = transfer.first_ns - int(easy.getinfo(easy.STARTTRANSFER_TIME_T)) * 1000

        def after(what: int) -> int:
            return began + int(easy.getinfo(what)) * 1000

        assigned, sending = after(easy.QUEUE_TIME_T), after(easy.PRETRANSFER_TIME_T)
        sent = max(sending, min(transfer.first_ns, after(easy.POSTTRANSFER_TIME_T)))
        stamps = {"enqueued": min(began, assigned), "assigned": assigned, "resumed": sending, "send_start": sending, "send_end": sent}
        stamps |= {"first_byte": transfer.first_ns, "headers": transfer.headers_ns or transfer.first_ns}
        if whole:
            stamps |= dict.fromkeys(("last_byte", "body", "released"), transfer.last_ns or transfer.first_ns)
        self._driving.stamped(row, **stamps)
        self._connection(easy, row, assigned, sending)

    def _connection(self, easy: Any, row: int, assigned: int, sending: int) -> None:
        known, began = easy.getinfo(easy.CONN_ID), sending - easy.getinfo(easy.PRETRANSFER_TIME_T) * 1000
        if known not in self._links:
            looked_up, connected = (began + easy.getinfo(what) * 1000 for what in (easy.NAMELOOKUP_TIME_T, easy.CONNECT_TIME_T))
            times = {
                "dns_start": assigned,
                "dns_end": max(assigned, looked_up),
                "tcp_start": max(assigned, looked_up),
                "tcp_end": connected,
            }
            if secured := easy.getinfo(easy.APPCONNECT_TIME_T):
                times |= {"tls_start": connected, "tls_end": began + secured * 1000}
            self._links[known] = self._driving.connected(row, easy.getinfo(easy.LOCAL_PORT), **times, made=sending)
        self._driving.used(row, self._links[known])
