"""How many requests were where: in flight, in the pool's queue, on connections; by hand-made timelines and by laws."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from path_parts import life, line, ns, sleeping

from loopdiag.analysis.occupancy import at_most, occupancy, union
from loopdiag.model.timeline import Attempt, Connection


def pooled(request: int, assigned: float, released: float, connection: int, *, reused: bool) -> Attempt:
    """A request made at once, which waits in the pool until it is assigned a connection."""
    phases = [("prepare", 1), ("pool", assigned), ("wait", released), ("finish", released + 1)]
    marks = {"enqueued": 1, "assigned": assigned, "released": released}
    return life(request, 0, phases, marks, connection=connection, flags=("reused",) if reused else ())


def test_a_limit_of_two() -> None:
    # four requests over two connections: two in flight, two in the queue for the first half, half of the requests on a used connection
    rows = [pooled(i, 1, 100, i, reused=False) for i in (1, 2)] + [pooled(i + 2, 100, 200, i, reused=True) for i in (1, 2)]
    links = tuple(Connection(number=i, request=i, stamps={"tcp_start": ns(1), "made": ns(2)}) for i in (1, 2))
    found = occupancy(line(200, rows, sleeping(200, (2, 100), (101, 200)), connections=links))
    assert (found.in_flight, found.queued, found.connections, found.opened) == (2, 2, 2, 2)
    assert found.in_flight_mean == pytest.approx(2 * 199 / 200)
    assert found.queued_mean == pytest.approx(2 * 99 / 200)
    assert found.reused == 0.5
    assert found.idle_in_queue == pytest.approx(98 / 200)
    assert found.before_client == 4


def test_closed_connections_are_not_open() -> None:
    # two connections, one after the other
    links = (
        Connection(number=1, stamps={"tcp_start": ns(1), "closed": ns(10)}),
        Connection(number=2, stamps={"tcp_start": ns(10), "made": ns(11)}),
    )
    found = occupancy(line(50, [pooled(1, 1, 9, 1, reused=False)], connections=links))
    assert (found.connections, found.opened) == (1, 2)


def test_what_was_not_observed_is_not_zero() -> None:
    # no connection was seen, no pool, and no loop
    found = occupancy(line(10, [life(1, 0, [("unattributed", 10)])]))
    assert (found.reused, found.before_client, found.loop_seen) == (None, None, False)


def test_a_trial_without_attempts() -> None:
    # nothing was anywhere
    found = occupancy(line(0, []))
    assert (found.in_flight, found.queued, found.opened, found.reused) == (0, 0, 0, None)


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple), max_size=12)


@given(SPANS)
def test_at_most_and_union_agree_with_counting(spans: list[tuple[int, int]]) -> None:
    # moment by moment
    covering = [sum(begin <= at < end for begin, end in spans) for at in range(60)]
    assert at_most(spans) == max(covering, default=0)
    merged = union(spans)
    assert sum(end - begin for begin, end in merged) == sum(count > 0 for count in covering)
    assert all(a[1] < b[0] for a, b in pairwise(merged))
