"""HTTP Archive 1.2: every timeline trial a page, every attempt an entry; times in milliseconds.

``blocked`` runs from creation to a usable connection without dns and connect; ``connect`` contains ``ssl``, as the format asks; -1 means
"not applicable" (a reused connection neither resolves nor connects).  ``time`` is the sum of the timings without -1, ssl not added again; what
comes before creation or after the last byte is not part of it and stands in ``_loopdiag``.  ``wait`` lasts until the loop read the first byte:
how long that byte lay in the kernel before, or the bounds of it, stands in ``_loopdiag`` too.  Address and method of
the requests of a user's program are not recorded, and the archive says so in their place.
"""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from loopdiag.model.document import Document
from loopdiag.model.events import PHASES
from loopdiag.model.scenario import Scenario
from loopdiag.model.timeline import Attempt, Timeline
from loopdiag.report.addresses import target_url

NOT_RECORDED = "not-recorded"  # of a user's program
PARTS = ("blocked", "dns", "connect", "send", "wait", "receive")


def milliseconds(nanoseconds: int) -> float:
    """Milliseconds, exact to the nanosecond."""
    return round(nanoseconds / 1e6, 6)


def spans(attempt: Attempt) -> dict[str, int]:
    """Nanoseconds by HAR name (of ``events.PHASES``), only of phases that were observed."""
    sums: dict[str, int] = {}
    for phase in attempt.phases:
        name = PHASES[phase.name][2]
        sums[name] = sums.get(name, 0) + phase.end_ns - phase.start_ns
    return sums


def timings(attempt: Attempt) -> dict[str, float]:
    """The HAR timings of one attempt."""
    seen = spans(attempt)
    connect = [seen[name] for name in ("connect", "ssl") if name in seen]
    optional = {
        "blocked": seen.get("blocked"),
        "dns": seen.get("dns"),
        "connect": sum(connect) if connect else None,
        "ssl": seen.get("ssl"),
    }
    made = {name: -1 if value is None else milliseconds(value) for name, value in optional.items()}
    return made | {name: milliseconds(seen.get(name, 0)) for name in ("send", "wait", "receive")}


def total(parts: dict[str, float]) -> float:
    """The entry's time: the timings without -1; ssl is within connect."""
    return round(sum(parts[name] for name in PARTS if parts[name] >= 0), 6)


def own_fields(line: Timeline, attempt: Attempt) -> dict[str, Any]:
    """What HAR has no field for."""
    return {
        "trial": line.trial,
        "request": attempt.request,
        "attempt": attempt.number,
        "hop": attempt.hop,
        "assignments": attempt.assignments,
        "kernel_wait_ns": kernel_wait_ns(attempt),
        "lag_low_ns": attempt.lag_low_ns,
        "lag_high_ns": attempt.lag_high_ns,
        "flags": list(attempt.flags),
        "stamps_ns": attempt.stamps,
        "phases_ns": [[phase.name, phase.start_ns, phase.end_ns] for phase in attempt.phases],
    }


def kernel_wait_ns(attempt: Attempt) -> int | None:
    """How long the first byte lay in the kernel before the loop read it; None: the kernel's stamp was not observed."""
    seen = attempt.stamps
    return max(0, seen["first_byte"] - seen["rx_kernel"]) if "first_byte" in seen and "rx_kernel" in seen else None


def entry(document: Document, line: Timeline, attempt: Attempt, began: datetime) -> dict[str, Any]:
    """One attempt; `began` is the trial's first stamp on the wall clock."""
    (method, url, version), parts = asked(document.recording.scenario, attempt), timings(attempt)
    known = attempt.status in HTTPStatus._value2member_map_
    size = -1 if attempt.wire_bytes is None else attempt.wire_bytes
    query = [{"name": key, "value": value} for key, value in parse_qsl(urlsplit(url).query)]
    made: dict[str, Any] = {
        "pageref": line.trial,
        "startedDateTime": stamp(began + timedelta(microseconds=created_ns(attempt) / 1e3)),
        "time": total(parts),
        "request": message(version) | {"method": method, "url": url, "queryString": query, "bodySize": -1},
        "response": message(version)
        | {
            "status": attempt.status or 0,
            "statusText": HTTPStatus(attempt.status).phrase if known and attempt.status else "",
            "content": {"size": size, "mimeType": "x-unknown"},
            "redirectURL": "",
            "bodySize": size,
        },
        "cache": {},
        "timings": parts,
        "_loopdiag": own_fields(line, attempt),
    }
    return made if attempt.connection is None else made | {"connection": str(attempt.connection)}


def asked(scenario: Scenario, attempt: Attempt) -> tuple[str, str, str]:
    """Method, address and version of the attempt's request."""
    if scenario.program is not None:
        return NOT_RECORDED, f"http://{NOT_RECORDED}.invalid/{attempt.request}", "HTTP/2" if "http2" in attempt.flags else NOT_RECORDED
    return scenario.workload.method, target_url(scenario.target, attempt.request), f"HTTP/{scenario.target.http}"


def message(version: str) -> dict[str, Any]:
    """What a request and a response share; headers and cookies are not recorded."""
    return {"httpVersion": version, "cookies": [], "headers": [], "headersSize": -1}


def created_ns(attempt: Attempt) -> int:
    """When the attempt was created, on the trial's clock."""
    first = attempt.phases[0].start_ns if attempt.phases else min(attempt.stamps.values(), default=0)
    return attempt.stamps.get("created", first)


def stamp(moment: datetime) -> str:
    """ISO 8601 with milliseconds, as HAR asks."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def page(line: Timeline, began: datetime) -> dict[str, Any]:
    """One trial."""
    title = f"{line.arm}, N = {line.n}, repetition {line.repetition}"
    return {
        "id": line.trial,
        "startedDateTime": stamp(began),
        "title": title,
        "pageTimings": {"onContentLoad": -1, "onLoad": milliseconds(line.total_ns)},
        "_loopdiag": {"lag": line.lag, "process": line.process, "not_observed": line.not_observed},
    }


def starts(document: Document) -> list[datetime]:
    """The wall time of each timeline's first stamp: the run's start, moved by the monotonic clock since its first trial."""
    started = datetime.fromisoformat(document.recording.started)
    started = started if started.tzinfo else started.replace(tzinfo=UTC)
    trials = [t.t0_ns for t in document.recording.trials if t.t0_ns is not None]
    zero = min((*trials, *(line.t0_ns for line in document.timelines)), default=0)
    return [started + timedelta(microseconds=(line.t0_ns - zero) / 1e3) for line in document.timelines]


def render(document: Document) -> str:
    """All timeline trials of the document as one archive."""
    moments = list(zip(document.timelines, starts(document), strict=True))
    log = {
        "version": "1.2",
        "creator": {"name": "loopdiag", "version": document.recording.loopdiag},
        "pages": [page(line, began) for line, began in moments],
        "entries": [entry(document, line, attempt, began) for line, began in moments for attempt in line.attempts],
        "comment": "startedDateTime is exact to the run's start; durations are exact to the nanosecond",
    }
    return msgspec.json.encode({"log": log}).decode()
