"""What the kernel knows of a TCP connection, asked once, when the connection is closed."""

import socket
import struct
from typing import Any

from .context import C
from .recorder import now
from .schema import MASK, TICK_SHIFT

CLOSED, RTT, RETRANSMITS = C["closed"], C["rtt_us"], C["retransmits"]

TCP_INFO = getattr(socket, "TCP_INFO", None)
#: of Linux's `struct tcp_info` (4.6 and later): its length up to `tcpi_min_rtt` (microseconds), and where that and `tcpi_total_retrans` stand in it;
#: the smoothed round trip is not the network's: a peer's delayed acknowledgements are in it, and with them its think time
INFO_BYTES, RTT_AT, RETRANSMITS_AT = 152, 148, 100
UNKNOWN_RTT = 0xFFFFFFFF

_word = struct.Struct("=I").unpack_from


def closing(links: "memoryview", link: int, transport: Any) -> None:
    """The connection in row `link` of `links` is about to be closed: stamp `closed`, and its shortest round trip and its retransmits where they can be read.

    Only the first call for a connection counts.  Never raises: a socket that is gone already, or is not TCP, leaves its columns at 0, "not observed";
    `retransmits` means something only beside an observed `rtt_us`.
    """
    if not link or links[link + CLOSED]:
        return
    links[link + CLOSED] = now() >> TICK_SHIFT & MASK
    if TCP_INFO is None:
        return
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, TCP_INFO, INFO_BYTES)
        rtt_us = _word(info, RTT_AT)[0]
        if rtt_us != UNKNOWN_RTT:
            links[link + RTT], links[link + RETRANSMITS] = rtt_us, _word(info, RETRANSMITS_AT)[0]
    except Exception:  # noqa: BLE001, S110 - whatever a foreign transport does when asked, the connection is closed as if nobody had
        pass
