"""The hot path: fixed-size integer rows in memory-mapped files, append only.

A row is an offset (a plain int) into the table's words; to stamp is one clock read, a shift, a mask and a store, and nothing is
allocated that the garbage collector tracks.  The file is a ``.npy`` file from its first byte on, so what a killed process had
stamped is readable with numpy alone.  Disk space is reserved block by block before it is touched: a full disk loses rows, counted in
`lost`, and never the program.
"""

import contextlib
import errno
import itertools
import mmap
import os
import time
from _thread import RLock
from collections.abc import Callable

from .schema import TABLES, row_words

HEADER_BYTES = 256  # of the .npy header, padded: rows begin on a boundary of their own
BLOCK_ROWS = 256
SWEEP_ROWS = 64 * BLOCK_ROWS
CAPACITY_ROWS = {
    "attempts": 1 << 22,
    "connections": 1 << 21,
    "iterations": 1 << 22,
    "pauses": 1 << 20,
    "executor": 1 << 21,
    "samples": 1 << 20,
    "events": 1 << 22,
    "tasks": 1 << 21,
    "waits": 1 << 22,
    "requests": 1 << 22,
    "stalls": 1 << 18,
}

MADV_POPULATE_WRITE = 23  # Linux: fetch pages for writing now; Python does not name it

now = time.perf_counter_ns


def npy_header(fields: dict[str, str], rows: int) -> bytes:
    """The header of a one-dimensional structured ``.npy`` file (format 1.0) of `rows` rows, padded to HEADER_BYTES."""
    descr = list(fields.items())
    text = repr({"descr": descr, "fortran_order": False, "shape": (rows,)})
    length = HEADER_BYTES if len(text) + 11 <= HEADER_BYTES else 1024
    body = text.encode("latin1")
    return b"\x93NUMPY\x01\x00" + (length - 10).to_bytes(2, "little") + body.ljust(length - 11) + b"\n"


class Table:
    """One file of rows.

    Attributes:
        words: the rows as 32-bit words; `quads`: the same bytes as 64-bit words, for ``t0``.
        lost: rows that found no room.
        map, base, row_bytes: where the rows lie, for hooks that write whole rows; `following` gives the next row's number, `reserved` how many have room, and
            `room` makes some.

    Row 0 is the sink: what finds no room is stamped there, and it is never read.  The file is mapped at its full capacity (sparse) and
    stays so while the process lives, because a stamp beyond a file's end is a SIGBUS; the parent cuts it afterwards.
    """

    def __init__(self, folder: str, name: str) -> None:
        """Create ``folder/name.npy``.

        Raises:
            OSError: the folder cannot be written, or has no room for the first block.
        """
        self.name = name
        self.row_words = row_words(TABLES[name])
        self.capacity = CAPACITY_ROWS[name]
        self.lost = 0
        self.row_bytes = self.row_words * 4
        self.reserved = 0
        self._lock = RLock()
        header = npy_header(TABLES[name], self.capacity)
        self.base = len(header)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(f"{folder}/{name}.npy", flags, 0o600)
        self._is = os.fstat(self._file)[1:3]  # its inode and device
        try:
            os.write(self._file, header)
            size = self.base + self.capacity * self.row_bytes
            os.ftruncate(self._file, size)
            self.map = mmap.mmap(self._file, size)
            self._reserve()
        except OSError:
            os.close(self._file)
            os.unlink(f"{folder}/{name}.npy")
            raise
        view = memoryview(self.map)[self.base :]
        self.words = view.cast("I")
        self.quads = view.cast("Q")
        self._count = itertools.count(1)  # row 0 is the sink; next() is atomic, so threads need no lock
        self.following = self._count.__next__

    @classmethod
    def nowhere(cls, name: str) -> "Table":
        """A table that has no room at all, in memory: its sink takes every stamp, and every row is lost."""
        table = cls.__new__(cls)
        table.name, table.row_words = name, row_words(TABLES[name])
        table.row_bytes = table.row_words * 4
        table.capacity = table.reserved = table.lost = table.base = 0
        table.map = mmap.mmap(-1, mmap.PAGESIZE)
        table._lock = RLock()
        view = memoryview(table.map)
        table.words, table.quads = view.cast("I"), view.cast("Q")
        table.following = itertools.count(1).__next__
        table._count = itertools.count(1)
        return table

    def _reserve(self) -> None:
        """Reserve disk space for one more block, and let go of the memory of the one before the last.

        Raises:
            OSError: there is none, or the program closed all its descriptors, ours with them.
        """
        if os.fstat(self._file)[1:3] != self._is:  # the number is a file's of the program by now
            raise OSError(errno.EBADF, "the table's file was closed")
        block = BLOCK_ROWS * self.row_bytes
        at = self.base + self.reserved * self.row_bytes
        os.posix_fallocate(self._file, at, block)
        # what is written needs no reading: the first touch of a hole reads ahead as far as the file goes, which takes 2 ms of CPU
        os.pwrite(self._file, bytes(block), at)
        self.reserved += BLOCK_ROWS
        with contextlib.suppress(OSError):  # a kernel before 5.14 does not know it, and takes its page faults one by one
            self.map.madvise(MADV_POPULATE_WRITE, at // mmap.PAGESIZE * mmap.PAGESIZE, block)
        if self.reserved > 2 * BLOCK_ROWS:
            first = (at - 2 * block) // mmap.PAGESIZE * mmap.PAGESIZE
            self.map.madvise(mmap.MADV_DONTNEED, first, block)  # the pages stay in the file; a late stamp fetches its page again
            if self.reserved % SWEEP_ROWS == 0:
                self.map.madvise(mmap.MADV_DONTNEED, 0, first)  # what late stamps fetched again, too

    def room(self) -> bool:
        """Make room for one more row; False, and a row lost, where there is none, or once was none: the rows' numbers went on, and no block would be theirs."""
        with self._lock:  # of two threads the second must not write over what the first has stamped meanwhile
            if self.reserved < self.capacity and not self.lost:
                with contextlib.suppress(OSError):
                    self._reserve()
                    return True
            self.lost += 1
            return False

    def leave(self) -> None:
        """This is a forked child: the file is its parent's, and every row that it opens is the sink."""
        self._lock = RLock()  # another thread of the parent may have held the old one
        self.capacity = self.reserved = 0

    def open_with(self, pack_into: "Callable[..., None]", *values: int) -> int:
        """As `open`, but `pack_into` (of a ``struct.Struct`` that begins a row) writes the first `values`; the sink takes none, it would be read as a row."""
        row = next(self._count)
        if row >= self.reserved and not self.room():
            return 0
        pack_into(self.map, self.base + row * self.row_bytes, *values)
        return row * self.row_words

    def open(self) -> int:
        """Open a row, stamp its ``t0`` and return its offset in 32-bit words; 0 (the sink) where there is no room."""
        row = next(self._count)
        if row >= self.reserved and not self.room():
            return 0
        offset = row * self.row_words
        self.quads[offset >> 1] = now()
        return offset
