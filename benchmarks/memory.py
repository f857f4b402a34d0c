"""Peak memory of the recorder per request recorded, its empty tables included (asked: at most 200 B)."""

import subprocess
import sys
import tempfile

#: runs in a process of its own: stamps `count` requests, one connection per ten, one loop iteration per request; the tables count, too
PROGRAM = """
import sys
from loopdiag.instruments import marks
from loopdiag.instruments.context import Rows
from loopdiag.instruments.schema import ATTEMPT
count, names = int(sys.argv[2]), [name for name in list(ATTEMPT)[7:] if name != "done"]
def record(count):
    for number in range(count):
        marks.begin(number, 1, 1)
        for name in names:
            marks.stamp(name)
        if number % 10 == 0:
            marks.connection(1, 1)
        rows.iterations.open()
        marks.end()
def status(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) * 1024
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before = status("VmRSS")
rows = Rows(sys.argv[1])
marks.attach(rows)
record(count)
print((status("VmHWM") - before) / count)
"""


def main(*, quick: bool = False) -> None:
    """Print bytes per request for growing numbers of requests."""
    for count in (800, 10_000) if quick else (800, 10_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            ended = subprocess.run([sys.executable, "-c", PROGRAM, folder, str(count)], check=True, capture_output=True, text=True)
        print(f"{count} requests: {float(ended.stdout):.0f} B a request at the peak (asked <= 200)")


if __name__ == "__main__":
    main()
