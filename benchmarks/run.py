"""`make bench`: loopdiag's own speed, as ratios from interleaved runs with 95 % intervals.  `--quick` for a look, names for a choice.

Every line says what was asked (the target) and what was measured; nothing here passes or fails.
"""

import sys
from importlib import import_module

PARTS = (
    "overhead",
    "exec_overhead",
    "hooks",
    "probes",
    "profile_tier",
    "planted_cpu",
    "slope",
    "server_ceiling",
    "startup",
    "ca_bundle",
    "poller",
    "memory",
    "million",
    "coverage",
)


def main(argv: list[str]) -> None:
    """Run the named parts, or all."""
    quick = "--quick" in argv
    for name in [part for part in PARTS if part in argv] or PARTS:
        print(f"\n== {name}: {(import_module(name).__doc__ or '').splitlines()[0]}", flush=True)
        import_module(name).main(quick=quick)


if __name__ == "__main__":
    main(sys.argv[1:])
