"""How long `loopdiag --help` takes, in new processes, beside an empty interpreter (asked: at most 150 ms)."""

import statistics
import subprocess
import sys
import time

COMMANDS = {"python -c pass": [sys.executable, "-c", "pass"], "loopdiag --help": [sys.executable, "-m", "loopdiag", "--help"]}


def main(*, quick: bool = False) -> None:
    """Print the median and the range of each command, interleaved."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(5 if quick else 30):
        for name, command in COMMANDS.items():
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken[name].append((time.perf_counter() - begun) * 1e3)
    for name, times in taken.items():
        print(f"{name}: median {statistics.median(times):.0f} ms [{min(times):.0f}, {max(times):.0f}]")


if __name__ == "__main__":
    main()
