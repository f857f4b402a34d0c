"""A program's own files are its own code, whatever they are called; libraries that it calls count with it, HTTP clients and the loop do not."""

import pytest

from loopdiag.analysis.classes import classify
from loopdiag.analysis.stacks import short_file
from loopdiag.lab.probes.paths import short
from loopdiag.model.profile import Frame

LIB = "/usr/lib/python3.12"


def code_of(*frames: tuple[str, str]) -> str:
    """The class of a stack of (whole path, function), outermost first, below a loop's callback."""
    stack = [(f"{LIB}/asyncio/events.py", "Handle._run"), *frames]
    return classify(Frame(file=short_file(short(file)), function=function) for file, function in stack)


@pytest.mark.parametrize("name", ["client.py", "code.py", "profile.py", "queue.py", "statistics.py", "json.py"])
def test_a_programs_own_file_is_its_own_whatever_its_name(name: str) -> None:
    # a file that is called like a module of the standard library is none
    assert code_of((f"/home/me/tool/{name}", "work")) == "user"


def test_the_standard_library_goes_to_who_called_it() -> None:
    # queue.py below the loop says nothing by itself, and is the program's where that called it
    assert code_of((f"{LIB}/queue.py", "put")) == "task-and-callback"
    assert code_of(("/home/me/client.py", "work"), (f"{LIB}/queue.py", "put")) == "user"


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("/home/me/.venv/lib/python3.12/site-packages/bs4/element.py", "user"),
        ("/home/me/.venv/lib/python3.12/site-packages/aiohttp/client.py", "client-library"),
        (f"{LIB}/json/decoder.py", "decode-json"),
    ],
)
def test_an_installed_library_is_the_programs_unless_it_is_known(file: str, code: str) -> None:
    # what a program computes with somebody's library it computes; HTTP clients and decoders have classes of their own
    assert code_of(("/home/me/client.py", "work"), (file, "parse")) == code


def test_a_tool_that_is_installed_as_a_whole_is_the_program() -> None:
    # its frames stand in site-packages alone
    assert code_of(("/opt/tool/lib/python3.12/site-packages/crawler/main.py", "fetch")) == "user"


def test_short_paths_stay_short() -> None:
    # shortening twice is shortening once
    for file in ("/home/me/code.py", "/home/me/client.py", f"{LIB}/code.py"):
        assert short_file(short_file(short(file))) == short_file(short(file))


@pytest.mark.parametrize(("function", "code"), [("compress", "user"), ("decompress", "decode-content")])
def test_who_compresses_is_the_program(function: str, code: str) -> None:
    # clients only decompress: compressing is work of the program's own, wherever the code of it lies
    stack = [Frame(function="store", file="client.py"), Frame(function=function, file="gzip.py")]
    assert classify(stack) == code


def test_what_runs_inside_of_the_observers_loop_is_the_loops() -> None:
    # uvloop runs in C beneath the wrapper of the bare tiers, also where another copy of the observer recorded it
    file = short("/somewhere/else/loopdiag/instruments/span.py")
    assert classify([Frame(function="Span._make_run.<locals>.run_forever", file=file)]) == "task-and-callback"
