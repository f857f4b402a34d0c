"""The measurement of the pollers: what it counts, what it cannot do here, and what is made of it."""

import json
import resource
import select
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from loopdiag.lab import poller
from loopdiag.lab.poller import Cell, Cost, measure


def script() -> Any:
    """The benchmark as a module."""
    spec = spec_from_file_location("benchmark_poller", Path(__file__).parent.parent / "benchmarks" / "poller.py")
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


bench = script()
POLLERS = ("select", "poll", "epoll")


@pytest.mark.parametrize("name", POLLERS)
def test_a_poller_tells_of_the_active_descriptors_alone(name: str) -> None:
    # Whatever is idle beside them; a cost is measured for each repetition, and an event's is its share of the call's.
    (cost,) = measure([Cell(poller=name, active=3, idle=5)], repetitions=4, calls=2)
    assert cost.why == ""
    assert len(cost.call_ns) == 4
    assert all(ns > 0 for ns in cost.call_ns)
    assert cost.event_ns == tuple(ns / 3 for ns in cost.call_ns)


def test_descriptors_are_given_back() -> None:
    # Sockets are closed, and the limit is what it was.
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    list(measure([Cell(poller="epoll", active=1, idle=20)], repetitions=1, calls=1))
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_what_cannot_be_measured_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    # select beyond its table, a system without a poller, more descriptors than are allowed: one line each, and the other cells are measured.
    monkeypatch.delattr(select, "poll")
    monkeypatch.setattr(poller, "descriptor_limit", lambda: 5000)
    cells = [Cell(poller="select", active=1, idle=1000), Cell(poller="poll", active=1, idle=0), Cell(poller="epoll", active=1, idle=10**6)]
    costs = list(measure([*cells, Cell(poller="epoll", active=1, idle=0)], repetitions=1, calls=1))
    assert [cost.why.partition(" descriptors")[0] for cost in costs] == [
        "select knows",
        "this system has no poll",
        f"needs {10**6 + 66}",
        "",
    ]
    assert [len(cost.call_ns) for cost in costs] == [0, 0, 0, 1]


def test_a_poller_that_lies_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    # A call that tells of fewer descriptors than are ready ends the measurement.
    monkeypatch.setattr(select, "select", lambda *_: ([], [], []))
    with pytest.raises(RuntimeError, match="0 ready descriptors; 2 were"):
        list(measure([Cell(poller="select", active=2, idle=0)], repetitions=1, calls=1))


def computed(name: str, per_idle_ns: float) -> list[Cost]:
    """Costs of 2 µs and so much more for each idle descriptor."""
    return [
        Cost(cell=Cell(poller=name, active=1, idle=idle), call_ns=tuple((2000 + per_idle_ns * idle) * f for f in (0.999, 1, 1.001)))
        for idle in bench.IDLE
    ]


def test_the_growth_is_that_of_the_calls() -> None:
    # On computed costs: 40 ns for each idle descriptor are 40 000 for a thousand, and a poller that does not grow is told as that.
    linear, constant = bench.growth(computed("poll", 40.0), "poll"), bench.growth(computed("epoll", 0.0), "epoll")
    assert linear.value == pytest.approx(40_000)
    assert linear.low < linear.value < linear.high
    assert constant.low < 0 < constant.high or constant.value == pytest.approx(0, abs=1e-6)
    assert bench.growth([], "select") is None


def test_what_is_kept_holds_every_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The JSON has each cell with its costs or its reason; the picture is drawn; what is printed names the growth.
    several = [Cost(cell=Cell(poller="epoll", active=k, idle=bench.TOGETHER - k), call_ns=(k * 1e3, k * 1.1e3)) for k in bench.ACTIVE]
    costs = [
        *computed("poll", 40.0),
        *computed("epoll", 0.0),
        *several,
        Cost(cell=Cell(poller="select", active=1, idle=5000), why="too many"),
    ]
    kept = json.loads(json.dumps(bench.told(costs)))
    assert len(kept["cells"]) == len(costs)
    assert kept["cells"][-1]["why"] == "too many"
    assert kept["ns_per_1000_idle"]["poll"]["value"] == pytest.approx(40_000)
    bench.draw(costs, tmp_path / "poller.png")
    assert (tmp_path / "poller.png").read_bytes().startswith(b"\x89PNG")
    bench.say(costs)
    assert "a call costs +40000 ns" in capsys.readouterr().out
