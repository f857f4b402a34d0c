"""The columns that the instruments write: one table a file, rows of 32-bit words, readable with numpy alone.

A stamp is ``perf_counter_ns() >> 7``, cut to 32 bits: ticks of 128 ns that wrap after 549 s.  A row's ``t0`` is the
full 64-bit nanosecond clock when the row was opened, from which every stamp of the row is unwrapped (so a stamp may lie up to 274 s
before or after ``t0``).  A word of 0 means "not observed" for stamps; it never means the time 0.
"""

TICK_SHIFT = 7
TICK_NS = 1 << TICK_SHIFT
MASK = 0xFFFFFFFF

#: field name → numpy type of its little-endian words, in the order of the file
ATTEMPT = {
    "t0": "<u8",  # perf_counter_ns when the row was opened
    "request": "<u4",  # number of the request; attempts of one request share it
    "connection": "<u4",  # row number in `connections`; 0: none
    "status": "<u4",  # HTTP status; 0: no answer
    "flags": "<u4",  # FLAGS below; bits 12-15 the bookkeeping's own (context.py), bits 16-23 the attempt's number from 0, bits 24-31 the redirect hop
    "assignments": "<u4",  # how often the pool gave it a connection
    "wire_bytes": "<u4",  # bytes of the answer as received, its head included, before content decoding
    "due": "<u4",  # stamps from here on
    "created": "<u4",
    "first_run": "<u4",
    "enqueued": "<u4",
    "assigned": "<u4",
    "resumed": "<u4",
    "stream": "<u4",  # HTTP/2: a stream of the connection is the request's
    "send_start": "<u4",
    "send_end": "<u4",
    "rx_kernel": "<u4",  # the kernel received the read that brought the first byte; its last segment, where several came at once
    "first_byte": "<u4",
    "headers": "<u4",
    "rx_last": "<u4",  # the kernel received the read that brought the last byte
    "last_byte": "<u4",
    "body": "<u4",
    "decoded": "<u4",
    "released": "<u4",
    "done": "<u4",
}

CONNECTION = {
    "t0": "<u8",
    "request": "<u4",  # the request that began it
    "requests": "<u4",  # how many requests it has served
    "flags": "<u4",
    "dns_start": "<u4",  # stamps from here on
    "dns_end": "<u4",
    "lookup_start": "<u4",  # uvloop looks the address up again when it connects, numeric as it is, in libuv's threads
    "lookup_end": "<u4",
    "tcp_start": "<u4",
    "tcp_end": "<u4",
    "tls_start": "<u4",
    "tls_end": "<u4",
    "made": "<u4",
    "closed": "<u4",  # the last stamp
    "address_attempts": "<u4",
    "tls_cpu_ns": "<u4",
    "tls_steps": "<u4",
    "rtt_us": "<u4",  # the shortest round trip that the kernel measured; 0: none
    "retransmits": "<u4",
    "local_port": "<u4",
    "record_cpu_ns": "<u4",
}

ITERATION = {
    "t0": "<u8",  # when the loop entered its poll
    "poll": "<u4",  # ticks spent waiting in it
    "run": "<u4",  # ticks from there to the next poll
    "events": "<u4",
    "ready": "<u4",  # callbacks queued when the poll was entered
    "thread": "<u4",  # which loop, counted from 1
    "flags": "<u4",
}

PAUSE = {
    "t0": "<u8",  # a collection of the garbage collector began
    "length": "<u4",  # ticks
    "generation": "<u4",
    "collected": "<u4",
    "thread": "<u4",  # native id
}

EXECUTOR = {
    "t0": "<u8",  # a call was submitted
    "executor": "<u4",  # which one, counted from 1
    "queued": "<u4",  # calls in its queue then, this one included
    "threads": "<u4",  # threads that it had then
    "busy": "<u4",  # of them at work when this one started, this one included
    "started": "<u4",  # stamps
    "ended": "<u4",
}

SAMPLE = {
    "t0": "<u8",  # the loop's thread was asked, between two iterations; the counts are cumulative
    "cpu_ns": "<u8",  # of the thread; 0 in this and the next: not observed
    "run_queue_ns": "<u8",  # the thread was runnable, but not running
    "waits": "<u4",  # voluntary context switches of the thread
    "preemptions": "<u4",  # involuntary ones
    "descriptors": "<u4",  # open in the process
    "threads": "<u4",  # Python's, alive in the process
    "loop": "<u4",  # which loop, counted from 1
    "flags": "<u4",
}

#: only in the verify mode: what the libraries' public events said, beside our stamps
EVENT = {
    "t0": "<u8",  # the event came
    "row": "<u4",  # row number in `attempts`
    "event": "<u4",  # its number, from the module that listens to the library
}

#: only in a user's program; places are numbers in `instruments.json`'s list of them
TASK = {
    "t0": "<u8",  # created; its number is the row's
    "parent": "<u4",  # number of the task that made it; 0: none
    "place": "<u4",  # the program's line that made it
    "loop": "<u4",
    "flags": "<u4",
    "first_run": "<u4",  # stamps
    "done": "<u4",
}

WAIT = {
    "t0": "<u8",  # its task began to wait
    "task": "<u4",
    "kind": "<u4",  # index in model.program.WAITS
    "number": "<u4",  # of what it waits on, counted from 1 by kind
    "value": "<u4",
    "place": "<u4",  # the program's line that waits
    "waker": "<u4",  # number of the task that ended it; 0: a timer, or the outside
    "woken": "<u4",  # stamps
    "end": "<u4",
}

REQUEST = {
    "t0": "<u8",
    "request": "<u4",  # as in `attempts`
    "task": "<u4",
    "thread": "<u4",  # 0: the loop's
    "job": "<u4",  # row number in `executor`; 0: none
    "place": "<u4",
    "library": "<u4",  # index in model.program.LIBRARIES
}

STALL = {
    "t0": "<u8",  # the callback began
    "length": "<u4",  # ticks
    "looks": "<u4",
    "running": "<u4",
    "place": "<u4",
    "leaf": "<u4",
    "syscall": "<u4",  # number of the system call, plus 1; 0: none, or not known
    "loop": "<u4",
    "flags": "<u4",
}

TABLES = {
    "attempts": ATTEMPT,
    "connections": CONNECTION,
    "iterations": ITERATION,
    "pauses": PAUSE,
    "executor": EXECUTOR,
    "samples": SAMPLE,
    "events": EVENT,
    "tasks": TASK,
    "waits": WAIT,
    "requests": REQUEST,
    "stalls": STALL,
}

ATTEMPT_STAMPS = tuple(ATTEMPT)[7:]
CONNECTION_STAMPS = tuple(CONNECTION)[4:14]

FLAGS = {
    "reused": 1,
    "dns_hit": 1 << 1,
    "dns_coalesced": 1 << 2,
    "shared_connect": 1 << 3,
    "retried": 1 << 4,
    "redirected": 1 << 5,
    "cancelled": 1 << 6,
    "error": 1 << 7,
    "rx_coalesced": 1 << 8,
    "eager": 1 << 9,
    "timed_out": 1 << 10,
    "http2": 1 << 11,
}


#: the library that a request entered by, as in `model.program.LIBRARIES`
LIBRARIES = {
    name: number
    for number, name in enumerate(("", "aiohttp", "httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "requests", "http.client"))
}


def words(table: dict[str, str]) -> dict[str, int]:
    """Offset of each field in 32-bit words; a 64-bit field takes two."""
    offsets, at = {}, 0
    for name, kind in table.items():
        offsets[name] = at
        at += int(kind[2:]) // 4
    return offsets


def row_words(table: dict[str, str]) -> int:
    """Length of a row in 32-bit words."""
    return sum(int(kind[2:]) // 4 for kind in table.values())
