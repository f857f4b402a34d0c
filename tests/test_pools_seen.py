"""The limits of the pools that a program makes are noted, each one more than its value, the tightest of several."""

import sys
from pathlib import Path

import pytest

from loopdiag.instruments.context import Rows
from loopdiag.instruments.pools_seen import note_pool


@pytest.mark.parametrize(
    ("pools", "noted"),
    [
        ([(100, 0, None)], {"pool_limit": 101, "pool_limit_per_host": 1}),
        ([(sys.maxsize, None, 20)], {"pool_limit": 1, "keepalive": 21}),
        ([(0, None, None), (10, None, None), (50, None, None)], {"pool_limit": 11}),
        ([(10, None, sys.maxsize)], {"pool_limit": 11}),
        ([(10, None, 20), (10, None, 0)], {"pool_limit": 11, "keepalive": 21}),
        ([(10, None, 0), (10, None, 20)], {"pool_limit": 11, "keepalive": 21}),
        ([(10, None, 0), (10, None, 0)], {"pool_limit": 11, "keepalive": 1}),
        ([(None, "many", None)], {}),
    ],
    ids=[
        "aiohttp",
        "httpx without a limit",
        "several",
        "all idle ones are kept",
        "no idle one is kept, by one",
        "the same, by the first",
        "the same, by all",
        "not known",
    ],
)
def test_limits_are_noted(pools: list[tuple[object, object, object]], noted: dict[str, int], tmp_path: Path) -> None:
    # 0 is no limit, and so is more than anybody opens; what is not known is not noted; the order in which pools are made tells nothing
    rows = Rows(str(tmp_path), program=True)
    for pool in pools:
        note_pool(rows, "client", *pool)
    assert rows.counters == {f"program.{name}.client": value for name, value in noted.items()}
