"""The HTTP archive: the format's own invariants, which common validators do not check."""

import json
from datetime import datetime
from typing import Any

import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopdiag.model.events import PHASES
from loopdiag.model.scenario import Target
from loopdiag.model.timeline import Attempt
from loopdiag.report.addresses import target_url
from loopdiag.report.har import PARTS, kernel_wait_ns, render, timings, total


def entries(name: str = "small") -> list[dict[str, Any]]:
    """The archive's entries."""
    made: list[dict[str, Any]] = json.loads(render(documents.EDGES[name]()))["log"]["entries"]
    return made


def broken(parts: dict[str, float]) -> list[str]:
    """What HAR 1.2 asks of timings and these do not keep."""
    found = [f"{name} is missing" for name in ("send", "wait", "receive") if name not in parts]
    found += [f"{name} is negative" for name in ("send", "wait", "receive") if parts.get(name, 0) < 0]
    found += [f"{name} is negative, but not -1" for name, value in parts.items() if value < 0 and value != -1]
    found += ["ssl is not within connect"] if parts["ssl"] > parts["connect"] else []
    return found


@pytest.mark.parametrize("name", documents.EDGES)
def test_timings_keep_the_formats_rules(name: str) -> None:
    # mandatory parts are never negative, optional ones -1 or more, ssl lies within connect, time is their sum without ssl
    for entry in entries(name):
        parts = entry["timings"]
        assert broken(parts) == []
        assert entry["time"] == pytest.approx(sum(parts[part] for part in PARTS if parts[part] != -1), abs=1e-6)


def test_a_reused_connection_neither_resolves_nor_connects() -> None:
    # dns, connect and ssl are -1 where the attempt did not go through them
    reused = [e for e in json.loads(render(documents.full(timeline_ns=(200,))))["log"]["entries"] if "reused" in e["_loopdiag"]["flags"]]
    assert reused
    assert all(e["timings"][part] == -1 for e in reused for part in ("dns", "connect", "ssl"))


steps = st.lists(st.tuples(st.sampled_from(list(PHASES)), st.integers(0, 10**9)), max_size=20)


@given(steps)
def test_every_life_maps_to_legal_timings(life: list[tuple[str, int]]) -> None:
    # whatever the phases, the timings are legal, and time is what was spent between creation and the last byte
    ends, at = [], 0
    for name, length in life:
        at += length
        ends.append((name, at))
    parts = timings(Attempt(request=1, phases=documents.chain(0, ends)))
    assert broken(parts) == []
    counted = sum(length for name, length in life if not PHASES[name][2].startswith("_"))
    assert total(parts) == pytest.approx(counted / 1e6, abs=1e-5)


def test_what_har_has_no_name_for_is_kept_apart() -> None:
    # own fields begin with an underscore, and the stamps are there to the nanosecond
    document, entry = documents.small(), entries()[0]
    attempt = document.timelines[0].attempts[0]
    assert entry["_loopdiag"]["stamps_ns"] == attempt.stamps
    assert entry["_loopdiag"]["phases_ns"][0] == ["start", attempt.phases[0].start_ns, attempt.phases[0].end_ns]
    allowed = {"pageref", "startedDateTime", "time", "request", "response", "cache", "timings", "connection"}
    assert {key for key in entry if key not in allowed} == {"_loopdiag"}


def test_pages_are_trials() -> None:
    # each trial is a page, each entry belongs to one, and starts lie on the run's wall clock
    document = documents.small()
    log = json.loads(render(document))["log"]
    assert log["version"] == "1.2"
    assert [page["id"] for page in log["pages"]] == [line.trial for line in document.timelines]
    assert {entry["pageref"] for entry in log["entries"]} == {page["id"] for page in log["pages"]}
    starts = [datetime.fromisoformat(page["startedDateTime"]) for page in log["pages"]]
    assert (starts[1] - starts[0]).total_seconds() == pytest.approx(20, abs=0.002)
    assert starts[0] >= datetime.fromisoformat(document.recording.started)


def test_requests_without_an_answer_stay() -> None:
    # a failed attempt has status 0 and no connection; a blank one has no time
    failed = [e for e in entries("troubled") if "error" in e["_loopdiag"]["flags"]]
    blank = [e for e in entries("troubled") if "cancelled" in e["_loopdiag"]["flags"]]
    assert [(e["response"]["status"], "connection" in e) for e in failed] == [(0, False)]
    assert [e["time"] for e in blank] == [0]


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (Target(path="/api/{i}"), "http://localhost/api/7"),
        (Target(path="/api/{i}", tls="rsa-2048"), "https://localhost/api/7"),
        (Target(path="/list?offset={i}&key=abc"), "http://localhost/list?offset=REDACTED&key=REDACTED"),
        (Target(url="https://user:pw@example.test/v2/", path="/{i}"), "https://example.test/v2/7"),
        (Target(url="https://example.test/a?token=abc", path="/{i}"), "https://example.test/a/7?token=REDACTED"),
        (Target(url="http://example.test:8080/{i}/x#part"), "http://example.test:8080/7/x"),
    ],
)
def test_addresses_carry_no_secret(target: Target, url: str) -> None:
    # user, password, fragment and the values of a query are left out
    assert target_url(target, 7) == url


def test_a_secret_in_the_address_is_nowhere_in_the_archive() -> None:
    # neither the credentials nor the token of the target can be found in the file
    text = render(documents.hostile())
    assert "hunter2" not in text
    assert "secret" not in text
    assert "https://example.test/items/1?token=REDACTED&page=REDACTED" in text


@pytest.mark.parametrize(
    ("attempt", "late"),
    [
        (Attempt(request=1, stamps={"rx_kernel": 5_000, "first_byte": 345_000}), 340_000),
        (Attempt(request=1, stamps={"rx_kernel": 5_000, "first_byte": 4_900}), 0),
        (Attempt(request=1, stamps={"first_byte": 345_000}), None),
        (Attempt(request=1), None),
    ],
)
def test_the_kernels_wait_is_told_where_it_was_observed(attempt: Attempt, late: int | None) -> None:
    # from the kernel's stamp to the loop's reading; without the stamp it is null, never 0
    assert kernel_wait_ns(attempt) == late


def test_waiting_in_the_kernel_is_waiting() -> None:
    # `wait` lasts until the loop has the first byte; the part in the kernel, or its bounds, stand beside it
    stamped, bounded = entries()[0], next(e for e in entries() if e["_loopdiag"]["kernel_wait_ns"] is None)
    life = {name: end - begin for name, begin, end in stamped["_loopdiag"]["phases_ns"]}
    assert stamped["timings"]["wait"] == pytest.approx((life["wait"] + life["kernel"]) / 1e6)
    assert stamped["_loopdiag"]["kernel_wait_ns"] == life["kernel"]
    assert (bounded["_loopdiag"]["lag_low_ns"], bounded["_loopdiag"]["lag_high_ns"]) == (12_000, 310_000)


def test_pages_carry_what_their_loop_did() -> None:
    # lag and process figures of the trial are in its page
    made = json.loads(render(documents.small()))["log"]["pages"][0]["_loopdiag"]
    assert made["lag"]["longest_ns"] == documents.BLOCKED_NS
    assert made["process"]["preemptions"] == 3
