"""httpcore2, the fork of httpcore 1.x: its pool was rewritten, its seams kept their names.

What differs (2.16): a connection that is assigned is reserved, so that no other request is turned away from it (`assignments` stays 1, but for HTTP/2 connections that
end as HTTP/1.1 ones); a scan passes connections and queue once and stops early; connections that a cancelled request left behind unopened are dropped
(`pool_orphans` stays 0); HTTP/2 comes first in ALPN.  It stands on anyio, as httpcore does.
"""

from .httpcore_pool import install

__all__ = ["install"]
