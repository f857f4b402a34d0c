"""Views of a program's timeline for causes: each takes one resolved timeline (with `activity`) and returns values of `analysis/program_seen.py`.

Where the timeline has no activity, a view returns nothing: an empty tuple, or None.  `exhausted` takes trials, whose errors it reads.
"""

from loopdiag.analysis.program_costs import connects, executors, exhausted, gil, made, redirects, requests_of, stalled, thread_hops
from loopdiag.analysis.program_waiting import batches, behind, commonest, longest_chain, made_at, sleeps, workers
from loopdiag.analysis.program_waiting import place_of as place

__all__ = [
    "batches",
    "behind",
    "commonest",
    "connects",
    "executors",
    "exhausted",
    "gil",
    "longest_chain",
    "made",
    "made_at",
    "place",
    "redirects",
    "requests_of",
    "sleeps",
    "stalled",
    "thread_hops",
    "workers",
]
