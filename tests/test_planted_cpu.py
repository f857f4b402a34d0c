"""CPU that was planted into the requests of a real client: the profiles find it, at its size, in its function, with its power of N.

Real trials with py-spy, which other work of the machine disturbs: where a measurement misses, a round of trials is added, five at most.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from planted_cpu_parts import Found, Planting, found, target

from loopdiag.lab.sampling import sampling
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Plant

ROUNDS = 5
RATE_HZ = 2000  # so that few short trials have samples enough
NS = {100: (50, 200, 600), 400: (50, 150, 400), 1600: (25, 75, 200)}  # cost in µs → N: about as many samples each
FIVE_NS = (50, 100, 200, 400, 800)
DOSES_US = (0, 200, 400, 800, 1600)
N_OF_DOSES = 400
LOOPS = ("asyncio", "uvloop")


@pytest.fixture(scope="module", autouse=True)
def _allowed() -> None:
    works, what, remedy = sampling()
    if not works:
        pytest.skip(f"py-spy: {what}; {remedy}")


@pytest.fixture(scope="module")
def server() -> Iterator[TargetServer]:
    """One target for all."""
    with target() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("cost_us", list(NS))
def test_planted_cpu_is_found_at_its_size(server: TargetServer, tmp_path: Path, loop: str, cost_us: int) -> None:
    # the slope of `burn` in the slope flame graph is what was planted, within its own interval (lost samples included), which is no excuse: it is narrower than the half
    planting = Planting(server, tmp_path, Arm(client="aiohttp", loop=loop), Plant(cpu_us=cost_us), rate_hz=RATE_HZ)
    seen: list[Found] = []
    for _ in range(ROUNDS):
        planting.round(NS[cost_us])
        seen.append(found(planting.slope_flame(), "burn"))
        if abs(seen[-1].slope_us - cost_us) <= seen[-1].half_us and seen[-1].half_us < 0.5 * cost_us:
            return
    pytest.fail(f"{cost_us} µs planted; found {seen}")


@pytest.mark.slow
def test_the_dose_makes_the_response(server: TargetServer, tmp_path: Path) -> None:
    # over five doses what is found grows by 1.00 ± 0.05 µs for each µs planted, and nothing is found where nothing is planted
    arm = Arm(client="aiohttp")
    plantings = {dose: Planting(server, tmp_path / str(dose), arm, Plant(cpu_us=dose), rate_hz=RATE_HZ) for dose in DOSES_US}
    doses: list[int] = []
    responses: list[float] = []
    for _ in range(ROUNDS):
        for dose, planting in plantings.items():
            doses.append(dose)
            responses.append(planting.seen_us(N_OF_DOSES, "burn"))
        slope = float(np.polyfit(doses, responses, 1)[0])
        if abs(slope - 1) <= 0.05:
            break
    assert slope == pytest.approx(1, abs=0.05), list(zip(doses, responses, strict=True))
    assert [response for dose, response in zip(doses, responses, strict=True) if dose == 0] == [0.0] * (len(doses) // len(DOSES_US))


@pytest.mark.slow
def test_a_scan_is_marked_with_its_power(server: TargetServer, tmp_path: Path) -> None:
    # CPU of each request that grows with N makes a power of 2 ± 0.2, marked on its own function
    planting = Planting(server, tmp_path, Arm(client="aiohttp"), Plant(scan_us=1), rate_hz=RATE_HZ)
    seen: list[Found] = []
    for _ in range(ROUNDS):
        planting.round(FIVE_NS)
        seen.append(found(planting.slope_flame(), "scan"))
        if seen[-1].exponent == pytest.approx(2, abs=0.2):
            return
    pytest.fail(f"a power of 2 planted; found {seen}")
