"""Connections that answers still hold when a loop's run or the program ends, and aiohttp's answers that the garbage collector had to give back.

An answer whose head came, whose body nobody read, and whose connection was not given back until then, or only long after nothing came any more, has kept a place in its
pool.  It is looked for before the interpreter's end begins: there, the libraries close what is left.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from . import made
from .calibration import opened
from .context import ENDS, A, Rows
from .loops import Watched, loops_of
from .patching import original, replace
from .schema import LIBRARIES, MASK, REQUEST, TICK_SHIFT, words

HEADERS, LAST, BODY, RELEASED = (A[name] for name in ("headers", "last_byte", "body", "released"))
FLAGS, STATUS, NUMBER = (A[name] for name in ("flags", "status", "request"))
R = words(REQUEST)
NAMES = {number: name for name, number in LIBRARIES.items()}
LATE = 20_000_000 >> TICK_SHIFT  # ticks; whoever reads an answer gives its connection back sooner after its last octet
SWITCHED = 101  # such a connection is no HTTP connection any more

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Have the account tell of what is still held where `module`'s loops or (``threading``) the program end; of aiohttp, count what the garbage collector gives back.

    Raises:
        Missing: a name is not there.
    """
    if module.__name__ == "aiohttp":
        _unclosed(rows, original(module, "ClientResponse"))
        return
    leaks = _leaks(rows)
    if module.__name__ == "threading":
        original(module, "_register_atexit")(lambda: _last_look(rows, leaks))  # runs before all that is registered with `atexit`
        return

    def attach(_loop: Any, watched: Watched) -> None:
        watched.end.append(("made_leaks", leaks.look))

    loops_of(rows, module).first_run.append(("made_leaks", attach))


def _last_look(rows: Rows, leaks: "Leaks") -> None:
    try:
        leaks.look()
    except Exception as error:  # noqa: BLE001 - the interpreter's end, which waits for the program's threads next, goes on
        rows.drop("made_leaks", error)


def _unclosed(rows: Rows, response: Any) -> None:
    counters = rows.counters

    def make(before: Method) -> Method:
        def __del__(self: Any, *args: Any) -> None:  # noqa: N807 - the patched method's own name
            if not self._closed and self._connection is not None:
                counters["unclosed.aiohttp"] = counters.get("unclosed.aiohttp", 0) + 1
            before(self, *args)

        return __del__

    replace(response, "__del__", make)


class Leaks:
    """Attempts whose answers held their connection unread: when it was looked for, or for long after nothing came any more."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._seen = 0  # rows that were looked at
        self._held: list[int] = []
        self._late: list[int] = []

    def look(self) -> None:
        """Look through the attempts that came since, and those that held one the last time."""
        if "attempts" not in vars(self._rows):
            return
        table = self._rows.attempts
        count, size = min(opened(table), table.reserved - 1), table.row_words
        rows = [*self._held, *range((self._seen + 1) * size, (count + 1) * size, size)]
        self._held, self._seen = [], count
        at = table.words
        for row in rows:
            if at[row + FLAGS] & ENDS or at[row + BODY] or at[row + STATUS] == SWITCHED:
                continue
            if not at[row + RELEASED]:
                self._held.append(row)
            elif at[row + HEADERS] and all(_late(at[row + since], at[row + RELEASED]) for since in (HEADERS, LAST)):
                self._late.append(row)

    def found(self) -> "list[int]":
        """The numbers of the requests whose answers came, and were not read."""
        if not self._held and not self._late:
            return []
        at = self._rows.attempts.words
        held = [row for row in self._held if at[row + HEADERS] and not at[row + BODY]]
        return [at[row + NUMBER] for row in (*self._late, *held)]

    def listed(self) -> "list[dict[str, Any]]":
        """As ``model.program.Made`` has them, by the line that made the request; sets the counters ``leaked.<library>``."""
        numbers = set(self.found())
        places: dict[int, int] = {}
        counters: dict[str, int] = {}
        for number, place, library in _requests(self._rows) if numbers else ():
            if number in numbers:
                numbers.discard(number)
                places[place] = places.get(place, 0) + 1
                name = "leaked." + NAMES.get(library, "")
                counters[name] = counters.get(name, 0) + 1
        if numbers:  # nobody noted who made them
            places[0] = places.get(0, 0) + len(numbers)
            counters["leaked."] = len(numbers)
        self._rows.counters.update(counters)
        return [{"what": "leaked-response", "place": place, "count": count, "value": 0, "cpu_ns": None} for place, count in places.items()]


def _late(since: int, until: int) -> bool:
    """Whether the stamp `until` is long after `since`, or there is no such."""
    return not since or LATE < (until - since) & MASK <= MASK >> 1


def _requests(rows: Rows) -> "Iterator[tuple[int, int, int]]":
    """Number, place and library of each request that was noted."""
    table = vars(rows).get("requests_made")
    if table is None:
        return
    at, size = table.words, table.row_words
    for row in range(size, min(opened(table) + 1, table.reserved) * size, size):
        yield at[row + R["request"]], at[row + R["place"]], at[row + R["library"]]


def _leaks(rows: Rows) -> Leaks:
    """The ones of this process."""
    found: Leaks | None = vars(rows).get("leaks")
    if found is None:
        made.tell(rows)
        leaks = found = rows.leaks = Leaks(rows)  # type: ignore[attr-defined] # of programs alone
        rows.told["made"] = lambda: [*made.listed(rows), *leaks.listed()]
    return found
