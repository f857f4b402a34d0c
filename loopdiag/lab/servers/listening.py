"""Sockets of the embedded target: loopback only, IPv4 and, where there is one, IPv6 at the same port."""

import errno
import socket

from loopdiag.errors import InputError

BACKLOG = 4096  # the kernel cuts it to net.core.somaxconn
ATTEMPTS = 20


def open_sockets(port: int, backlog: int | None = None, *, ipv6: bool = True) -> list[socket.socket]:
    """Listen at `port` of 127.0.0.1 and ::1; 0 takes one that is free on both.

    Args:
        port: the same for both.
        backlog: so many connections wait to be accepted; None: as many as the system allows.
        ipv6: whether to listen at ::1, too.

    Raises:
        InputError: the port is taken or not permitted.
    """
    for _ in range(1 if port else ATTEMPTS):
        opened: list[socket.socket] = []
        try:
            opened.append(_listen(socket.AF_INET, "127.0.0.1", port, backlog))
            chosen = opened[0].getsockname()[1]
            if ipv6 and _has_ipv6():
                opened.append(_listen(socket.AF_INET6, "::1", chosen, backlog))
        except OSError as error:
            for listening in opened:
                listening.close()
            fault = error
        else:
            return opened
    reason = "is taken" if fault.errno == errno.EADDRINUSE else f"cannot be used: {fault.strerror}"
    raise InputError(f"port {port} {reason}; another port, or 0 for any free one, would be right")


def silent(port: int) -> list[socket.socket]:
    """Make `port` of ::1 lose every SYN: its listening queue holds one connection, our own; keep what is returned.

    Raises:
        InputError: this system has no IPv6.
    """
    try:
        listening = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        listening.bind(("::1", port))
        listening.listen(0)
        own = socket.create_connection(("::1", port))
    except OSError as error:
        raise InputError(f'target.service.ipv6: "silent" cannot be played here: ::1 {error.strerror}; "serves" would be right') from error
    return [listening, own]


def _listen(family: socket.AddressFamily, address: str, port: int, backlog: int | None) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG if backlog is None else backlog)
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
