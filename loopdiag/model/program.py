"""What a user's own program did with its tasks, beside its requests: who was made where, who waited on what, and who ended the wait.

Columns are parallel tuples; times are nanoseconds since the trial began, -1 where not observed.  Tasks have their own numbers, from 1; 0 is none: code that no
task runs, a timer, or the outside.
"""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

from loopdiag.model.value import Value

#: what a task, or a thread, may wait on, by number in the raw table `waits`; new ones only at the end
WAITS = (
    "",
    "semaphore",
    "lock",
    "queue-get",
    "queue-put",
    "condition",
    "event",
    "sleep",
    "task",
    "gather",
    "wait",
    "as-completed",
    "executor",
    "limiter",
    "future",
    "barrier",
    "timeout",
)
#: the library that a request entered by, by number in the raw table `requests`; new ones only at the end
LIBRARIES = ("", "aiohttp", "httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "requests", "http.client")

Wait = Literal[
    "", "semaphore", "lock", "queue-get", "queue-put", "condition", "event", "sleep", "task", "gather", "wait", "as-completed",
    "executor", "limiter", "future", "barrier", "timeout",
]  # fmt: skip


class Place(Value, frozen=True, kw_only=True):
    """A line of the program."""

    file: str  # as the program's frames name it
    line: int
    function: str = ""
    text: str = ""  # of the line, stripped; "": not to be had
    block: int = 0  # the line that opens the innermost block around it ("while …:", "for …:", "def …:"); 0: not known
    block_text: str = ""  # of that line, stripped

    @property
    def name(self) -> str:
        """The file's own name and the line: ``client.py:14``."""
        return f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.line}"


class Tasks(Value, frozen=True, kw_only=True):
    """Tasks; number k stands at index k - 1."""

    created_ns: tuple[int, ...] = ()
    first_run_ns: tuple[int, ...] = ()
    done_ns: tuple[int, ...] = ()
    parent: tuple[int, ...] = ()  # the task that made it
    place: tuple[int, ...] = ()  # index in `places` of the line that made it; 0: unknown
    loop: tuple[int, ...] = ()


class Waits(Value, frozen=True, kw_only=True):
    """Waits of tasks on something of the program's (or asyncio's) own, each from its begin to the moment at which its task runs on."""

    start_ns: tuple[int, ...] = ()
    woken_ns: tuple[int, ...] = ()  # when whoever it waited for let it go
    end_ns: tuple[int, ...] = ()
    task: tuple[int, ...] = ()  # who waits
    kind: tuple[int, ...] = ()  # index in WAITS
    number: tuple[int, ...] = ()  # of the primitive, the task or the call in an executor that it waits on; counted from 1 by kind
    value: tuple[int, ...] = ()  # of a semaphore or limiter its bound, of a queue its size (0: none), of a sleep its length in µs
    place: tuple[int, ...] = ()  # the program's line that waits
    waker: tuple[int, ...] = ()  # the task that ended it; 0: a timer, the outside, or not known


class Requests(Value, frozen=True, kw_only=True):
    """Which task, or thread, made which request."""

    at_ns: tuple[int, ...] = ()
    request: tuple[int, ...] = ()  # as in `Attempt.request`
    task: tuple[int, ...] = ()  # 0: no task, so a thread
    thread: tuple[int, ...] = ()  # 0: the loop's; else counted from 1
    job: tuple[int, ...] = ()  # row of the call in an executor within which it was made; 0: none
    place: tuple[int, ...] = ()
    library: tuple[int, ...] = ()  # index in LIBRARIES


class Stalls(Value, frozen=True, kw_only=True):
    """Stretches in which one callback held a loop's thread, as far as they were looked into."""

    start_ns: tuple[int, ...] = ()
    length_ns: tuple[int, ...] = ()
    looks: tuple[int, ...] = ()  # how often the thread was looked at meanwhile
    running: tuple[int, ...] = ()  # of them, on the CPU or runnable
    place: tuple[int, ...] = ()  # the innermost line of the program's own code, as most looks saw it
    leaf: tuple[int, ...] = ()  # the innermost line of all
    syscall: tuple[int, ...] = ()  # number of the system call that it sat in; -1: none, or not known
    loop: tuple[int, ...] = ()


class Made(Value, frozen=True, kw_only=True):
    """One thing that the program made more than once although one would do, or whose making is worth a line: a session, a TLS context, a semaphore, an executor."""

    what: str  # "session", "tls-context", "semaphore", "lock", "executor", "queue"
    place: int  # index in `places`
    count: int
    value: int = 0  # bound of a semaphore, threads of an executor, size of a queue
    cpu_ns: int | None = None  # what making them took


class Activity(Value, frozen=True, kw_only=True):
    """All of it for one trial."""

    places: tuple[Place, ...] = ()  # 0 stands for an unknown one
    tasks: Tasks = Tasks()
    waits: Waits = Waits()
    requests: Requests = Requests()
    stalls: Stalls = Stalls()
    made: tuple[Made, ...] = ()
    peers: tuple[str, ...] = ()  # hosts and addresses that it connected to
    not_observed: dict[str, str] = {}


#: what runs a single function for `loopdiag.testing`, as: python testing_runner.py PLACES MODULE FILE FUNCTION …
RUNNER = "testing_runner.py"


def called(argv: Sequence[str]) -> str:
    """What people call the program of a command line: its script's file, the module of ``-m``, or the command itself, behind ``env NAME=value``."""
    words = list(argv)
    at = next((at for at, word in enumerate(words) if word.endswith(".py")), None)
    if at is not None:
        name = PurePath(words[at]).name
        return f"{PurePath(words[at + 3]).name}:{words[at + 4]}" if name == RUNNER and len(words) > at + 4 else name
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    while len(words) > 1 and (PurePath(words[0]).name == "env" or "=" in words[0]):
        words.pop(0)
    return PurePath(words[0]).name if words else ""
