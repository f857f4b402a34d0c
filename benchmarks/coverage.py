"""How often the 95 % intervals of slope, exponent and law hold the planted truth, over 1000 synthetic sweeps each (asked: 93-97 %).

Coefficients count only where the planted form was chosen: with 10 % noise most sweeps are "undecided", and those that are not are a
lucky choice, whose intervals hold less often.  Slope and exponent do not depend on the choice.
"""

from collections.abc import Callable, Iterable

import numpy as np

from loopdiag.analysis.scaling import exponent, fit_law, slope
from loopdiag.model.law import Coefficient, Estimate

NS = (50, 75, 100, 200, 300, 400, 800)
NOISES = (0.01, 0.03, 0.10)  # relative standard deviation of one total
REPETITIONS = (2, 3, 5)

Law = Callable[[int], float]
LAWS: dict[str, tuple[Law, tuple[float, ...], float]] = {  # form → (T(N), its coefficients, its exponent)
    "a + b*N": (lambda n: 0.05 + 0.002 * n, (0.05, 0.002), 1.0),
    "a + b*N^2": (lambda n: 0.05 + 4e-5 * n * n, (0.05, 4e-5), 2.0),
}


def sweep(law: Law, repetitions: int, noise: float, rng: np.random.Generator) -> dict[int, list[float]]:
    """One synthetic sweep with multiplicative normal noise."""
    return {n: list(law(n) * (1 + noise * rng.standard_normal(repetitions))) for n in NS}


def holds(estimate: Estimate | Coefficient | None, truth: float) -> bool:
    """Whether there is an interval and it holds the truth."""
    return estimate is not None and estimate.low is not None and estimate.high is not None and estimate.low <= truth <= estimate.high


def percent(hits: Iterable[bool]) -> str:
    """Share of hits with its own 95 % half-width."""
    seen = list(hits)
    if not seen:
        return "never chosen"
    share = sum(seen) / len(seen)
    return f"{100 * share:5.1f} % ± {196 * (share * (1 - share) / len(seen)) ** 0.5:.1f}"


def main(*, quick: bool = False) -> None:
    """Print one line for each law, number of repetitions and noise."""
    runs = 60 if quick else 1000
    print(f"{runs} sweeps a line over N = {', '.join(map(str, NS))}; coefficients of those whose chosen form is the planted one")
    for form in LAWS:
        for repetitions in REPETITIONS:
            for noise in NOISES:
                rng = np.random.default_rng([repetitions, round(1000 * noise)])
                sweeps = [sweep(LAWS[form][0], repetitions, noise, rng) for _ in range(runs)]
                print(f"{form:9} {repetitions} repetitions, noise {noise:4.0%}: {covered(form, sweeps)}", flush=True)


def covered(form: str, sweeps: list[dict[int, list[float]]]) -> str:
    """One line of the table."""
    _, truths, power = LAWS[form]
    parts = [f"exponent {percent(holds(exponent(points), power) for points in sweeps)}"]
    if form == "a + b*N":
        parts.insert(0, f"slope {percent(holds(slope(points), 1e3 * truths[1]) for points in sweeps)}")
    tried = sweeps[: max(20, len(sweeps) // 5)]  # a whole law takes twenty times as long as a slope
    fitted = [found for found in map(fit_law, tried) if found.form == form]
    parts += [f"{'ab'[i]} {percent(holds(found.coefficients[i], truth) for found in fitted)}" for i, truth in enumerate(truths)]
    return "  ".join([*parts, f"({len(fitted)} of {len(tried)} found)"])


if __name__ == "__main__":
    main()
