"""The one sentence: which arms grow how, and where the evidence does not say."""

import pytest

from loopdiag.analysis.answer import answer, grows
from loopdiag.model.diagnosis import ArmDiagnosis
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
        answer((arm("a + b*N*log2(N)", 2.0, 0.5, 5.0),)) == "httpx/uvloop by 12.8 ms a request, by a law that the evidence does not settle."
    )
