"""The one sentence: which arms grow how, and where the evidence does not say."""

import pytest
from msgspec.structs import replace

from loopdiag.analysis.answer import answer, grows
from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound
from loopdiag.model.law import Estimate, Law


def arm(form: str, value: float, low: float, high: float) -> ArmDiagnosis:
    """An arm with this law and exponent."""
    law = Law(form=form, exponent=Estimate(value=value, low=low, high=high))
    slope = Estimate(value=12.8, low=10, high=16)
    return ArmDiagnosis(arm="httpx/uvloop", client="httpx", loop="uvloop", versions={}, points=(), law=law, slope_ms=slope)


@pytest.mark.parametrize(
    ("form", "exponent", "word"),
    [
        ("a + b*N", (0.9, 0.7, 1.1), "linear"),
        ("a + b*ceil(N/c)", (0.9, 0.7, 1.2), "linear"),
        ("a + b*N*log2(N)", (2.0, 0.5, 5.0), "unclear"),  # the law that predicts best is no proof against N²
        ("a + b*N", (1.3, 0.9, 1.9), "unclear"),
        ("c0 + c1*N^(i/j)", (2.6, 2.2, 3.0), "faster"),
        ("constant", (0.1, 0.0, 0.2), "slower"),
        ("undecided", (1.0, 0.9, 1.1), "unclear"),
    ],
)
def test_growth_is_named_only_where_the_exponent_settles_it(form: str, exponent: tuple[float, float, float], word: str) -> None:
    # an exponent whose interval reaches well above 1 leaves the growth open, unless all of it lies there
    assert grows(arm(form, *exponent)) == word


def test_what_is_not_settled_is_said_so() -> None:
    # the slope is told, the growth is not
    assert (
        answer((arm("a + b*N*log2(N)", 2.0, 0.5, 5.0),))
        == "httpx/uvloop grows by 12.8 ms a request, by a law that the evidence does not settle."
    )


def cause(name: str, verdict: str, share: float | None, detail: str = "") -> CauseFound:
    """A cause with this verdict; its intervention left 1 of 8 ms."""
    base, left = Estimate(value=8.06), Estimate(value=1.04)
    return CauseFound(cause=name, detail=detail, share=share, verdict=verdict, base=base, effect=left)  # type: ignore[arg-type] # one of the five


def test_a_confirmed_cause_leads() -> None:
    # the largest confirmed one stands in the sentence, with its share and what its intervention left; one that only woke up later does not
    steep = arm("c0 + c1*N^(i/j)", 1.8, 1.5, 2.1)
    found = (
        cause("gc_pauses", "REFUTED", 0.9),
        cause("library_overhead", "CONFIRMED", 0.71, "the pool scan"),
        cause("woken", "CONFIRMED", None),
    )
    told = answer((arm("a + b*N", 1.0, 0.95, 1.05), replace(steep, arm="httpx/asyncio", causes=found)))
    assert told == (
        "httpx/asyncio grows faster than N (exponent 1.8) because of library_overhead: the pool scan "
        "(71 % of 12.8 ms a request, CONFIRMED: 8.06 → 1); httpx/uvloop grows by 12.8 ms a request, in proportion to N."
    )
    step = cause("tls_handshake_cpu", "CONFIRMED", 0.02)
    unproved = answer((replace(steep, causes=(found[0], step, found[2])),))
    assert "because" not in unproved
