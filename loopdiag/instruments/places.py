"""Lines of the program's own code, as numbers: what a frame, or a suspended chain of coroutines, was doing there.

The program is what is neither the standard library, nor installed (site-packages), nor ours; of a tool that is installed as a whole, its own package.  The walk
outwards from a frame ends where the loop's run begins: beyond it stands ``asyncio.run(main())``, which is the place of nothing that a task does.
"""

import itertools
import os
import re
import sys
from types import CodeType, FrameType
from typing import Any

#: what the walk meets
SKIP, PROGRAM, CLIENT, STOP = range(4)

#: libraries whose own waits are told by their instruments, and not as the program's
CLIENTS = frozenset({"aiohttp", "aiohappyeyeballs", "httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "requests", "h2", "aiodns"})

SITE = re.compile(r"[\\/](?:site|dist)-packages[\\/]([^\\/]+)")
#: how installers write a console script
ENTRY = re.compile(r"^from ([\w]+)[\w.]* import ", re.MULTILINE)

OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep

MOST = 100_000  # a program that makes code without end is not remembered without end


class Places:
    """The lines that were asked for; 0 is none."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # code and instruction → number
        self._lines: dict[tuple[str, int], int] = {}
        self._listed: dict[int, tuple[str, int, str]] = {}
        self._following = itertools.count(1)
        self._classes: dict[int, int] = {}  # code → what it is
        self._known: list[CodeType] = []  # keeps them alive, so that no other code gets their identity
        self._tool: str | None = None

    def of_frame(self, frame: "FrameType | None", *, through_clients: bool = True) -> int:
        """The innermost line of the program's from `frame` outwards; 0: there is none below the loop's run.

        Without `through_clients`, -1 where an HTTP client's library stands between the frame and the program: what is done there is the library's own.
        """
        classes = self._classes
        while frame is not None:
            code = frame.f_code
            known = classes.get(id(code))
            if known is None:
                known = self._classify(frame)
            if known == PROGRAM:
                return self._numbers.get(id(code) << 20 | frame.f_lasti & 0xFFFFFF, 0) or self._number(code, frame)
            if known == STOP:
                return 0
            if known == CLIENT and not through_clients:
                return -1
            frame = frame.f_back
        return 0

    def of_own(self, frame: "FrameType | None") -> int:
        """As `of_frame`, but not through a client's library."""
        return self.of_frame(frame, through_clients=False)

    def of_line(self, frame: "FrameType") -> int:
        """The line of `frame` itself, whoever's it is."""
        return self._number(frame.f_code, frame)

    def of_task(self, task: Any) -> int:
        """The innermost line of the program's at which `task` is suspended; 0: none, -1: a client's library waits there."""
        coro, found = task.get_coro(), 0
        while coro is not None:
            frame = getattr(coro, "cr_frame", None)
            if frame is None:
                frame = getattr(coro, "gi_frame", None)
                following = getattr(coro, "gi_yieldfrom", None)
            else:
                following = coro.cr_await
            if frame is None:
                break
            known = self._classes.get(id(frame.f_code))
            if known is None:
                known = self._classify(frame)
            if known == PROGRAM:
                found = self._number(frame.f_code, frame)
            elif known == CLIENT:
                found = -1
            coro = following
        return found

    def is_program(self, frame: "FrameType") -> bool:
        """Whether `frame` itself runs the program's code."""
        known = self._classes.get(id(frame.f_code))
        return (self._classify(frame) if known is None else known) == PROGRAM

    def stop_at(self, code: CodeType) -> None:
        """The walk ends in `code`: a loop's run begins there."""
        self._known.append(code)
        self._classes[id(code)] = STOP

    def listed(self) -> "list[list[Any]]":
        """[file, line, function, text of the line, line that opens its block, text of that] of each number; the first one stands for none."""
        import linecache

        listed = self._listed.copy()  # other threads may note one more
        told: list[list[Any]] = [["", 0, "", "", 0, ""] for _ in range(max(listed, default=0) + 1)]
        for number, (file, line, function) in listed.items():
            told[number] = [file, line, function, linecache.getline(file, line).strip(), *_block(linecache.getlines(file), line)]
        return told

    def _number(self, code: CodeType, frame: FrameType) -> int:
        key = id(code) << 20 | frame.f_lasti & 0xFFFFFF  # as above; identities end in four zero bits; no tuple is made
        number = self._numbers.get(key, 0)
        if not number:
            line = (code.co_filename, frame.f_lineno or code.co_firstlineno)
            number = self._lines.get(line, 0)
            if not number:  # several threads may come here at once: each step is atomic, and of two numbers for one line the first stands
                number = self._lines.setdefault(line, next(self._following))
                self._listed[number] = (*line, getattr(code, "co_qualname", code.co_name))
            if len(self._numbers) < MOST and self._classes.get(id(code)) is not None:
                self._numbers[key] = number
        return number

    def _classify(self, frame: FrameType) -> int:
        code = frame.f_code
        found = self._class_of(code.co_filename, frame)
        if len(self._known) < MOST:
            self._known.append(code)
            self._classes[id(code)] = found
        return found

    def _class_of(self, file: str, frame: FrameType) -> int:
        if file.startswith("<"):  # made from a text: the program's main one, or somebody's template
            return PROGRAM if frame.f_globals.get("__name__") == "__main__" and not file.startswith("<frozen") else SKIP
        if file.startswith(OURS):
            return SKIP
        if file.startswith(self._tool_root()):
            return PROGRAM
        installed = SITE.search(file)
        if installed:
            return CLIENT if installed[1] in CLIENTS else SKIP
        if file.startswith(LIBRARY) or _is_console_script(file):
            return SKIP
        return PROGRAM

    def _tool_root(self) -> str:
        """The folder of the package that runs as the program, where that is an installed one; else a name that begins no file's."""
        if self._tool is None:
            main: Any = sys.modules.get("__main__")
            if main is None or (not hasattr(main, "__file__") and getattr(main, "__spec__", None) is None and not sys.argv[:1]):
                return "\0"  # it does not run yet
            root = _root_of(main)
            if root is None:
                return "\0"
            self._tool = root or "\0"
        return self._tool


def _block(lines: "list[str]", number: int) -> "tuple[int, str]":
    """The line that opens the innermost block around a line, and its text; (0, "") where nothing tells."""
    depth = _depth(lines, number)
    for above in range(number - 1, 0, -1) if depth else ():
        text = lines[above - 1].strip()
        if text and text[0] not in "#)]}" and _depth(lines, above) < depth:
            return (above, text) if text.partition("#")[0].rstrip().endswith(":") else (0, "")
    return 0, ""


def _depth(lines: "list[str]", number: int) -> int:
    """How far the line is indented; 0 where there is no such line."""
    text = lines[number - 1].expandtabs() if 0 < number <= len(lines) else ""
    return len(text) - len(text.lstrip())


def _is_console_script(file: str) -> bool:
    return bool(sys.executable) and os.path.dirname(file) == os.path.dirname(sys.executable)


def _root_of(main: Any) -> "str | None":
    """Where the program's own files lie if they are installed; "" if they are not; None: not to be told yet."""
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None) or ""
    if spec is not None:  # python -m
        return os.path.dirname(file) + os.sep if SITE.search(file) else ""
    if not _is_console_script(file):
        return ""
    try:
        with open(file, encoding="utf-8", errors="replace") as script:
            entry = ENTRY.search(script.read(4096))
    except OSError:
        return ""
    if entry is None:
        return ""
    package = sys.modules.get(entry[1])
    if package is None:
        return None
    home = getattr(package, "__file__", None) or ""
    return os.path.dirname(home) + os.sep if os.path.basename(home) == "__init__.py" else home


PLACES = Places()

of_frame, of_own, of_line, of_task = PLACES.of_frame, PLACES.of_own, PLACES.of_line, PLACES.of_task
