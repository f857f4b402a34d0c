"""Redirects: a request is sent on so many times, from address to address, before it is answered."""

import re

PREFIX = re.compile(rb"/-/([0-9]{1,3})(/.*)")


class Redirects:
    """Where each request is sent; the scenario's own address is the first, and those that follow count the hops.

    Args:
        hops: how often a request is sent on; 0: never.
    """

    def __init__(self, hops: int) -> None:
        self._hops = hops

    def follow(self, url: bytes) -> tuple[bytes, bytes]:
        """Take a request's target apart.

        Returns:
            The target as the scenario knows it, and where the request is sent next; empty where it is answered.
        """
        if not self._hops:
            return url, b""
        match = PREFIX.fullmatch(url)
        made, path = (int(match[1]), match[2]) if match else (0, url)
        return path, b"/-/%d%b" % (made + 1, path) if made < self._hops else b""
