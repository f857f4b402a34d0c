"""--fail-if: what it accepts, what it decides, what it leaves open."""

import msgspec
import pytest

from loopdiag.errors import InputError
from loopdiag.gate import parse_gate
from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Diagnosis
from loopdiag.model.law import Estimate, Law
from loopdiag.model.recording import Environment

ENVIRONMENT = Environment(
    system="Linux", python="3.11", cpu="x", cores=2, memory_mib=1, clock_resolution_ns=1, clock_cost_ns=50, descriptor_limit=1024
)


def arm(name: str, slope: float | None, *, errors: int = 0, exponent: float | None = None) -> ArmDiagnosis:
    """An arm with a slope ± 10 % and an exponent."""
    client, _, loop = name.partition("/")
    return ArmDiagnosis(
        arm=name,
        client=client,
        loop=loop,
        versions={},
        points=(),
        law=Law(form="a + b*N", exponent=None if exponent is None else Estimate(value=exponent, low=exponent - 0.1, high=exponent + 0.1)),
        slope_ms=None if slope is None else Estimate(value=slope, low=slope * 0.9, high=slope * 1.1),
        errors={"timeout": errors} if errors else {},
    )


DIAGNOSIS = Diagnosis(
    scenario="s",
    question="?",
    environment=ENVIRONMENT,
    arms=(arm("httpx/asyncio", 10, exponent=1.8), arm("aiohttp/uvloop", 1, errors=3), arm("fake/virtual", None)),
)


@pytest.mark.parametrize(
    ("text", "holds", "unknown"),
    [
        ("slope_ms > 5", ["httpx/asyncio"], ["fake/virtual"]),
        ("slope_ms>=1", ["httpx/asyncio", "aiohttp/uvloop"], ["fake/virtual"]),
        ("httpx/asyncio.slope_ms > 5", ["httpx/asyncio"], []),
        ("httpx/asyncio.slope_ms.high > 10.9", ["httpx/asyncio"], []),
        ("httpx/asyncio.slope_ms.low > 9.5", [], []),
        ("aiohttp/uvloop.slope_ms > 1e1", [], []),
        ("exponent.low > 1.2", ["httpx/asyncio"], ["aiohttp/uvloop", "fake/virtual"]),
        ("errors > 0", ["aiohttp/uvloop"], []),
        ("errors < 1", ["httpx/asyncio", "fake/virtual"], []),
        ("go/http.slope_ms > 1", [], ["go/http"]),
    ],
)
def test_gates_decide_by_value(text: str, holds: list[str], unknown: list[str]) -> None:
    # a gate holds for the arms whose value satisfies it, and says where the value is not known
    held, left = parse_gate(text).verdict(DIAGNOSIS)
    assert len(held) == len(holds)
    assert len(left) == len(unknown)
    assert all(name in line for name, line in zip(holds, held, strict=True))
    assert all(name in line for name, line in zip(unknown, left, strict=True))


@pytest.mark.parametrize(
    "text", ["", "slope_ms", "slope_ms > x", "slope > 1", "a b.slope_ms > 1", "__import__('os')", "slope_ms == 1", "slope_ms > 1; 2"]
)
def test_wrong_gates_are_told(text: str) -> None:
    # anything but a comparison of a known value is one line that says what would be right
    with pytest.raises(InputError) as caught:
        parse_gate(text)
    (line,) = caught.value.faults
    assert "slope_ms" in line
    assert repr(text) in line


CAUSES = Diagnosis(
    scenario="s",
    question="?",
    environment=ENVIRONMENT,
    arms=(
        msgspec.structs.replace(
            arm("httpx/asyncio", 10),
            causes=(
                CauseFound(
                    cause="library_overhead", share=0.8, low=0.7, high=0.9, slope_ms=8.0, effect=Estimate(value=1.0, low=0.5, high=1.5)
                ),
                CauseFound(cause="dns_resolution", share=0.7, slope_ms=7.0, effect=Estimate(value=9.0), verdict="REFUTED"),
            ),
        ),
        arm("aiohttp/uvloop", 1),
    ),
)


@pytest.mark.parametrize(
    ("text", "holds", "unknown"),
    [
        ("httpx/asyncio.causes.library_overhead.share > 0.5", ["httpx/asyncio"], []),
        ("causes.library_overhead.share.low > 0.75", [], ["aiohttp/uvloop"]),
        ("causes.library_overhead.slope_ms >= 8", ["httpx/asyncio"], ["aiohttp/uvloop"]),
        ("httpx/asyncio.causes.library_overhead.slope_ms >= 8", ["httpx/asyncio"], []),
        ("httpx/asyncio.causes.library_overhead.effect.high < 2", ["httpx/asyncio"], []),
        ("httpx/asyncio.causes.library_overhead.predicted > 0", [], ["httpx/asyncio"]),
        ("httpx/asyncio.causes.gc_pauses.share > 0", [], []),
        ("httpx/asyncio.causes.gc_pauses.share < 0.1", ["httpx/asyncio"], []),
        ("httpx/asyncio.causes.gc_pauses.effect > 0", [], ["httpx/asyncio"]),
        ("httpx/asyncio.causes.dns_resolution.share > 0", [], []),
        ("httpx/asyncio.causes.dns_resolution.slope_ms > 0", [], []),
        ("httpx/asyncio.causes.dns_resolution.effect > 8", ["httpx/asyncio"], []),
    ],
)
def test_gates_reach_causes(text: str, holds: list[str], unknown: list[str]) -> None:
    # a cause that was looked for and not found, or refuted, has a share of 0; where nothing was judged, or a figure is not there, the gate is not decided
    held, left = parse_gate(text, {"library_overhead", "gc_pauses", "dns_resolution"}).verdict(CAUSES)
    assert [line.partition(".")[0] for line in held] == holds
    assert [line.partition(".")[0] for line in left] == unknown


def test_a_gate_on_no_cause_is_told() -> None:
    # a name that no cause has would never hold: it is a mistake
    with pytest.raises(InputError, match="there is no cause 'libary_overhead'"):
        parse_gate("causes.libary_overhead.share > 0.5", {"library_overhead"})


@pytest.mark.parametrize("name", ["client.py", "program/own"])
def test_a_program_goes_by_its_own_name_too(name: str) -> None:
    # as reports call it, or as diagnosis.json does; what holds is told by the first
    program = msgspec.structs.replace(arm("program/own", 10), label="client.py")
    held, left = parse_gate(f"{name}.slope_ms > 5").verdict(msgspec.structs.replace(DIAGNOSIS, arms=(program,)))
    assert held == [f"client.py.slope_ms is 10: '{name}.slope_ms > 5' holds"]
    assert left == []


def test_errors_of_a_program_are_not_known() -> None:
    # nobody counts what fails inside it, so that no number of them is 0
    program = msgspec.structs.replace(arm("program/own", 10), label="client.py")
    held, left = parse_gate("errors < 1").verdict(msgspec.structs.replace(DIAGNOSIS, arms=(program,)))
    assert held == []
    assert left == ["client.py.errors is not known, so 'errors < 1' is not decided there"]
