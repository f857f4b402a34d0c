"""What `httpx.get` does in every call before it connects: a TLS context from the CA bundle.  Asked: how long it takes, with its interval, and how much of it a shared context saves."""

import json
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

import certifi

REPETITIONS = 60
RANKS = (
    22,
    39,
)  # of 60 sorted values: the true median lies between these with 97 % confidence (binomial); one narrower would not reach 95 %


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one call, of the whole process."""
    began = time.process_time_ns()
    work()
    return (time.process_time_ns() - began) / 1e9


def with_bundle() -> ssl.SSLContext:
    """What `httpx.get` makes without `verify=`."""
    return ssl.create_default_context(cafile=certifi.where())


def without() -> ssl.SSLContext:
    """The same, but for the bundle."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def median_ms(values_s: list[float]) -> list[float]:
    """The median and its interval, in milliseconds."""
    ranked = sorted(values_s)
    middle = (ranked[REPETITIONS // 2 - 1] + ranked[REPETITIONS // 2]) / 2
    return [round(1e3 * value, 4) for value in (middle, *(ranked[rank - 1] for rank in RANKS))]


def measured() -> dict[str, object]:
    """Medians in milliseconds with their intervals, both measured in turns, after one pass that is discarded; and what the bundle is."""
    pairs = [(seconds(with_bundle), seconds(without)) for _ in range(REPETITIONS + 1)][1:]
    return {
        "python": sys.version.split()[0],
        "openssl": ssl.OPENSSL_VERSION,
        "certificates": Path(certifi.where()).read_text(encoding="utf-8").count("BEGIN CERTIFICATE"),
        "with_bundle_ms": median_ms([pair[0] for pair in pairs]),
        "without_ms": median_ms([pair[1] for pair in pairs]),
    }


def main(*, quick: bool = False) -> None:  # noqa: ARG001 - it takes two seconds
    """Print both, and what is between them."""
    found = measured()
    print(f"  a TLS context from a bundle of {found['certificates']} certificates: {found['with_bundle_ms']} ms of CPU (median, interval)")
    print(f"  without the bundle: {found['without_ms']} ms")


if __name__ == "__main__":
    if "--json" in sys.argv:
        print(json.dumps(measured(), indent=2))
    else:
        main()
