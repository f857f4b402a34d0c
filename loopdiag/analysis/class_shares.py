"""Which classes of code the loop's CPU goes to, by N: from profiles, or, without any, from what the instruments counted of TLS."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping

from loopdiag.analysis.classes import OTHER, classify
from loopdiag.analysis.flames import prepared
from loopdiag.analysis.stacks import folded
from loopdiag.model.profile import Profile
from loopdiag.model.timeline import Timeline

Shares = Mapping[str, float]  # class of code → share; they add up to 1
INSTRUMENTS = "instruments"
#: CPU a request at the largest profiled N over that at a larger one, from which on the two are not taken for alike
ALIKE = 0.9


def class_shares(profiles: Iterable[Profile]) -> dict[int, dict[str, float]]:
    """N → class of code → share of the loop thread's CPU, over the profiles of one arm; the instruments' own code is left out.

    Args:
        profiles: cut to the timed part (`profiles.read_profiles`); each counts by its weight.
    """
    spent: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for profile in profiles:
        for stack, weight in folded(prepared(profile)).items():
            spent[profile.n][classify(stack)] += weight
    return {n: shares for n, weights in sorted(spent.items()) if (shares := normalised(weights, without=(INSTRUMENTS,)))}


def extended(shares: Mapping[int, Shares], cpu_s: Mapping[int, float], ns: Iterable[int]) -> dict[int, dict[str, float]]:
    """The shares, and those of larger N than were profiled: each class as much CPU a request as there, and what CPU is beyond that is "other".

    Without it code that grows faster than N would be told as all the others, in the proportions of an N at which it did not show yet.

    Args:
        shares: N → class → share.
        cpu_s: N → CPU of bare trials.
        ns: where shares are wanted.
    """
    made = {n: dict(of_n) for n, of_n in shares.items()}
    top = max(made, default=0)
    for n in ns:
        if n > top > 0 and cpu_s.get(n) and cpu_s.get(top):
            kept = (cpu_s[top] / top) / (cpu_s[n] / n)
            if kept < ALIKE:
                made[n] = {code: share * kept for code, share in shares[top].items()}
                made[n][OTHER] = made[n].get(OTHER, 0.0) + 1 - kept
    return made


def normalised(weights: Shares, *, without: tuple[str, ...] = ()) -> dict[str, float]:
    """The weights as shares of their sum, those of `without` left out; empty where nothing is left."""
    kept = {name: weight for name, weight in weights.items() if name not in without and weight > 0}
    whole = sum(kept.values())
    return {name: weight / whole for name, weight in kept.items()}


def at(shares: Mapping[int, Shares], n: int) -> dict[str, float]:
    """The shares at `n`: linear in N between neighbours, the nearest ones' beyond; empty where there are none."""
    known = sorted(shares)
    if not known:
        return {}
    place = bisect_left(known, n)
    if place == len(known) or known[place] == n or place == 0:
        return dict(shares[known[min(place, len(known) - 1)]])
    low, high = known[place - 1], known[place]
    part = (n - low) / (high - low)
    names = dict.fromkeys((*shares[low], *shares[high]))
    return {name: (1 - part) * shares[low].get(name, 0.0) + part * shares[high].get(name, 0.0) for name in names}


def counted(timeline: Timeline, on_cpu: float = 1.0) -> dict[str, float]:
    """The classes as far as the instruments counted them in this trial: the CPU of TLS, and the rest as "other".

    Args:
        timeline: the trial.
        on_cpu: share of the loop's running time that its thread spent on the CPU.
    """
    running = round(timeline.lag.running_ns * on_cpu) if timeline.lag else timeline.cpu_ns  # without a loop, all that the client computed
    if running is None:
        return {OTHER: 1.0}
    handshakes = sum(link.tls_cpu_ns or 0 for link in timeline.connections)
    records = sum(link.record_cpu_ns or 0 for link in timeline.connections)
    rest = max(0, running - handshakes - records)
    return normalised({"tls-handshake": handshakes, "tls-record": records, OTHER: rest}) or {OTHER: 1.0}
