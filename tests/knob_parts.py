"""What the tests of knobs share: small programs that are run with knobs injected, and a server that counts."""

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from loopdiag.lab.injection import SITE

LIMIT_S = 30
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n[1,2,3]"


class Ran(NamedTuple):
    """What a program gave."""

    out: str
    acted: dict[str, int]
    cannot: dict[str, str]


def run(folder: Path, program: str, knobs: dict[str, Any], *arguments: str, python: str = sys.executable, **environment: str) -> Ran:
    """Run a program with its knobs turned; it must end well and leave stderr empty."""
    script = folder / "client.py"
    script.write_text(program, encoding="utf-8")
    record = folder / "record"
    record.mkdir()
    asked = {"LOOPDIAG_RECORD": str(record), "LOOPDIAG_PROGRAM": "1", "LOOPDIAG_TIER": "bare", "LOOPDIAG_KNOBS": json.dumps(knobs)}
    env = {**os.environ, "PYTHONPATH": str(SITE), **asked, **environment}
    ran = subprocess.run(
        [python, str(script), *arguments], env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    told = json.loads(next(record.rglob("knobs.json")).read_text(encoding="utf-8"))
    return Ran(ran.stdout.strip(), told["acted"], told["cannot"])


class Counting(socketserver.ThreadingTCPServer):
    """Answers every request alike, and counts its connections.

    Attributes:
        connections, requests: so far.
        closing: how many requests asked for their connection's end.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.connections = self.requests = self.closing = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Answer(socketserver.StreamRequestHandler):
    """One connection."""

    server: Counting
    timeout = LIMIT_S

    def handle(self) -> None:
        """Answer until it ends."""
        with self.server.lock:
            self.server.connections += 1
        try:
            while head := self._head():
                closes = b"connection: close" in head.lower()
                with self.server.lock:
                    self.server.requests += 1
                    self.server.closing += closes
                self.wfile.write(ANSWER)
                if closes:
                    return
        except OSError:
            return

    def _head(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in {b"", b"\r\n"}:
            lines.append(line)
        return b"".join(lines)


@contextmanager
def counting() -> Iterator[Counting]:
    """A server in a thread."""
    with Counting() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
