"""Numbers and intervals as people read them: sensible significant digits, decided in this one place."""

import math
import re

from loopdiag.model.law import Estimate, Law
from loopdiag.report.addresses import redacted

DASH = "–"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
ASCII = str.maketrans(
    {
        "±": "+/-",
        "µ": "u",
        "–": "-",
        "×": "x",
        "²": "^2",
        "³": "^3",
        "→": "->",
        "≤": "<=",
        "≥": ">=",
        "≈": "~",
        "…": "...",
        "·": "-",
        "−": "-",
    }
)


def clean(text: str) -> str:
    """Return `text` without control characters, so that no name or message can steer a terminal, and without the secrets in it."""
    return CONTROL.sub("�", redacted(text))


def plain_ascii(text: str) -> str:
    """Return `text` in ASCII, for a terminal or a file that knows nothing else."""
    return text.translate(ASCII).encode("ascii", "replace").decode()


def fixed(value: float, decimals: int) -> str:
    """`value` with so many decimals; a negative count rounds before the point; no negative zero."""
    text = f"{round(value, decimals):.{max(0, decimals)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def decimals_for(value: float, digits: int) -> int:
    """How many decimals show `digits` significant digits of `value` as it is rounded to them: 0.0999… counts as 0.1."""
    return digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, trailing zeros kept, scientific below 0.0001 and from a million on."""
    if not math.isfinite(value):
        return DASH
    if not value:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    return fixed(value, max(0, decimals_for(value, digits)))


def between(value: float, low: float | None, high: float | None) -> str:
    """`2.22 ±0.05`; `2.22 [2.10, 2.50]` where the interval is lopsided; the bare value where there is none.

    The half-width gets one significant digit, or two where it begins with 1; the value is rounded alike.
    """
    if low is None or high is None or not all(map(math.isfinite, (value, low, high))):
        return significant(value)
    half = max(high - value, value - low)
    if half <= 0:
        return f"{significant(value)} ±0"
    decimals = decimals_for(half, 2 if f"{half:e}".startswith("1") else 1)
    largest = max(abs(low), abs(high))
    if largest >= 1e6 or decimals > 6:
        digits = max(3, decimals - decimals_for(largest, 1) + 1)
        return f"{value:.{digits - 1}e} [{low:.{digits - 1}e}, {high:.{digits - 1}e}]"
    if min(high - value, value - low) < half * 0.6:
        decimals = max(decimals, decimals_for(value, 3))
        return f"{fixed(value, decimals)} [{fixed(low, decimals)}, {fixed(high, decimals)}]"
    return f"{fixed(value, decimals)} ±{fixed(half, decimals)}"


def estimate(number: Estimate | None) -> str:
    """An estimate with its interval, without its unit; a dash where there is none."""
    return DASH if number is None else between(number.value, number.low, number.high)


def seconds(value: float | None) -> str:
    """A duration given in seconds, with the unit that suits it."""
    if value is None:
        return DASH
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(value) * factor >= 1:
            return f"{significant(value * factor)} {unit}"
    return f"{significant(value * 1e9)} ns" if value else "0 s"


def percent(share: float | None) -> str:
    """A share as a percentage."""
    if share is None:
        return DASH
    return f"{fixed(share * 100, 0 if abs(share) >= 0.1 or share == 0 else 1)} %"


def coefficient(value: float, low: float | None, high: float | None, unit: str) -> str:
    """A law's coefficient with its interval and unit; seconds become the milli- or microseconds that suit the value."""
    factor, prefix = 1.0, ""
    if value and (unit == "s" or unit.startswith("s/")):
        factor, prefix = next(((f, p) for f, p in ((1.0, ""), (1e3, "m"), (1e6, "µ")) if abs(value) * f >= 0.1), (1e9, "n"))
    scaled = [None if bound is None else bound * factor for bound in (low, high)]
    return f"{between(value * factor, *scaled)} {prefix}{clean(unit)}"


def formula(form: str) -> str:
    """A law's form as it is typeset: `a + b*N^2` → `a + b·N²`."""
    return clean(form).replace("*", "·").replace("^2", "²").replace("^3", "³")


def count(number: int, noun: str) -> str:
    """`1 request`, `2 requests`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def count_of(number: float, noun: str) -> str:
    """The same for a mean: `1 time`, `6.5 times`."""
    return f"{number:.3g} {noun}{'' if number == 1 else 's'}"


def kinds(errors: dict[str, int]) -> str:
    """Errors by kind, the most frequent first: `3 TimeoutError, 1 HTTP 503`."""
    return ", ".join(f"{number} {clean(kind)}" for kind, number in sorted(errors.items(), key=lambda item: -item[1]))


def words(name: str) -> str:
    """A key as words: `spread_share` → `spread share`."""
    return clean(name.replace("_", " "))


def law_form(law: Law) -> str:
    """A law's form as people read it: with its limit, knee or powers put in, such as ``a + b*ceil(N/20)`` or ``c0 + c1*N^2.5``."""
    values = {found.name: found.value for found in law.coefficients}
    form = law.form
    if "i/j" in values and "k" in values:
        power = {0: "", 1: "*log2(N)"}.get(round(values["k"]), f"*log2(N)^{values['k']:g}")
        return form.replace("^(i/j)", "" if values["i/j"] == 1 else f"^{values['i/j']:.3g}").replace("*log2(N)^k", power)
    if "ceil(N/c)" in form and "c" in values:
        return form.replace("N/c", f"N/{values['c']:.0f}")
    if "min(N,k)" in form and "k" in values:
        return form.replace("N,k", f"N,{values['k']:.0f}").replace("N-k", f"N-{values['k']:.0f}")
    return form
