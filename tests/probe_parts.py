"""A program under the instruments, as the probes' tests run it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from loopdiag.lab import columns
from loopdiag.lab.injection import injected_environment
from loopdiag.model.scenario import Instruments

TICK_NS = 128

#: begins a program that must not care which loop it runs on
LOOPS = {
    "asyncio": "import asyncio\nnew_loop = asyncio.SelectorEventLoop\n",
    "uvloop": "import asyncio, uvloop\nnew_loop = uvloop.new_event_loop\n",
}
#: runs `main` as asyncio.Runner does on 3.11
RUN = "\nwith asyncio.Runner(loop_factory=new_loop) as runner:\n    runner.run(main())\n"
#: the tables of the running program, and a way to break one
ROWS = "from loopdiag_instruments import marks\nrows = marks._rows\n"
BREAK = "def boom(*_, **__): raise RuntimeError('planted')\ndef broken(table): table.reserved, table.room = -1, boom\n"


class Ended(NamedTuple):
    """What a program left behind."""

    code: int
    out: str
    err: str
    account: dict[str, Any]
    tables: dict[str, np.ndarray]

    def rows(self, name: str) -> np.ndarray:
        """The opened rows of a table."""
        table = self.tables[name]
        return table[table["t0"] != 0]


def program(code: str, folder: Path, level: str = "light", **more: str) -> Ended:
    """Run `code` at `level`; `more` goes into its environment."""
    environment = injected_environment(os.environ, folder, Instruments(level=level))  # type: ignore[arg-type] # from the tests' tables
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **more}, capture_output=True, text=True, check=False, timeout=60
    )
    left = folder / "instruments.json"
    account = json.loads(left.read_text()) if left.exists() else {}
    return Ended(ended.returncode, ended.stdout, ended.stderr, account, columns.load(folder))
