"""Numbers, intervals and the escaping of text in reports."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopdiag.model.law import Coefficient, Estimate, Law
from loopdiag.report import format as fmt
from loopdiag.report.markup import Markup, join, tag, text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.2249, "2.22"),
        (0.0412, "0.0412"),
        (36, "36.0"),
        (1234.5, "1234"),
        (0, "0"),
        (-0.5, "-0.500"),
        (1.2e-5, "1.20e-05"),
        (2e6, "2.00e+06"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_three_significant_digits(value: float, shown: str) -> None:
    # a number keeps three significant digits, and what is none is a dash
    assert fmt.significant(value) == shown


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (2.22, 2.17, 2.27, "2.22 ±0.05"),
        (2.223, 2.211, 2.235, "2.223 ±0.012"),
        (0.93, 0.9, 1.4, "0.930 [0.900, 1.400]"),
        (24.53, 20.1, 29.0, "25 ±4"),
        (2.22, None, None, "2.22"),
        (2.22, 2.22, 2.22, "2.22 ±0"),
        (4.1e-5, 4.0e-5, 4.2e-5, "4.10e-05 [4.00e-05, 4.20e-05]"),
        (2.0, math.nan, 3.0, "2.00"),
    ],
)
def test_the_interval_sets_the_digits(value: float, low: float | None, high: float | None, shown: str) -> None:
    # the value is rounded to the last digit that its interval leaves certain, and a lopsided interval shows both ends
    assert fmt.between(value, low, high) == shown


@given(st.floats(1e-9, 1e9), st.floats(1e-3, 0.9), st.floats(1e-3, 0.9))
def test_a_shown_interval_is_the_given_one(value: float, below: float, above: float) -> None:
    # read back, value and bounds lie within the rounding of one digit of the half-width
    low, high = value * (1 - below), value * (1 + above)
    numbers = [float(number) for number in re.findall(r"[0-9.]+(?:e[+-]\d+)?", fmt.between(value, low, high))]
    slack = 0.5 * max(high - value, value - low)
    assert numbers[0] == pytest.approx(value, abs=slack)
    if len(numbers) == 3:
        assert numbers[1:] == [pytest.approx(low, abs=slack), pytest.approx(high, abs=slack)]
    else:
        assert numbers[1] == pytest.approx(max(high - value, value - low), rel=0.5)


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (12.345, "12.3 s"), (0.31, "310 ms"), (5.2e-5, "52.0 µs"), (4e-8, "40.0 ns"), (0.0, "0 s")]
)
def test_durations_take_the_unit_that_suits_them(value: float | None, shown: str) -> None:
    # a duration is shown in the largest unit in which it is at least 1
    assert fmt.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (9.3e-4, "s/request", "0.93 ±0.09 ms/request"),
        (4.1e-5, "s/request^2", "41 ±4 µs/request^2"),
        (100.0, "requests", "100 ±10 requests"),
    ],
)
def test_coefficients_scale_seconds_only(value: float, unit: str, shown: str) -> None:
    # small coefficients in seconds become milli- or microseconds; other units stay
    assert fmt.coefficient(value, value * 0.9, value * 1.1, unit) == shown


@pytest.mark.parametrize(("share", "shown"), [(None, "–"), (0.0, "0 %"), (0.0213, "2.1 %"), (0.744, "74 %"), (-0.004, "-0.4 %")])
def test_shares_are_percentages(share: float | None, shown: str) -> None:
    # a small share keeps a decimal, and an unknown one is no number
    assert fmt.percent(share) == shown


def test_an_estimate_that_is_missing_is_a_dash() -> None:
    # "not known" is never shown as 0
    assert fmt.estimate(None) == "–"
    assert fmt.estimate(Estimate(value=2.22, low=2.17, high=2.27)) == "2.22 ±0.05"


def test_control_characters_do_not_survive() -> None:
    # no name or message can steer a terminal
    assert "\x1b" not in fmt.clean("a\x1b[31mb\x07\x9b")
    assert fmt.clean("a\tb\nc") == "a\tb\nc"


@pytest.mark.parametrize(("said", "shown"), [
    ('session.get("https://me:pw@h/a?key=abc&page=2") as r:', 'session.get("https://h/a?key=REDACTED&page=REDACTED") as r:'),
    ("404, message='Not Found', url='https://h/items/7?token=abc'", "404, message='Not Found', url='https://h/items/7?token=REDACTED'"),
    ("https://h/#access_token=abc&x", "https://h/#access_token=REDACTED&x"),
    ('get(url, headers={"Authorization": "Bearer abc", "Accept": "json"})', 'get(url, headers={"Authorization": "REDACTED", "Accept": "json"})'),
    ('aiohttp.BasicAuth("me", "pw"), limit=3', 'aiohttp.BasicAuth("REDACTED"), limit=3'),
    ("os.environ['API_KEY'] = 'abc'", "os.environ['API_KEY'] = \"REDACTED\""),
    ("KeyError: 'items'", "KeyError: 'items'"),
    ("author = 'me'", "author = 'me'"),
    ("see https://h/page#part, mail me@h", "see https://h/page#part, mail me@h"),
])  # fmt: skip
def test_secrets_do_not_survive(said: str, shown: str) -> None:
    # credentials, values of queries, and what is given to a password by name; once is enough
    assert fmt.clean(said) == shown
    assert fmt.clean(shown) == shown


@given(st.text())
def test_ascii_is_ascii(words: str) -> None:
    # whatever the text, what is meant for an ASCII terminal can be written to one
    assert fmt.plain_ascii(words).isascii()


@given(st.text())
def test_text_cannot_become_markup(words: str) -> None:
    # neither text nor an attribute's value can open a tag or leave its quotes
    made = tag("p", words, title=words)
    assert made.count("<") == 2
    assert made.count('"') == 2


def test_markup_is_escaped_once() -> None:
    # what was made here is not escaped again
    assert tag("p", tag("b", "a & b"), None, class_="x", hidden=True, title=None) == '<p class="x" hidden><b>a &amp; b</b></p>'
    assert join((None, "<", Markup("<br>"))) == "&lt;<br>"
    assert text(3) == "3"


@pytest.mark.parametrize(
    ("form", "numbers", "shown"),
    [
        ("a + b*N", {"a": 0.1, "b": 0.002}, "a + b*N"),
        ("a + b*ceil(N/c)", {"a": 0.0, "b": 0.05, "c": 20.0}, "a + b*ceil(N/20)"),
        ("c0 + c1*N^(i/j)*log2(N)^k", {"c0": 0.1, "c1": 1e-6, "i/j": 2.5, "k": 0.0}, "c0 + c1*N^2.5"),
        ("c0 + c1*N^(i/j)*log2(N)^k", {"c0": 0.1, "c1": 1e-6, "i/j": 1.0, "k": 2.0}, "c0 + c1*N*log2(N)^2"),
        ("a + b*min(N,k) + c*max(0,N-k)", {"a": 0.1, "b": 1.0, "c": 2.0, "k": 100.0}, "a + b*min(N,100) + c*max(0,N-100)"),
        ("undecided", {}, "undecided"),
    ],
)
def test_forms_show_their_limits_and_powers(form: str, numbers: dict[str, float], shown: str) -> None:
    # what shapes a law stands in it as a number
    coefficients = tuple(Coefficient(name=name, value=value, low=None, high=None, unit="1") for name, value in numbers.items())
    assert fmt.law_form(Law(form=form, coefficients=coefficients)) == shown
