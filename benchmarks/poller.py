"""Whether epoll is O(1) here: what a call of select, poll and epoll costs with idle and with ready descriptors (after libevent's benchmark).

``--json FILE`` and ``--figure FILE`` (.svg or .png) keep what was measured.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loopdiag.analysis.slope import slope
from loopdiag.lab.poller import Cell, Cost, measure
from loopdiag.model.law import Estimate

POLLERS = ("select", "poll", "epoll")
IDLE = (0, 100, 300, 600, 2000, 5000, 10000)
ACTIVE = (1, 10, 100)
TOGETHER = 700  # descriptors while the ready ones among them are varied: about the most that select bears
COLOURS = {"select": "#8a6d00", "poll": "#0067a8", "epoll": "#c4500a"}
PER = 1000  # descriptors


def cells(*, quick: bool) -> list[Cell]:
    """The idle ones with one ready, and the ready ones beside some idle."""
    idle = IDLE[:5] if quick else IDLE
    made = [Cell(poller=poller, active=1, idle=count) for poller in POLLERS for count in idle]
    return made + [Cell(poller=poller, active=count, idle=TOGETHER - count) for poller in POLLERS for count in ACTIVE]


def growth(costs: Sequence[Cost], poller: str) -> Estimate | None:
    """Nanoseconds that a call with one ready descriptor costs more for each `PER` idle ones, with its 95 % interval."""
    points = {cost.cell.idle + 1: [ns / 1e9 for ns in cost.call_ns] for cost in costs if only_one(cost, poller)}
    found = slope(points) if len(points) > 1 else None
    if found is None:
        return None
    low, high = (None if bound is None else bound * 1e6 * PER for bound in (found.low, found.high))
    return Estimate(value=found.value * 1e6 * PER, low=low, high=high, unit=f"ns per {PER} idle descriptors", why=found.why)


def only_one(cost: Cost, poller: str) -> bool:
    """Whether it is a measured cell of the poller's with one ready descriptor."""
    return cost.cell.poller == poller and cost.cell.active == 1 and bool(cost.call_ns)


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def told(costs: Sequence[Cost]) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "cells": [
            {"poller": cost.cell.poller, "active": cost.cell.active, "idle": cost.cell.idle}
            | ({"call_ns": [round(ns, 1) for ns in cost.call_ns]} if cost.call_ns else {"why": cost.why})
            for cost in costs
        ],
        f"ns_per_{PER}_idle": {
            poller: {"value": found.value, "low": found.low, "high": found.high} for poller in POLLERS if (found := growth(costs, poller))
        },
    }


def say(costs: Sequence[Cost]) -> None:
    """Print the medians and the growth."""
    for poller in POLLERS:
        alone = sorted((cost for cost in costs if only_one(cost, poller)), key=lambda cost: cost.cell.idle)
        print(
            f"{poller}: one ready descriptor beside m idle: " + ", ".join(f"{c.cell.idle}: {median(c.call_ns) / 1e3:.2f} us" for c in alone)
        )
        more = [cost for cost in costs if cost.cell.poller == poller and cost.cell not in {c.cell for c in alone} and cost.call_ns]
        print(
            f"  an event, of k at once of {TOGETHER} in all: "
            + ", ".join(f"{c.cell.active}: {median(c.event_ns) / 1e3:.2f} us" for c in more)
        )
        found = growth(costs, poller)
        if found is not None:
            low, high = (float("nan") if bound is None else bound for bound in (found.low, found.high))
            print(f"  a call costs {found.value:+.0f} ns for each {PER} idle descriptors more, 95 % interval {low:+.0f} to {high:+.0f}")
        for why in dict.fromkeys(cost.why for cost in costs if cost.cell.poller == poller and cost.why):
            print(f"  not measured: {why}")


def draw(costs: Sequence[Cost], path: Path) -> None:
    """Two panels: the call over idle descriptors, the event over ready ones."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for poller in POLLERS:
        alone = sorted((cost for cost in costs if only_one(cost, poller)), key=lambda cost: cost.cell.idle)
        more = sorted(
            (c for c in costs if c.cell.poller == poller and c.cell.idle == TOGETHER - c.cell.active and c.call_ns),
            key=lambda c: c.cell.active,
        )
        for panel, shown, across in ((left, alone, [c.cell.idle for c in alone]), (right, more, [c.cell.active for c in more])):
            middles = [median(c.event_ns) / 1e3 for c in shown]
            ends = [
                [m - min(c.event_ns) / 1e3 for m, c in zip(middles, shown, strict=True)],
                [max(c.event_ns) / 1e3 - m for m, c in zip(middles, shown, strict=True)],
            ]
            panel.errorbar(
                across, middles, yerr=ends, color=COLOURS[poller], marker="o", markersize=3.5, linewidth=1.3, capsize=2, label=poller
            )
    left.set_xscale("symlog", linthresh=100)
    right.set_xscale("log")
    for panel, title, across in (
        (left, "One ready descriptor beside m idle ones", "m, idle descriptors"),
        (right, f"k ready descriptors, {TOGETHER} in all", "k, ready descriptors"),
    ):
        panel.set_yscale("log")
        panel.set_title(title, loc="left", fontsize=9.5)
        panel.set_xlabel(across)
        panel.set_ylabel("cost of an event, µs (median, range)")
        panel.grid(visible=True, linewidth=0.4, color="#e2e2e2")
        panel.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)
    figure.savefig(path, dpi=200)


def main(quick: bool = False, kept: Path | None = None, figure: Path | None = None) -> None:
    """Measure, print, and keep what is to be kept.

    Args:
        quick: fewer cells, fewer repetitions.
        kept: the JSON file.
        figure: the picture.
    """
    costs = list(measure(cells(quick=quick), repetitions=5 if quick else 21, calls=50 if quick else 200))
    say(costs)
    if kept is not None:
        kept.write_text(json.dumps(told(costs), indent=1) + "\n", encoding="utf-8")
    if figure is not None:
        draw(costs, figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer cells, fewer repetitions")
    parser.add_argument("--json", type=Path, help="keep the costs there")
    parser.add_argument("--figure", type=Path, help="draw them there")
    given = parser.parse_args()
    main(given.quick, given.json, given.figure)
