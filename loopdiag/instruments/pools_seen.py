"""The limits of the connection pools that a program makes, as counters ``program.<limit>.<client>``, each one more than its value so that 0 is seen."""

from typing import Any

from .context import Rows

#: a pool that may hold so many has no limit
UNLIMITED = 1 << 30


def note_pool(rows: Rows, client: str, limit: Any, per_host: Any, keepalive: Any) -> None:
    """Note a new pool's limits (0: none; None: not known); of several pools of one client, the tightest count.

    That a pool keeps no idle connection counts where none of them keeps any.
    """
    for name, value in (("pool_limit", limit), ("pool_limit_per_host", per_host), ("keepalive", keepalive)):
        if not isinstance(value, int) or (name == "keepalive" and value >= UNLIMITED):
            continue  # not known, or every idle connection is kept
        key, noted = f"program.{name}.{client}", 1 + (0 if value >= UNLIMITED else value)
        before = rows.counters.get(key)
        if before in (None, 1) or 1 < noted < before:
            rows.counters[key] = noted
