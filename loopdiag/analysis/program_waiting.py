"""What a program's requests waited for in its own code: primitives, requests before them in their task, batches, sleeps."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from statistics import mean, median

from loopdiag.analysis.critical_path import path
from loopdiag.analysis.occupancy import at_most
from loopdiag.analysis.program_index import SLACK_NS, Event, Index
from loopdiag.analysis.program_seen import Batches, Behind, Chain, Sleep
from loopdiag.model.program import Activity, Place
from loopdiag.model.timeline import Timeline

PRIMITIVES = frozenset({"semaphore", "limiter", "lock", "queue-get", "queue-put", "condition", "event", "barrier"})
#: so many primitives are told, those that were waited for longest
MOST = 20
#: kinds of waits that may end a batch
TOGETHER = frozenset({"gather", "wait", "task", "future"})
_latest: list[tuple[Timeline, Index]] = []


def place_of(line: Timeline, number: int) -> Place | None:
    """The program's line with this number; None: unknown."""
    places = line.activity.places if line.activity else ()
    return places[number] if 0 < number < len(places) else None


def commonest(line: Timeline, numbers: Iterable[int]) -> Place | None:
    """The line that occurs most among numbers of places, unknown ones left out."""
    counts = Counter(number for number in numbers if number)
    return place_of(line, counts.most_common(1)[0][0]) if counts else None


def index_of(line: Timeline) -> Index:
    """Who did what when in the trial; that of the last trial asked about is kept, because one view follows another."""
    if not _latest or _latest[0][0] is not line:
        _latest[:] = [(line, Index.of(line.activity or Activity(), line.attempts))]
    return _latest[0][1]


def made_at(line: Timeline) -> Place | None:
    """The line that made most of the requests."""
    return commonest(line, line.activity.requests.place) if line.activity else None


def behind(line: Timeline) -> tuple[Behind, ...]:
    """The primitives that requests waited for before they were made, longest wait first."""
    index = index_of(line)
    groups: dict[tuple[str, int], list[tuple[int, Event]]] = defaultdict(list)
    for maker, events in index.events.items():
        next_is_request = False
        for event in reversed(events):
            if event.request >= 0:
                next_is_request = True
            elif next_is_request and (kind := index.kind(event.wait)) in PRIMITIVES:
                groups[kind, index.activity.waits.number[event.wait]].append((maker, event))
    longest = sorted(groups.items(), key=lambda group: -sum(event.end_ns - event.start_ns for _, event in group[1]))[:MOST]
    return tuple(_behind(line, index, kind, number, waited) for (kind, number), waited in longest)


def _behind(line: Timeline, index: Index, kind: str, number: int, waited: list[tuple[int, Event]]) -> Behind:
    waits, tasks, makers = index.activity.waits, index.activity.tasks, {maker for maker, _ in waited}
    rows = [event.wait for _, event in waited]
    value = 1 if kind == "lock" else max(waits.value[row] for row in rows)
    kin = {tasks.place[maker - 1] for maker in makers} - {0}
    alike = [request for request, task in index.owner.items() if task in makers or (task and tasks.place[task - 1] in kin)]
    if kind in {"queue-get", "queue-put"}:
        value = len(makers)
        passed = sum(task in makers for task in index.owner.values())
    else:
        passed = len(rows) + value
    return Behind(
        kind=kind,
        number=number,
        value=value,
        place=commonest(line, (waits.place[row] for row in rows)),
        waits=len(rows),
        share=min(1.0, passed / max(1, len(index.attempts_of))),
        in_flight=at_most(index.calls[request] for request in alike if request in index.calls),
    )


def longest_chain(line: Timeline) -> Chain | None:
    """The longest row of requests made one after the other: by one task or thread, or by all of the program, where never two are under way."""
    index = index_of(line)
    if not index.calls:
        return None
    at_once = at_most(index.calls.values())
    makers: dict[int, list[int]] = defaultdict(list)
    for request in sorted(index.calls, key=lambda request: index.calls[request]):
        makers[index.maker(request)].append(request)
    makers.pop(0, None)
    maker, chain = max(makers.items(), key=lambda each: len(each[1]), default=(0, []))
    if at_once == 1:
        chain = sorted(index.calls, key=lambda request: index.calls[request])
    if not chain:
        return None
    wanted, made = set(chain), index.activity.requests
    return Chain(
        requests=tuple(chain),
        share=len(chain) / len(index.calls),
        place=commonest(line, (place for place, request in zip(made.place, made.request, strict=True) if request in wanted)),
        at_once=at_once,
        thread=maker < 0,
    )


def workers(line: Timeline) -> tuple[int, float]:
    """How many tasks and threads made requests, and how many requests each made, on average."""
    index = index_of(line)
    makers = Counter(maker for request in index.calls if (maker := index.maker(request)))
    return len(makers), sum(makers.values()) / len(makers) if makers else 0.0


def batches(line: Timeline) -> Batches | None:
    """The batches, where at least two follow each other and hold most of the requests; None: there are none."""
    index = index_of(line)
    best: Batches | None = None
    together = {
        task: [event for event in events if event.request < 0 and index.kind(event.wait) in TOGETHER]
        for task, events in index.events.items()
    }
    waiting = {task: waits for task, waits in together.items() if len(waits) > 1}
    for task, calls in _of_ancestors(index, waiting).items():
        found = _batches(line, index, calls, waiting[task]) if len(calls) * 2 > len(index.calls) else None
        if found is not None and (best is None or found.share > best.share):
            best = found
    return best if best is not None and best.share > 0.5 else None


def _of_ancestors(index: Index, chosen: Container[int]) -> dict[int, list[tuple[int, int]]]:
    """Of the tasks chosen, task → calls of the requests that were made by tasks that it made, or that those made; parents have smaller numbers."""
    nearest = [0]
    for task, above in enumerate(index.activity.tasks.parent, 1):
        known = above if 0 < above < task else 0
        nearest.append(known if known in chosen else nearest[known])
    found = defaultdict[int, list[tuple[int, int]]](list)
    for request, maker in index.owner.items():
        task = nearest[maker] if request in index.calls else 0
        while task:
            found[task].append(index.calls[request])
            task = nearest[task]
    return found


def _batches(line: Timeline, index: Index, calls: Sequence[tuple[int, int]], waits: Sequence[Event]) -> Batches | None:
    ends = [event.end_ns for event in waits]
    collected: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for call in calls:
        place = bisect_left(ends, call[1] - SLACK_NS)
        if place < len(ends):
            collected[place].append(call)
    chosen = []
    for place, batch in sorted(collected.items()):
        if place and min(batch)[0] < ends[place - 1] - SLACK_NS:
            return None  # the next ones were under way before: nobody waited for all
        if len(batch) > 1:
            chosen.append((waits[place], batch))
    if len(chosen) < 2:
        return None
    sizes = tuple(len(batch) for _, batch in chosen)
    lost = sum(max(end for _, end in batch) - mean(end for _, end in batch) for _, batch in chosen)
    rows = [event.wait for event, _ in chosen]
    return Batches(
        sizes=sizes,
        place=commonest(line, (index.activity.waits.place[row] for row in rows)),
        kind=index.kind(rows[0]),
        slack=min(1.0, lost / line.total_ns) if line.total_ns else 0.0,
        share=sum(sizes) / len(index.calls),
    )


def sleeps(line: Timeline) -> tuple[Sleep, ...]:
    """The lines that sleep, most on the critical path first."""
    index, groups = index_of(line), defaultdict[int, list[Event]](list)
    if not index.activity.waits.kind:
        return ()
    for events in index.events.values():
        for event in events:
            if event.request < 0 and index.kind(event.wait) == "sleep":
                groups[index.activity.waits.place[event.wait]].append(event)
    on_path = _on_path(line, groups) if groups else {}
    return tuple(
        sorted((_sleep(line, number, rows, on_path.get(number, 0)) for number, rows in groups.items()), key=lambda each: -each.on_path_ns)
    )


def _sleep(line: Timeline, number: int, rows: list[Event], on_path_ns: int) -> Sleep:
    return Sleep(
        place=place_of(line, number),
        count=len(rows),
        median_ns=round(median(event.end_ns - event.start_ns for event in rows)),
        at_once=at_most((event.start_ns, event.end_ns) for event in rows),
        on_path_ns=on_path_ns,
    )


def _on_path(line: Timeline, groups: dict[int, list[Event]]) -> dict[int, int]:
    """Place → nanoseconds of the critical path in sleeps; a sleep that begins where a step does is that step's."""
    begins = {event.start_ns: number for number, rows in groups.items() for event in rows}
    spans = sorted((event.start_ns, event.end_ns, number) for number, rows in groups.items() for event in rows)
    found: dict[int, int] = defaultdict(int)
    for step in path(line):
        if step.account == "sleep":
            number = begins.get(step.start_ns)
            if number is None:
                place = bisect_left(spans, (step.start_ns + 1,)) - 1
                number = spans[max(0, place)][2]
            found[number] += step.end_ns - step.start_ns
    return found
