"""Sockets of the embedded target: loopback only, IPv4 and, where there is one, IPv6 at the same port."""

import errno
import socket

from loopdiag.errors import InputError

BACKLOG = 4096  # the kernel cuts it to net.core.somaxconn
ATTEMPTS = 20


def open_sockets(port: int) -> list[socket.socket]:
    """Listen at `port` of 127.0.0.1 and ::1; 0 takes one that is free on both.

    Raises:
        InputError: the port is taken or not permitted.
    """
    for _ in range(1 if port else ATTEMPTS):
        opened: list[socket.socket] = []
        try:
            opened.append(_listen(socket.AF_INET, "127.0.0.1", port))
            chosen = opened[0].getsockname()[1]
            if _has_ipv6():
                opened.append(_listen(socket.AF_INET6, "::1", chosen))
        except OSError as error:
            for listening in opened:
                listening.close()
            fault = error
        else:
            return opened
    reason = "is taken" if fault.errno == errno.EADDRINUSE else f"cannot be used: {fault.strerror}"
    raise InputError(f"port {port} {reason}; another port, or 0 for any free one, would be right")


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as trial:
            trial.bind(("::1", 0))
    except OSError:
        return False
    return True
